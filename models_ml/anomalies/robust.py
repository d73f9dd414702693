"""How unlike the weeks before is a day: a robust score of many series at once (docs/alerts.md).

The log of the amount is compared with the median of the trailing days, adjusted by weekday (median of the
weekday against the median of all), in units of a spread: the MAD of the adjusted days, but never less than the caller's
floor. The floor of a count is its Poisson noise, of a ratio that of both its parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

WINDOW_DAYS: Final = 56
MIN_DAYS: Final = 28
# Larger: fewer false alarms, and small incidents are missed.
MIN_SCORE: Final = 5.0
# Smaller changes of the log are nobody's business however certain: 30 % down, 43 % up.
MIN_CHANGE: Final = 0.357
# Fewer expected than this tell nothing in a day.
MIN_EXPECTED: Final = 20.0
# Money has no Poisson noise, but does not repeat to the cent either.
MONEY_FLOOR: Final = 0.08
_MAD_TO_SIGMA: Final = 1.4826
# Variance of a new day against a median of 8 weekdays: 1 + pi / 2 / 8.
_SPREAD: Final = float(np.sqrt(1 + np.pi / 16))


@dataclass(frozen=True, slots=True)
class Judgement:
    """By series and day; NaN and False on days without enough history. `change` is of the log."""

    expected: Array
    change: Array
    score: Array
    is_alert: Mask


def judge_counts(counts: Array) -> Judgement:
    """Counts [series, days], a zero where nothing happened."""
    logs = np.log(counts + 0.5)
    centre, sigma = _trailing(logs)
    expected = np.exp(centre) - 0.5
    return _judge(logs, centre, sigma, 1 / np.sqrt(np.maximum(expected, 1)), expected, expected >= MIN_EXPECTED)


def judge_money(amounts: Array) -> Judgement:
    """Amounts [series, days] of one currency."""
    logs = np.log(np.maximum(amounts, 0) + 0.5)
    centre, sigma = _trailing(logs)
    expected = np.exp(centre) - 0.5
    return _judge(logs, centre, sigma, np.full_like(centre, MONEY_FLOOR), expected, expected >= MIN_EXPECTED)


def judge_ratio(parts: Array, wholes: Array) -> Judgement:
    """Ratios of two counts; a day is judged if its whole lets expect enough."""
    logs = np.log(parts + 0.5) - np.log(wholes + 0.5)
    centre, sigma = _trailing(logs)
    expected = np.exp(centre)
    likely = expected * wholes
    floor = np.sqrt(1 / np.maximum(likely, 1) + 1 / np.maximum(wholes, 1))
    return _judge(logs, centre, sigma, floor, expected, likely >= MIN_EXPECTED)


def judge_price(costs: Array, installs: Array) -> Judgement:
    """Cost per install of the three days that end with each day, as budgets move both parts alike and three days have
    enough installs where one has not. `expected` is per install."""
    paid, bought = of_three_days(costs), of_three_days(installs)
    logs = np.log(paid + 0.5) - np.log(bought + 0.5)
    centre, sigma = _trailing(logs)
    expected = np.exp(centre)
    floor = np.sqrt(MONEY_FLOOR**2 / 3 + 1 / np.maximum(bought, 1))
    return _judge(logs, centre, sigma, floor, expected, (expected * bought >= MIN_EXPECTED) & (bought >= MIN_EXPECTED))


def of_three_days(amounts: Array) -> Array:
    """Sums over each day and the two before it, where there are any."""
    sums = np.cumsum(np.pad(amounts, ((0, 0), (3, 0))), axis=1)
    return np.asarray(sums[:, 3:] - sums[:, :-3])


def _trailing(logs: Array) -> tuple[Array, Array]:
    """Expected log and spread of each day, from the days before it alone."""
    centre, sigma = np.full_like(logs, np.nan), np.full_like(logs, np.nan)
    for day in range(MIN_DAYS, logs.shape[1]):
        first = max(0, day - WINDOW_DAYS)
        past, weekday = logs[:, first:day], np.arange(first, day) % 7
        level = np.median(past, axis=1, keepdims=True)
        effects = np.concatenate([np.median(past[:, weekday == w], axis=1, keepdims=True) for w in range(7)], 1) - level
        adjusted = past - effects[:, weekday]
        middle = np.median(adjusted, axis=1, keepdims=True)
        centre[:, day] = middle[:, 0] + effects[:, day % 7]
        sigma[:, day] = _MAD_TO_SIGMA * np.median(np.abs(adjusted - middle), axis=1)
    return centre, sigma


def _judge(logs: Array, centre: Array, sigma: Array, floor: Array, expected: Array, is_enough: Mask) -> Judgement:
    change = logs - centre
    score = change / (np.maximum(sigma, floor) * _SPREAD)
    with np.errstate(invalid="ignore"):
        is_alert = is_enough & (np.abs(score) >= MIN_SCORE) & (np.abs(change) >= MIN_CHANGE)
    return Judgement(expected, change, score, is_alert)
