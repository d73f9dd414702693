"""Removal effects of channels in a Markov chain of order k, in closed form.

A state is the last k channels of a journey (fewer at its start). From a state the chain goes on to the next channel,
to (conversion) or to (null), as often as journeys did. Taking a channel out sends every visit to it to (null); its
removal effect is the share of the conversion rate that is lost. With N the fundamental matrix, x the chance to convert
from each state and C the states that end in the channel, the first visit to C happens in state s with probability f_s,
where f N[C, C] = N[start, C], and the conversions lost are the sum of f_s x_s: no chain has to be solved again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from models_ml.multi_touch.journeys import Journey

Floats = npt.NDArray[np.float64]
State = tuple[int, ...]

# A dense inverse: 1,500 states take 18 MB and a fraction of a second; time grows with the third power.
MAX_STATES: Final = 1_500


class TooManyStatesError(ValueError):
    """The journeys have more states than a dense solution takes; a lower order or coarser channels have fewer."""


@dataclass(frozen=True, slots=True)
class MarkovResult:
    """Arrays have one number per channel. `conversion_rate` and `removal_effects` are between 0 and 1.

    `shares` are removal effects brought to a sum of 1 (all zero if nothing converted). `value_shares` holds the same of
    each measure, whose removal effect is the share of the expected value per journey that is lost.
    """

    conversion_rate: float
    removal_effects: Floats
    shares: Floats
    value_shares: tuple[Floats, ...]


def markov(journeys: Sequence[Journey], channel_count: int, *, order: int = 1) -> MarkovResult:
    """Removal effects and shares of the channels 0 to `channel_count` - 1.

    Repeats are taken as they stand; at order 1 they change nothing. A measure whose expected value is not positive, or
    whose removal effects are all zero, is shared as conversions are. TooManyStatesError beyond `MAX_STATES` states.
    """
    if order < 1:
        raise ValueError(f"the order of a Markov chain is at least 1, not {order}")
    states, steps, ends = _count(journeys, order)
    measures = ends.shape[1] - 2
    transitions, outcomes = _probabilities(steps, ends)
    fundamental = np.linalg.inv(np.eye(len(states)) - transitions)
    expected = fundamental @ outcomes
    lost = np.zeros((channel_count, 1 + measures))
    for channel, members in _states_by_channel(states).items():
        first_visit = np.linalg.solve(fundamental[np.ix_(members, members)].T, fundamental[0, members])
        lost[channel] = first_visit @ expected[members]
    rate = float(expected[0, 0])
    effects = np.clip(lost[:, 0] / rate, 0, 1) if rate > 0 else np.zeros(channel_count)
    shares = _normalised(effects)
    value_shares = []
    for measure in range(1, 1 + measures):
        total = expected[0, measure]
        value_effects = np.maximum(lost[:, measure] / total, 0) if total > 0 else np.zeros(channel_count)
        value_shares.append(_normalised(value_effects) if value_effects.any() else shares)
    return MarkovResult(rate, effects, shares, tuple(value_shares))


def _count(journeys: Sequence[Journey], order: int) -> tuple[list[State], dict[tuple[int, int], int], Floats]:
    """States by number (0 is the start), steps between them, and by state: journeys ended, conversions, values."""
    numbers: dict[State, int] = {(): 0}
    steps: dict[tuple[int, int], int] = {}
    ends: dict[int, list[float]] = {}
    measures = len(journeys[0].values) if journeys else 0
    for journey in journeys:
        state: State = ()
        for channel in journey.channels:
            before, state = numbers[state], (*state, channel)[-order:]
            after = numbers.setdefault(state, len(numbers))
            steps[before, after] = steps.get((before, after), 0) + journey.count
        if len(numbers) > MAX_STATES:
            raise TooManyStatesError(f"journeys of order {order} have more than {MAX_STATES:,} states")
        end = ends.setdefault(numbers[state], [0.0] * (2 + measures))
        for column, value in enumerate((journey.count, journey.conversions, *journey.values)):
            end[column] += value
    table = np.zeros((len(numbers), 2 + measures))
    for number, row in ends.items():
        table[number] = row
    return list(numbers), steps, table


def _probabilities(steps: dict[tuple[int, int], int], ends: Floats) -> tuple[Floats, Floats]:
    """Chances to go from state to state, and per visit of a state: conversions and values right after it."""
    matrix = np.zeros((len(ends), len(ends)))
    for (before, after), count in steps.items():
        matrix[before, after] = count
    visits = matrix.sum(axis=1) + ends[:, 0]
    visits[visits == 0] = 1
    return matrix / visits[:, None], ends[:, 1:] / visits[:, None]


def _states_by_channel(states: Sequence[State]) -> dict[int, list[int]]:
    members: dict[int, list[int]] = {}
    for number, state in enumerate(states):
        if state:
            members.setdefault(state[-1], []).append(number)
    return members


def _normalised(effects: Floats) -> Floats:
    total = effects.sum()
    return effects / total if total > 0 else effects
