"""The churn model: fold members of one classifier, their mean, and a sigmoid fitted on out-of-fold scores.

Belongs here: fit, prediction, reasons, JSON form. Does not belong here: who is scored (`churn`),
the registry (`tracking`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from models_ml.boosting import BoostingParams, Member, fit_member, side_by_side
from models_ml.encoding import Encoding, fit_encoding
from models_ml.seeds import derive_seed, user_folds
from models_ml.value_model import FOLDS

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ChurnModel:
    """Chance that a user stays away for the whole label window. `slope`, `offset`: sigmoid on the logit of the mean."""

    encoding: Encoding
    members: tuple[Member, ...]
    slope: float
    offset: float

    def chance(self, frame: pd.DataFrame) -> Array:
        """Calibrated chance by row of a feature frame."""
        import numpy as np

        rows = self.encoding.matrix(frame)
        return self.calibrate(np.mean([member.predict(rows) for member in self.members], axis=0))

    def calibrate(self, raw: Array) -> Array:
        from scipy.special import expit

        calibrated: Array = expit(self.slope * _logit(raw) + self.offset)
        return calibrated

    def reasons(self, frame: pd.DataFrame, top: int = 3) -> list[str]:
        """By row the `top` features that raise the risk most, as `name=value` joined by `; `; empty if none does."""
        import numpy as np

        rows, names = self.encoding.matrix(frame), self.encoding.names
        pushed = np.mean([member.contributions(rows) for member in self.members], axis=0)
        best = np.argsort(-pushed, axis=1, kind="stable")[:, :top]
        shown = [
            frame[name].to_numpy() if name in self.encoding.categories else np.round(rows[:, index], 2)
            for index, name in enumerate(names)
        ]
        return [
            "; ".join(f"{names[i]}={_shown(shown[i][row])}" for i in best[row] if pushed[row, i] > 0)
            for row in range(len(rows))
        ]

    def to_json(self) -> dict[str, Any]:
        return {
            "type": "churn",
            "encoding": self.encoding.to_json(),
            "members": [member.to_json() for member in self.members],
            "slope": self.slope,
            "offset": self.offset,
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> ChurnModel:
        members = tuple(Member.from_json(text) for text in stored["members"])
        return cls(Encoding.from_json(stored["encoding"]), members, stored["slope"], stored["offset"])


def fit_churn_model(
    frame: pd.DataFrame, churned: Array, *, params: BoostingParams, root_seed: int, name: str
) -> tuple[ChurnModel, Array]:
    """The model and its out-of-fold calibrated chances; `churned` is 1.0 or 0.0. ValueError on one class only."""
    import numpy as np

    if churned.min() == churned.max():
        raise ValueError(f"{name}: all labels are {churned.min():.0f}, nothing to tell apart")
    encoding = fit_encoding(frame)
    rows = encoding.matrix(frame)
    folds = user_folds(frame["app_id"], frame["install_id"], FOLDS)

    def fit(fold: int) -> Member:
        seen, seed = folds != fold, derive_seed(root_seed, name, fold)
        return fit_member(
            "logistic",
            rows[seen],
            churned[seen],
            params=params,
            seed=seed,
            categories=encoding.category_indexes,
        )

    places = [int(fold) for fold in np.unique(folds)]
    members = side_by_side([partial(fit, place) for place in places])
    raw = np.zeros(len(rows))
    for place, member in zip(places, members, strict=True):
        raw[folds == place] = member.predict(rows[folds == place])
    slope, offset = _sigmoid(raw, churned)
    model = ChurnModel(encoding, tuple(members), slope, offset)
    return model, model.calibrate(raw)


def _logit(chance: Array) -> Array:
    import numpy as np

    clipped = np.clip(chance, 1e-6, 1 - 1e-6)
    return np.log(clipped / (1 - clipped))


def _sigmoid(raw: Array, happened: Array) -> tuple[float, float]:
    """Slope and offset of the logistic curve through (logit of raw, happened), by Newton's method."""
    import numpy as np
    from scipy.special import expit

    design = np.column_stack([_logit(raw), np.ones(len(raw))])
    weights = np.array([1.0, 0.0])
    for _ in range(25):
        chance = expit(design @ weights)
        curvature = design.T @ (design * (chance * (1 - chance))[:, None]) + 1e-6 * np.eye(2)
        step = np.linalg.solve(curvature, design.T @ (chance - happened))
        weights = weights - step
        if np.abs(step).max() < 1e-10:
            break
    return float(weights[0]), float(weights[1])


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
