"""The value model of one horizon: one hurdle per kind of revenue under one encoding, and the interval of their sum.

Belongs here: how hurdles are put together, and the JSON form of the whole. Does not belong here: training data (`ltv`),
the registry (`tracking`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from models_ml.boosting import BoostingParams
from models_ml.encoding import Encoding, fit_encoding
from models_ml.hurdle import MIN_PAYERS, Forecast, Hurdle, fit_hurdle
from models_ml.seeds import user_folds

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

FOLDS: Final = 3


@dataclass(frozen=True, slots=True)
class ValueModel:
    """Expected revenue of the label window. `bounds` scale the summed interval so that out of fold 10 % lie beyond
    each side where the distribution allows it."""

    encoding: Encoding
    hurdles: dict[str, Hurdle]
    bounds: tuple[float, float] = (1.0, 1.0)

    def forecast(self, frame: pd.DataFrame, stretch: float = 1.0) -> Forecast:
        """Forecast by row of a feature frame, in USD; `stretch` as in `Hurdle.forecast`."""
        rows = self.encoding.matrix(frame)
        return self.combine([hurdle.forecast(rows, stretch) for hurdle in self.hurdles.values()])

    def combine(self, parts: list[Forecast]) -> Forecast:
        import numpy as np

        chance = 1 - np.prod([1 - part.chance for part in parts], axis=0)
        expected, low, high = (
            np.sum([getattr(part, name) for part in parts], axis=0) for name in ("expected", "low", "high")
        )
        return Forecast(chance, expected, low * self.bounds[0], high * self.bounds[1])

    def to_json(self) -> dict[str, Any]:
        return {
            "type": "value",
            "encoding": self.encoding.to_json(),
            "hurdles": {kind: hurdle.to_json() for kind, hurdle in self.hurdles.items()},
            "bounds": list(self.bounds),
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> ValueModel:
        hurdles = {kind: Hurdle.from_json(text) for kind, text in stored["hurdles"].items()}
        low, high = stored["bounds"]
        return cls(Encoding.from_json(stored["encoding"]), hurdles, (low, high))


def fit_value_model(
    frame: pd.DataFrame, revenue: dict[str, Array], *, params: BoostingParams, root_seed: int, name: str
) -> tuple[ValueModel, Forecast]:
    """The model and its out-of-fold forecast. `revenue` by kind, in USD, in the order of `frame`.

    Kinds with fewer than MIN_PAYERS paying rows are added to the kind most paid; ValueError if that has too few.
    """
    import numpy as np

    encoding = fit_encoding(frame)
    rows = encoding.matrix(frame)
    folds = user_folds(frame["app_id"], frame["install_id"], FOLDS)
    hurdles, parts = {}, []
    merged = _merge_rare(revenue)
    for kind, amounts in merged.items():
        hurdles[kind], part = fit_hurdle(
            rows,
            amounts,
            folds,
            params=params,
            root_seed=root_seed,
            name=f"{name}/{kind}",
            categories=encoding.category_indexes,
        )
        parts.append(part)
    plain = ValueModel(encoding, hurdles)
    summed = plain.combine(parts)
    total = np.maximum(np.sum(list(revenue.values()), axis=0), 0.0)
    model = ValueModel(encoding, hurdles, _bounds(total, summed))
    return model, model.combine(parts)


def _merge_rare(revenue: dict[str, Array]) -> dict[str, Array]:
    """Kinds enough rows paid for, the rest added to the kind most rows paid for: the total must not lose anything."""
    payers = {kind: int((amounts > 0).sum()) for kind, amounts in revenue.items()}
    main = max(payers, key=lambda kind: payers[kind])
    merged = {kind: amounts for kind, amounts in revenue.items() if kind == main or payers[kind] >= MIN_PAYERS}
    for kind, amounts in revenue.items():
        if kind not in merged:
            merged[main] = merged[main] + amounts
    return merged


def _bounds(actual: Array, forecast: Forecast) -> tuple[float, float]:
    """Factors on lower and upper bound by which out-of-fold actuals stay inside 90 % of the time by side."""
    import numpy as np

    factors = []
    for bound, level in ((forecast.low, 0.1), (forecast.high, 0.9)):
        used = bound > 0
        ratio = actual[used] / bound[used]
        factors.append(float(np.quantile(ratio, level)) if len(ratio) >= MIN_PAYERS else 1.0)
    # A bound may narrow or widen, never cross: low rows of zero stay zero.
    low, high = factors
    return min(low, 1.0), max(high, low, 0.1)
