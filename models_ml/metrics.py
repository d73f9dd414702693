"""How good a prediction is: ranking, calibration and cohort measures, and a paired bootstrap of their differences.

Belongs here: pure functions of arrays (actual, predicted). Does not belong here: thresholds (`gate`), data access.
All arrays are one-dimensional float64 of equal length. Measures that are undefined on the input (nobody paid, one
class only) return nan, never a plausible number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def _descending(predicted: Array, seed: int) -> NDArray[np.intp]:
    """Order by falling prediction, ties in random order: a constant must not profit from the order of the file."""
    import numpy as np

    return np.lexsort((np.random.default_rng(seed).random(len(predicted)), -predicted))


def _gini(actual: Array, order: NDArray[np.intp], weight: Array | None = None) -> float:
    import numpy as np

    w = np.ones(len(actual)) if weight is None else weight[order]
    gained = np.cumsum(actual[order] * w)
    if not gained[-1] > 0:
        return float("nan")
    return float(2 * (gained * w).sum() / (gained[-1] * w.sum()) - 1)


def normalized_gini(actual: Array, predicted: Array, *, seed: int = 0) -> float:
    """Gini of the gain curve over that of the perfect order; 1 is perfect, about 0 random, ties broken at random."""
    return _gini(actual, _descending(predicted, seed)) / _gini(actual, _descending(actual, seed))


def bias(actual: Array, predicted: Array) -> float:
    """Relative error of the total: 0.05 says five percent too much."""
    total = float(actual.sum())
    return float(predicted.sum()) / total - 1 if total > 0 else float("nan")


def decile_mape(actual: Array, predicted: Array, *, seed: int = 0, min_share: float = 0.0) -> float:
    """Mean relative error of the mean over ten equal groups by prediction; groups without revenue are left out.

    So are groups with less than `min_share` of all revenue: where users who left make up half of the rows, a cent
    predicted against a tenth of a cent is a relative error of 900 % that nobody pays for.
    """
    import numpy as np

    total = float(actual.sum())
    groups = np.array_split(_descending(predicted, seed), 10)
    kept = [g for g in groups if len(g) and actual[g].sum() > 0 and actual[g].sum() >= min_share * total]
    errors = [abs(float(predicted[g].sum()) / float(actual[g].sum()) - 1) for g in kept]
    return float(np.mean(errors)) if errors else float("nan")


def cohort_wape(actual: Array, predicted: Array, cohort: Sequence[object] | NDArray[np.generic]) -> float:
    """Sum over cohorts of |predicted total - actual total|, over the sum of actual totals."""
    import numpy as np

    _, index = np.unique(np.asarray(cohort), return_inverse=True)
    truth = np.bincount(index, weights=actual)
    total = float(truth.sum())
    error = float(np.abs(np.bincount(index, weights=predicted) - truth).sum())
    return error / total if total > 0 else float("nan")


def rmse(actual: Array, predicted: Array) -> float:
    """Root of the mean squared error, in the unit of the input."""
    import numpy as np

    return float(np.sqrt(np.mean((actual - predicted) ** 2)))


def coverage(actual: Array, low: Array, high: Array) -> float:
    """Share of values inside [low, high], bounds included."""
    return float(((actual >= low) & (actual <= high)).mean())


def auc(happened: Array, score: Array) -> float:
    """Chance that a case scores above a non-case, ties counting half."""
    from scipy.stats import rankdata

    cases = float(happened.sum())
    others = len(happened) - cases
    if cases == 0 or others == 0:
        return float("nan")
    return float((rankdata(score)[happened > 0].sum() - cases * (cases + 1) / 2) / (cases * others))


def pr_auc(happened: Array, score: Array) -> float:
    """Average precision; equal scores enter together."""
    import numpy as np

    if not happened.sum() > 0:
        return float("nan")
    order = np.argsort(-score, kind="stable")
    hits, ranked = np.cumsum(happened[order]), score[order]
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    gained = np.diff(hits[last], prepend=0.0)
    return float((gained * hits[last] / (last + 1)).sum() / hits[-1])


def brier(happened: Array, probability: Array) -> float:
    """Mean squared error of a probability."""
    return rmse(happened, probability) ** 2


def ece(happened: Array, probability: Array, *, bins: int = 10) -> float:
    """Expected calibration error over `bins` groups of equal size by probability."""
    import numpy as np

    groups = np.array_split(np.argsort(probability, kind="stable"), bins)
    gaps = [abs(float(probability[g].mean() - happened[g].mean())) * len(g) for g in groups if len(g)]
    return sum(gaps) / len(happened)


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference of two models on the same rows: point estimate and 95 % bootstrap interval."""

    point: float
    low: float
    high: float


def gini_difference(actual: Array, ours: Array, theirs: Array, *, seed: int = 0, rounds: int = 200) -> Difference:
    """Paired bootstrap over rows of nGini(ours) - nGini(theirs)."""
    orders = [_descending(p, seed) for p in (ours, theirs, actual)]

    def difference(weight: Array | None) -> float:
        our, their, best = (_gini(actual, order, weight) for order in orders)
        return (our - their) / best

    return _bootstrap(difference, len(actual), seed, rounds)


def brier_difference(happened: Array, ours: Array, theirs: Array, *, seed: int = 0, rounds: int = 200) -> Difference:
    """Paired bootstrap over rows of Brier(ours) - Brier(theirs); below zero is better."""
    import numpy as np

    gap = (ours - happened) ** 2 - (theirs - happened) ** 2
    return _bootstrap(lambda w: float(gap.mean() if w is None else np.average(gap, weights=w)), len(gap), seed, rounds)


def total_ratio(actual: Array, predicted: Array, *, seed: int = 0, rounds: int = 200) -> Difference:
    """Predicted total over actual total with its bootstrap interval: heavy tails make the point alone misleading."""

    def ratio(weight: Array | None) -> float:
        truth = float((actual if weight is None else actual * weight).sum())
        guess = float((predicted if weight is None else predicted * weight).sum())
        return guess / truth if truth > 0 else float("nan")

    return _bootstrap(ratio, len(actual), seed, rounds)


def _bootstrap(statistic: _Statistic, size: int, seed: int, rounds: int) -> Difference:
    import numpy as np

    rng = np.random.default_rng(seed)
    draws = [
        statistic(np.bincount(rng.integers(0, size, size), minlength=size).astype(np.float64)) for _ in range(rounds)
    ]
    low, high = np.nanpercentile(draws, [2.5, 97.5]) if draws and not np.isnan(draws).all() else (np.nan, np.nan)
    return Difference(statistic(None), float(low), float(high))


if TYPE_CHECKING:
    from collections.abc import Callable

    _Statistic = Callable[[Array | None], float]
