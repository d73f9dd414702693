"""The promotion gate: may this model become champion? Failing blocks the alias, never the pipeline.

Belongs here: the bounds and the verdict. Does not belong here: computing measures (`metrics`), aliases (`tracking`).

Bounds are judged with the sampling error in mind: revenue is heavy-tailed, and on a few thousand users a total 15 % off
says little. The overall calibration fails when its whole 95 % interval lies outside the bound, or the point estimate is
absurd. A channel fails when it is out of bounds by more than dealing the same users to channels at random explains: a
channel without one of the few big spenders looks overpredicted by chance, and no resampling of its own rows shows that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from models_ml import metrics

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

GINI_FLOOR: Final = 0.10
AUC_FLOOR: Final = 0.60
ECE_CEILING: Final = 0.08
RATIO_BOUNDS: Final = (0.9, 1.1)
RATIO_ABSURD: Final = (0.5, 2.0)
CHANNEL_BOUNDS: Final = (0.75, 1.33)
CHANNEL_MIN_ROWS: Final = 500
DEALS: Final = 300
MARGIN: Final = 0.02  # how much worse than the champion the lower bound may be
MIN_COMPARED: Final = 300  # fewer newly matured rows cannot tell two models apart


@dataclass(frozen=True, slots=True)
class Judged:
    """Rows a verdict rests on: what happened, our forecast, the naive forecast, channel and user of each row."""

    actual: Array
    ours: Array
    naive: Array
    channel: NDArray[np.object_]
    user: NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Contest:
    """Rows that matured after the champion was trained: what happened, our forecast and the champion's."""

    actual: Array
    ours: Array
    champions: Array


@dataclass(frozen=True, slots=True)
class Verdict:
    """`failures` block the alias; `notes` tell what could not be judged."""

    failures: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def is_passed(self) -> bool:
        return not self.failures


def judge_value(judged: Judged, contest: Contest | None, *, seed: int) -> Verdict:
    """Gate of a value model (USD)."""
    failures = _sane(judged.ours, upper=None)
    if failures:
        return Verdict(tuple(failures))
    gini = metrics.normalized_gini(judged.actual, judged.ours, seed=seed)
    if not gini >= GINI_FLOOR:
        failures.append(f"ranking: nGini {gini:.3f} is below {GINI_FLOOR}")
    gain = metrics.gini_difference(judged.actual, judged.ours, judged.naive, seed=seed)
    own, naive = (metrics.rmse(judged.actual, p) for p in (judged.ours, judged.naive))
    if not (gain.point > 0 or (gain.high > 0 and own < naive)):
        failures.append(f"naive: nGini is {gain.point:+.3f} against past spend, RMSE {own:.2f} against {naive:.2f}")
    failures += _overall(judged, seed)
    failures += _channels(judged, seed)
    if contest is None or len(contest.actual) < MIN_COMPARED or not contest.actual.sum() > 0:
        return Verdict(tuple(failures), (_no_contest(contest),))
    against = metrics.gini_difference(contest.actual, contest.ours, contest.champions, seed=seed)
    if not against.low > -MARGIN:
        failures.append(f"champion: nGini difference {against.point:+.3f}, 95 % from {against.low:+.3f}")
    return Verdict(tuple(failures))


def judge_churn(judged: Judged, contest: Contest | None, *, seed: int) -> Verdict:
    """Gate of a churn model (probabilities; `actual` is 1.0 where the user left)."""
    failures = _sane(judged.ours, upper=1.0)
    if failures:
        return Verdict(tuple(failures))
    ranking, gap = metrics.auc(judged.actual, judged.ours), metrics.ece(judged.actual, judged.ours)
    if not ranking >= AUC_FLOOR:
        failures.append(f"ranking: AUC {ranking:.3f} is below {AUC_FLOOR}")
    if not gap <= ECE_CEILING:
        failures.append(f"calibration: ECE {gap:.3f} is above {ECE_CEILING}")
    own, naive = (metrics.brier(judged.actual, p) for p in (judged.ours, judged.naive))
    if not own < naive:
        failures.append(f"naive: Brier {own:.4f} against {naive:.4f} of days since last activity")
    if contest is None or len(contest.actual) < MIN_COMPARED:
        return Verdict(tuple(failures), (_no_contest(contest),))
    against = metrics.brier_difference(contest.actual, contest.ours, contest.champions, seed=seed)
    if not against.high < MARGIN:
        failures.append(f"champion: Brier difference {against.point:+.4f}, 95 % up to {against.high:+.4f}")
    return Verdict(tuple(failures))


def _no_contest(contest: Contest | None) -> str:
    if contest is None:
        return "no champion yet: judged against the naive baseline only"
    return f"{len(contest.actual)} rows matured since the champion was trained, {MIN_COMPARED} are needed to compare"


def _sane(forecast: Array, *, upper: float | None) -> list[str]:
    import numpy as np

    if not np.isfinite(forecast).all():
        return ["finite: some forecasts are not finite numbers"]
    if (forecast < 0).any() or (upper is not None and (forecast > upper).any()):
        return [f"range: some forecasts are below 0{'' if upper is None else f' or above {upper:g}'}"]
    return []


def _overall(judged: Judged, seed: int) -> list[str]:
    ratio = metrics.total_ratio(judged.actual, judged.ours, seed=seed, rounds=100)
    overlaps = ratio.high >= RATIO_BOUNDS[0] and ratio.low <= RATIO_BOUNDS[1]
    if overlaps and RATIO_ABSURD[0] <= ratio.point <= RATIO_ABSURD[1]:
        return []
    return [
        f"calibration: predicted over actual {ratio.point:.2f} (95 % {ratio.low:.2f} to {ratio.high:.2f}), "
        f"allowed {RATIO_BOUNDS[0]} to {RATIO_BOUNDS[1]}"
    ]


def _channels(judged: Judged, seed: int) -> list[str]:
    """Channels out of bounds beyond what a random deal of the users to channels gives (1 in 100)."""
    import numpy as np

    names, channel = np.unique(judged.channel.astype(str), return_inverse=True)
    _, first, user = np.unique(judged.user.astype(str), return_index=True, return_inverse=True)
    surplus = np.bincount(user, weights=judged.ours - judged.actual)
    home = channel[first]  # one channel by user, as attribution has one winner

    def by_channel(dealt: NDArray[np.intp]) -> Any:
        return np.bincount(dealt, weights=surplus, minlength=len(names))

    rng = np.random.default_rng(seed)
    deals = np.abs([by_channel(rng.permutation(home)) for _ in range(DEALS)])
    unlikely = (deals >= np.abs(by_channel(home))).mean(axis=0) < 0.01
    truth = np.bincount(channel, weights=judged.actual)
    ratios = np.bincount(channel, weights=judged.ours) / np.maximum(truth, 1e-9)
    big = np.bincount(channel) >= CHANNEL_MIN_ROWS
    outside = (ratios < CHANNEL_BOUNDS[0]) | (ratios > CHANNEL_BOUNDS[1])
    return [
        f"calibration of {names[i]}: predicted over actual {ratios[i]:.2f}, "
        f"allowed {CHANNEL_BOUNDS[0]} to {CHANNEL_BOUNDS[1]}, not by chance"
        for i in np.flatnonzero(big & outside & unlikely)
    ]
