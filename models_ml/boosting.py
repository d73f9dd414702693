"""LightGBM fits that give the same trees for the same rows and seed: parameters, training, text form.

Belongs here: everything that touches LightGBM's own API. Does not belong here: what scores mean (`hurdle`, `churn`).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

Link = Literal["logistic", "log"]
Fitted = TypeVar("Fitted")

# Two threads in one fit gain a third on idle cores and cost up to tenfold on busy ones (they spin). Two fits at once
# gain nearly half and cost nothing; trees are the same either way.
THREADS: Final = 1
_FITS_AT_ONCE: Final = 2


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
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": THREADS,
    "verbosity": -1,
}


@dataclass(frozen=True, slots=True)
class Member:
    """A booster and the raw score it starts from; `link` turns raw scores into the scale of the target."""

    link: Link
    booster: Any
    base: float

    def predict(self, rows: Array) -> Array:
        """Probability (logistic) or positive amount (log) by row."""
        import numpy as np
        from scipy.special import expit

        raw = np.asarray(self.booster.predict(rows, raw_score=True, num_threads=THREADS), dtype=np.float64) + self.base
        scores: Array = expit(raw) if self.link == "logistic" else np.exp(raw)
        return scores

    def contributions(self, rows: Array) -> Array:
        """What each column adds to each raw score (SHAP values); shape (rows, columns), the constant left out."""
        import numpy as np

        found = self.booster.predict(rows, pred_contrib=True, num_threads=THREADS)
        return np.asarray(found, dtype=np.float64)[:, :-1]

    def to_json(self) -> dict[str, Any]:
        """Text form; numbers survive it bit for bit."""
        return {"link": self.link, "booster": str(self.booster.model_to_string()), "base": self.base}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Member:
        import lightgbm

        return cls(stored["link"], lightgbm.Booster(model_str=stored["booster"]), stored["base"])


def side_by_side(fits: Sequence[Callable[[], Fitted]]) -> list[Fitted]:
    """What independent fits give, in their order; LightGBM lets go of Python while it works."""
    with ThreadPoolExecutor(_FITS_AT_ONCE, thread_name_prefix="fit") as pool:
        return [future.result() for future in [pool.submit(fit) for fit in fits]]


def fit_member(
    link: Link,
    rows: Array,
    target: Array,
    *,
    params: BoostingParams,
    seed: int,
    categories: Sequence[int] = (),
) -> Member:
    """Fit `rows`, in a fixed order; `categories` are column indexes.

    `logistic` is log loss on 0/1, `log` the gamma deviance on positive amounts. The gamma fit uses the expected second
    derivative, which is 1, in place of LightGBM's y / mean: with that, steps down are taken whole and steps up to large
    amounts in small change, and the dearest customers come out too cheap.
    """
    # Each fit bins its own rows: parts of a shared binned set (Dataset.subset) crash LightGBM 4.7 with categories.
    import lightgbm
    import numpy as np

    mean = float(target.mean())
    base = float(np.log(mean)) if link == "log" else float(np.log(mean / (1 - mean)))

    def gamma(raw: Array, _: Any) -> tuple[Array, Array]:
        return 1 - target * np.exp(-(raw + base)), np.ones(len(raw))

    settings = _BINNING | {
        "objective": gamma if link == "log" else "binary",
        "boost_from_average": False,
        "learning_rate": params.learning_rate,
        "num_leaves": params.leaves,
        "min_data_in_leaf": max(10, min(params.min_leaf, len(rows) // 100)),
        "bagging_fraction": params.row_share,
        "bagging_freq": 1,
        "feature_fraction": params.column_share,
        "lambda_l2": params.l2,
        "seed": seed,
    }
    data = lightgbm.Dataset(
        rows,
        target,
        init_score=np.full(len(rows), base) if link == "logistic" else None,
        categorical_feature=list(categories),
        params=dict(_BINNING),
    )
    return Member(link, lightgbm.train(settings, data, num_boost_round=params.trees), base)
