"""The hurdle model of one kind of revenue: will there be any, times how much if so; calibrated, with an interval.

Belongs here: fit by folds of users, prediction, interval. Does not belong here: which rows and kinds (`ltv`), storage
(`artefact`). Each fold's pair of boosters never saw the fold's users, so the out-of-fold predictions calibrate the
model; a forecast is the mean over the pairs times one factor.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from models_ml.boosting import BoostingParams, Link, Member, fit_member, side_by_side
from models_ml.seeds import derive_seed

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

MIN_PAYERS: Final = 60
_GRID: Final = 201
_POWERS: Final = (0.7, 1.4)  # beyond, the boosters have failed and no curve mends them


@dataclass(frozen=True, slots=True)
class Forecast:
    """By row: chance of any revenue, expected revenue (USD), bounds of the 80 % interval (USD)."""

    chance: Array
    expected: Array
    low: Array
    high: Array


@dataclass(frozen=True, slots=True)
class Hurdle:
    """Pairs (chance, amount) of members, one by fold. Expected revenue is factor x (chance x amount)^power, fitted so
    that out-of-fold totals are right; `ratios` is the quantile function (on an even grid of 0..1) of actual over
    expected amount among payers."""

    pairs: tuple[tuple[Member, Member], ...]
    factor: float
    power: float
    ratios: tuple[float, ...]

    def forecast(self, rows: Array, stretch: float = 1.0) -> Forecast:
        """Forecast for the label window, or for one `stretch` times as long at the same rate of purchases."""
        import numpy as np

        chance = np.mean([pair[0].predict(rows) for pair in self.pairs], axis=0)
        amount = np.mean([pair[1].predict(rows) for pair in self.pairs], axis=0)
        return self.assemble(chance, amount, stretch)

    def assemble(self, chance: Array, amount: Array, stretch: float = 1.0) -> Forecast:
        """Forecast from uncalibrated scores. Over a longer window (stretch h) the chance p becomes 1 - (1 - p)^h."""
        expected = self.factor * (chance * amount) ** self.power * stretch
        paying = 1 - (1 - chance) ** stretch
        low, high = (self._quantile(level, paying, expected) for level in (0.1, 0.9))
        return Forecast(paying, expected, low, high)

    def _quantile(self, level: float, paying: Array, expected: Array) -> Array:
        """Quantile of a mass at zero plus payers whose amount spreads around its mean like `ratios`."""
        import numpy as np

        rank = (level - (1 - paying)) / np.maximum(paying, 1e-12)
        spread = np.interp(rank, np.linspace(0, 1, len(self.ratios)), self.ratios)
        return np.where(rank > 0, spread * expected / np.maximum(paying, 1e-12), 0.0)

    def to_json(self) -> dict[str, Any]:
        return {
            "pairs": [[chance.to_json(), amount.to_json()] for chance, amount in self.pairs],
            "factor": self.factor,
            "power": self.power,
            "ratios": list(self.ratios),
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Hurdle:
        pairs = tuple((Member.from_json(chance), Member.from_json(amount)) for chance, amount in stored["pairs"])
        return cls(pairs, stored["factor"], stored["power"], tuple(stored["ratios"]))


def fit_hurdle(
    rows: Array,
    revenue: Array,
    folds: NDArray[np.int64],
    *,
    params: BoostingParams,
    root_seed: int,
    name: str,
    categories: Sequence[int] = (),
) -> tuple[Hurdle, Forecast]:
    """The model and its out-of-fold forecast of `revenue` (USD, refunds below zero count as none).

    ValueError when fewer than MIN_PAYERS rows paid: nothing can be learnt about amounts then.
    """
    import numpy as np

    revenue = np.maximum(revenue, 0.0)
    if int((revenue > 0).sum()) < MIN_PAYERS:
        raise ValueError(f"{name}: {int((revenue > 0).sum())} paying rows, at least {MIN_PAYERS} are needed")
    paying = (revenue > 0).astype(np.float64)

    def fit(fold: int, link: Link) -> Member:
        seen = folds != fold
        chosen, target = (seen, paying) if link == "logistic" else (seen & (revenue > 0), revenue)
        seed = derive_seed(root_seed, name, link, fold)
        return fit_member(link, rows[chosen], target[chosen], params=params, seed=seed, categories=categories)

    links: tuple[Link, Link] = ("logistic", "log")
    places = [(int(fold), link) for fold in np.unique(folds) for link in links]
    members = dict(zip(places, side_by_side([partial(fit, *place) for place in places]), strict=True))
    chance, amount = np.zeros(len(rows)), np.zeros(len(rows))
    pairs = []
    for fold in np.unique(folds):
        held = folds == fold
        pair = (members[int(fold), "logistic"], members[int(fold), "log"])
        chance[held], amount[held] = (member.predict(rows[held]) for member in pair)
        pairs.append(pair)
    factor, power = _calibrate(chance * amount, revenue)
    payers = revenue > 0
    ratio = (revenue * chance)[payers] / (factor * (chance * amount)[payers] ** power)
    ratios = np.quantile(ratio, np.linspace(0, 1, _GRID))
    hurdle = Hurdle(tuple(pairs), factor, power, tuple(float(r) for r in ratios))
    return hurdle, hurdle.assemble(chance, amount)


def _calibrate(score: Array, revenue: Array) -> tuple[float, float]:
    """Factor and power of the Poisson regression of revenue on log(score): the total comes out exactly right, and
    scores that hardly tell users apart, or exaggerate, are spread or drawn together."""
    import numpy as np

    logs = np.log(score)
    centre = float(np.average(logs, weights=score))
    design = np.column_stack([np.ones(len(score)), logs - centre])
    weights = np.array([np.log(revenue.sum() / score.sum()) + centre, 1.0])
    for _ in range(50):
        mean = np.exp(design @ weights)
        step = np.linalg.solve(design.T @ (design * mean[:, None]), design.T @ (revenue - mean))
        weights = weights + np.clip(step, -0.5, 0.5)
        if np.abs(step).max() < 1e-12:
            break
    power = float(np.clip(weights[1], *_POWERS))
    shaped = score**power
    return float(revenue.sum() / shaped.sum()), power
