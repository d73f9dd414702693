"""The shape of the tables `ml/*`: what models and recordings write and marts read. No model lives here."""

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

CHANNEL_EFFECTS: Final = "ml/channel_effects"
MEASURE_CHANGES: Final = "ml/measure_changes"

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
    CHANNEL_EFFECTS: pa.schema(
        [
            pa.field("app_id", pa.string()),
            pa.field("month", pa.date32(), metadata={"comment": "First day of the month (UTC) of the journeys"}),
            pa.field("level", pa.string(), metadata={"comment": "What a channel is: partner or campaign"}),
            pa.field("model", pa.string(), metadata={"comment": "markov_1, markov_2, markov_3 or shapley"}),
            pa.field("partner", pa.string()),
            pa.field("campaign_id", pa.string(), metadata={"comment": "Empty by partner, and if not given"}),
            pa.field(
                "credited_conversions",
                pa.decimal128(18, 9),
                metadata={"comment": "Installs credited; over all channels the installs of the month"},
            ),
            pa.field("credited_revenue_d7_usd", pa.decimal128(18, 6), metadata={"comment": "Of days 0 to 7"}),
            pa.field("credited_revenue_d30_usd", pa.decimal128(18, 6), metadata={"comment": "Of days 0 to 30"}),
            pa.field("share", pa.float64(), metadata={"comment": "Part of the touched installs, 0 to 1"}),
            pa.field("removal_effect", pa.float64(), metadata={"comment": "Part of the conversion rate lost without"}),
            pa.field("shapley_value", pa.float64(), metadata={"comment": "Points of the conversion rate, any sign"}),
            pa.field("standard_error", pa.float64(), metadata={"comment": "Of credited_conversions, if sampled"}),
            pa.field(
                "conversion_rate", pa.float64(), metadata={"comment": "Of the touched journeys; 1 if none is lost"}
            ),
            pa.field("journeys", pa.int64(), metadata={"comment": "Journeys the channel is in"}),
            pa.field("input_hash", pa.string(), metadata={"comment": "Hash of the journeys and of the method"}),
        ]
    ),
    "ml/predictions_metric_alerts": pa.schema(
        [
            pa.field("app_id", pa.string()),
            pa.field("date", pa.date32(), metadata={"comment": "UTC date that is unlike the weeks before"}),
            pa.field("level", pa.string(), metadata={"comment": "What was summed: campaign, partner or platform"}),
            pa.field("platform", pa.string(), metadata={"comment": "Empty by campaign and by partner"}),
            pa.field("partner", pa.string(), metadata={"comment": "Empty by platform"}),
            pa.field("campaign_id", pa.string(), metadata={"comment": "Empty by partner and by platform"}),
            pa.field("metric", pa.string(), metadata={"comment": "installs, cost, revenue_d0, cvr or ecpi"}),
            pa.field(
                "observed", pa.float64(), metadata={"comment": "Count; USD; installs of the CVR; USD of three days"}
            ),
            pa.field("expected", pa.float64(), metadata={"comment": "The same as the weeks before let expect"}),
            pa.field("clicks", pa.int64(), metadata={"comment": "Denominator of the CVR; else empty"}),
            pa.field("score", pa.float64(), metadata={"comment": "Spreads away from what is expected; below 0 less"}),
            pa.field("since", pa.date32(), metadata={"comment": "First of the days in a row that are alerts"}),
            pa.field("is_new", pa.bool_(), metadata={"comment": "Of the latest day that is known, and its first"}),
        ]
    ),
    "ml/predictions_fraud_sites": pa.schema(
        [
            pa.field("app_id", pa.string()),
            pa.field("period_date", pa.date32(), metadata={"comment": "First UTC date of the month of the installs"}),
            pa.field("partner", pa.string()),
            pa.field("site_id", pa.string()),
            pa.field("test", pa.string()),
            pa.field("n", pa.int64(), metadata={"comment": "Installs whose last click the site sent"}),
            pa.field("statistic", pa.float64(), metadata={"comment": "Share, distance or percentile of the site"}),
            pa.field("baseline", pa.float64(), metadata={"comment": "The same of the clean sources or the app's rest"}),
            pa.field("p_value", pa.float64(), metadata={"comment": "Of this test alone; empty for what only ranks"}),
            pa.field("q_value", pa.float64(), metadata={"comment": "After Benjamini-Hochberg over the app's month"}),
            pa.field("is_suspicious", pa.bool_(), metadata={"comment": "Certain and large enough to look at"}),
        ]
    ),
    MEASURE_CHANGES: pa.schema(
        [
            pa.field("recording", pa.int64(), metadata={"comment": "Number of the recording, growing by one"}),
            pa.field("run_id", pa.string(), metadata={"comment": "Run that built the value"}),
            pa.field("recorded_at", _INSTANT, metadata={"comment": "When the value was recorded, UTC"}),
            pa.field("app_id", pa.string()),
            pa.field("date", pa.date32(), metadata={"comment": "UTC date of the row of campaign_daily"}),
            pa.field("platform", pa.string()),
            pa.field("partner", pa.string()),
            pa.field("campaign_id", pa.string()),
            pa.field("measure", pa.string(), metadata={"comment": "Column of campaign_daily"}),
            pa.field("old_value", pa.decimal128(18, 6), metadata={"comment": "Value recorded before, if any"}),
            pa.field("new_value", pa.decimal128(18, 6), metadata={"comment": "Value from now on, if any"}),
            pa.field("causes", pa.string(), metadata={"comment": "Inputs that changed between, by commas"}),
            pa.field("reason", pa.string(), metadata={"comment": "The same in words"}),
        ]
    ),
}
