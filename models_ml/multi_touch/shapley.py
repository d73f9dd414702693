"""Shapley values of channels in the game whose worth is the conversion rate.

v(S) = conversions / journeys over the journeys whose channels all lie in S, 0 where there is no such journey. (With the
number of conversions instead, the values would be every path split evenly over its channels.) A channel may have a
negative value: journeys with it convert more rarely. Credit floors values at 0 and brings them to a sum of 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from typing import Final

import numpy as np
import numpy.typing as npt

from models_ml.multi_touch.journeys import Journey

Floats = npt.NDArray[np.float64]

EXACT_CHANNELS: Final = 12
PERMUTATIONS: Final = 2_000
_BLOCK: Final = 4_000_000  # cells of one block of permutations x channel sets x set size


@dataclass(frozen=True, slots=True)
class ShapleyResult:
    """Arrays have one number per channel. `raw` are the values in points of the conversion rate; they sum to it.

    `shares` are floored at 0 and sum to 1 (all zero if nothing converted), `value_shares` the same of each measure.
    `standard_errors` are those of `raw`, None where every coalition was looked at.
    """

    raw: Floats
    shares: Floats
    value_shares: tuple[Floats, ...]
    standard_errors: Floats | None

    @property
    def share_errors(self) -> Floats | None:
        """Standard errors of `shares`, taking the sum of the floored values as known."""
        total = np.maximum(self.raw, 0).sum()
        if self.standard_errors is None or total <= 0:
            return self.standard_errors
        return np.asarray(self.standard_errors / total)


def shapley(
    journeys: Sequence[Journey],
    channel_count: int,
    *,
    exact_channels: int = EXACT_CHANNELS,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> ShapleyResult:
    """Values and shares of the channels 0 to `channel_count` - 1.

    Exact with at most `exact_channels` channels, else the mean over `permutations` (at least 2) drawn with `seed`. A
    measure whose values are nowhere positive is shared as conversions are.
    """
    if permutations < 2:
        raise ValueError("a standard error needs at least 2 permutations")
    sets, table = _by_channel_set(journeys)
    errors: Floats | None = None
    if channel_count <= exact_channels:
        values = _exact(sets, table, channel_count)
    else:
        values, errors = _sampled(sets, table, channel_count, permutations, seed)
    shares = _credit(values[0])
    value_shares = tuple(_credit(row) if (row > 0).any() else shares for row in values[1:])
    return ShapleyResult(values[0], shares, value_shares, errors)


def _by_channel_set(journeys: Sequence[Journey]) -> tuple[list[tuple[int, ...]], Floats]:
    """Distinct channel sets, and by set: journeys, conversions, values."""
    measures = len(journeys[0].values) if journeys else 0
    sums: dict[tuple[int, ...], list[float]] = {}
    for journey in journeys:
        row = sums.setdefault(tuple(sorted(set(journey.channels))), [0.0] * (2 + measures))
        for column, value in enumerate((journey.count, journey.conversions, *journey.values)):
            row[column] += value
    return list(sums), np.array(list(sums.values()), dtype=np.float64).reshape(len(sums), 2 + measures)


def _exact(sets: Sequence[tuple[int, ...]], table: Floats, channel_count: int) -> Floats:
    """Values by measure and channel; coalitions are bit masks, and sums over subsets run one channel at a time."""
    inside = np.zeros((table.shape[1], 1 << channel_count))
    for members, row in zip(sets, table, strict=True):
        inside[:, sum(1 << channel for channel in members)] += row
    for channel in range(channel_count):
        halves = inside.reshape(len(inside), -1, 2, 1 << channel)
        halves[:, :, 1] += halves[:, :, 0]
    worth = _worth(inside[0], inside[1:])
    sizes = np.array([mask.bit_count() for mask in range(1 << channel_count)])
    chances = np.array([1 / (channel_count * comb(channel_count - 1, size)) for size in range(channel_count)] + [0.0])
    values = np.zeros((len(worth), channel_count))
    for channel in range(channel_count):
        halves = worth.reshape(len(worth), -1, 2, 1 << channel)
        without = sizes.reshape(-1, 2, 1 << channel)[:, 0]
        values[:, channel] = ((halves[:, :, 1] - halves[:, :, 0]) * chances[without]).sum(axis=(1, 2))
    return values


def _sampled(
    sets: Sequence[tuple[int, ...]], table: Floats, channel_count: int, permutations: int, seed: int
) -> tuple[Floats, Floats]:
    """Mean marginal worth over random orders of arrival, and its standard error for conversions.

    A journey counts once the last of its channels has arrived, so one pass over the sets prices a whole order.
    """
    width = max((len(members) for members in sets), default=1)
    padded = np.array([members + members[:1] * (width - len(members)) for members in sets]).reshape(len(sets), width)
    rng = np.random.default_rng(seed)
    block = max(1, _BLOCK // max(1, padded.size))
    sums = np.zeros((table.shape[1] - 1, channel_count))
    squares = np.zeros(channel_count)
    for begin in range(0, permutations, block):
        orders = rng.permuted(np.tile(np.arange(channel_count), (min(block, permutations - begin), 1)), axis=1)
        marginal = _marginals(orders, padded, table)
        sums += marginal.sum(axis=1)
        squares += (marginal[0] ** 2).sum(axis=0)
    means = sums / permutations
    variance = np.maximum(squares / permutations - means[0] ** 2, 0) * permutations / (permutations - 1)
    return means, np.sqrt(variance / permutations)


def _marginals(orders: npt.NDArray[np.int64], padded: npt.NDArray[np.int64], table: Floats) -> Floats:
    """By measure, order and channel: what the channel adds when it arrives."""
    count, channel_count = orders.shape
    ranks = np.argsort(orders, axis=1)
    complete = ranks[:, padded].max(axis=2) + channel_count * np.arange(count)[:, None]
    inside = np.stack(
        [
            np.bincount(complete.ravel(), np.tile(column, count), count * channel_count).reshape(count, channel_count)
            for column in table.T
        ]
    ).cumsum(axis=2)
    worth = _worth(inside[0], inside[1:])
    added = np.diff(worth, axis=2, prepend=0)
    return np.take_along_axis(added, np.broadcast_to(ranks, added.shape), axis=2)


def _worth(journeys: Floats, sums: Floats) -> Floats:
    return np.divide(sums, journeys, out=np.zeros_like(sums), where=journeys > 0)


def _credit(values: Floats) -> Floats:
    floored = np.maximum(values, 0)
    total = floored.sum()
    return floored / total if total > 0 else floored
