"""What a model has to beat: forecasts that need no training beyond one number.

Belongs here: naive forecasts on the same feature frame. Does not belong here: BG/NBD (`btyd`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def past_spend(frame: pd.DataFrame, horizon_days: float | None = None) -> Array:
    """Past revenue of all kinds x length of the label window / age: who spent will go on at the same rate."""
    import numpy as np

    past = frame["purchase_usd"].fillna(0).to_numpy() + frame["ad_usd"].fillna(0).to_numpy()
    ahead = frame["horizon_days"].to_numpy() if horizon_days is None else horizon_days
    return np.asarray(past * ahead / np.maximum(frame["age_days"].to_numpy(), 1.0), dtype=np.float64)


def scaled(forecast: Array, training_forecast: Array, training_actual: Array) -> Array:
    """`forecast` times the factor that makes its total right on the training rows."""
    total = float(training_forecast.sum())
    return forecast * (float(training_actual.sum()) / total if total > 0 else 1.0)


def silence(frame: pd.DataFrame, training: pd.DataFrame, churned: Array) -> Array:
    """Chance of churn by days since the last activity: the share among training rows equally long silent."""
    import numpy as np

    edges = np.unique(np.quantile(training["active_recency_days"], np.linspace(0, 1, 11)[1:-1]))
    groups = np.searchsorted(edges, training["active_recency_days"].to_numpy())
    counts = np.bincount(groups, minlength=len(edges) + 1)
    shares = np.bincount(groups, weights=churned, minlength=len(edges) + 1) / np.maximum(counts, 1)
    shares = np.where(counts > 0, shares, churned.mean())
    return np.asarray(shares[np.searchsorted(edges, frame["active_recency_days"].to_numpy())], dtype=np.float64)
