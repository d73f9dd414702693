"""LightGBM fits that give the same trees for the same rows and seed: parameters, training, text form.

Belongs here: everything that touches LightGBM's own API. Does not belong here: what scores mean (`hurdle`, `churn`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

# Two threads gain a third on idle cores and cost up to tenfold on busy ones (they spin); trees are the same either way.
THREADS: Final = 1


@dataclass(frozen=True, slots=True)
class BoostingParams:
    """Size of a booster. `min_leaf` is an upper bound: small training sets get smaller leaves (1 % of the rows)."""

    trees: int = 60
    learning_rate: float = 0.08
    leaves: int = 8
    min_leaf: int = 200
    row_share: float = 0.8
    column_share: float = 0.6
    l2: float = 1.0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


_BINNING: Final = {
    "max_bin": 127,
    "cat_smooth": 20,
    "min_data_per_group": 100,
    "feature_pre_filter": False,  # the leaf size differs from fit to fit
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": THREADS,
    "verbosity": -1,
}


def bin_rows(rows: Array, categories: Sequence[int] = ()) -> Any:
    """Rows in LightGBM's binned form, to be shared by all fits on parts of them: binning is a third of a small fit."""
    import lightgbm

    data = lightgbm.Dataset(rows, categorical_feature=list(categories), params=dict(_BINNING), free_raw_data=False)
    return data.construct()


def fit_booster(
    objective: str, binned: Any, chosen: NDArray[np.bool_], target: Array, *, params: BoostingParams, seed: int
) -> Any:
    """A booster for `objective` (binary, gamma) on the chosen rows of `binned`; `target` has a value for every row."""
    import lightgbm
    import numpy as np

    index = np.flatnonzero(chosen)
    settings = _BINNING | {
        "objective": objective,
        "learning_rate": params.learning_rate,
        "num_leaves": params.leaves,
        "min_data_in_leaf": max(10, min(params.min_leaf, len(index) // 100)),
        "bagging_fraction": params.row_share,
        "bagging_freq": 1,
        "feature_fraction": params.column_share,
        "lambda_l2": params.l2,
        "seed": seed,
    }
    part = binned.subset(index).construct().set_label(target[index])
    return lightgbm.train(settings, part, num_boost_round=params.trees)


def booster_text(booster: Any) -> str:
    """Text form; numbers survive it bit for bit."""
    return str(booster.model_to_string())


def booster_from_text(text: str) -> Any:
    import lightgbm

    return lightgbm.Booster(model_str=text)


def predict(booster: Any, rows: Array) -> Array:
    """Scores on the scale of the target."""
    import numpy as np

    return np.asarray(booster.predict(rows, num_threads=THREADS), dtype=np.float64)


def contributions(booster: Any, rows: Array) -> Array:
    """What each column adds to each raw score (SHAP values); shape (rows, columns), the constant left out."""
    import numpy as np

    return np.asarray(booster.predict(rows, pred_contrib=True, num_threads=THREADS), dtype=np.float64)[:, :-1]
