"""The shape of the prediction tables `ml/*`: what models write and marts read. No model lives here."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

_INSTANT: Final = pa.timestamp("us", tz="UTC")

_KEYS: Final = (
    pa.field("app_id", pa.string()),
    pa.field("install_id", pa.string()),
    pa.field("as_of", _INSTANT, metadata={"comment": "Instant the features were known at, UTC"}),
    pa.field("horizon_days", pa.int32(), metadata={"comment": "Days after the install (LTV) or after as_of (churn)"}),
)
_MODEL: Final = (
    pa.field("model_name", pa.string()),
    pa.field("model_version", pa.string()),
    pa.field("feature_version", pa.string()),
    pa.field("run_id", pa.string()),
)

PREDICTION_SCHEMAS: Final[dict[str, pa.Schema]] = {
    "ml/predictions_ltv": pa.schema(
        [
            *_KEYS,
            pa.field("predicted_ltv_usd", pa.float64(), metadata={"comment": "Revenue to the horizon, USD"}),
            pa.field("predicted_ltv_low_usd", pa.float64(), metadata={"comment": "Lower bound, USD"}),
            pa.field("predicted_ltv_high_usd", pa.float64(), metadata={"comment": "Upper bound, USD"}),
            pa.field("observed_revenue_usd", pa.decimal128(18, 6), metadata={"comment": "Revenue seen at as_of, USD"}),
            *_MODEL,
        ]
    ),
    "ml/predictions_churn": pa.schema(
        [
            *_KEYS,
            pa.field("churn_probability", pa.float64(), metadata={"comment": "0 to 1"}),
            pa.field("top_reasons", pa.string(), metadata={"comment": "Features that moved the score most"}),
            *_MODEL,
        ]
    ),
}
