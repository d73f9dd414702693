"""LTV and churn as assets: a model that is trained and gated, and the predictions of its champion.

Beside them the effects of channels, the tests of sites, the record of changed values and the alerts, which are worked
out and need no training.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import dagster as dg

from assets.lineage import OWNERS, table_metadata
from assets.resources import HomeResource
from lakehouse.predictions import CHANNEL_EFFECTS, MEASURE_CHANGES
from models_ml.results import ScoringResult, TrainingResult

_INPUTS: Final = ["stg_app_events", "int_installs", "int_revenue_events", "attributed_installs"]
_KINDS: Final = {"lightgbm", "mlflow"}
# A group of its own, as runs without training bring its tables up to date too.
EFFECTS_GROUP: Final = "effects"


@dg.asset(group_name="models", deps=_INPUTS, owners=OWNERS, kinds=_KINDS)
def ltv_model(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult[None]:
    """Lifetime value to day 30 and day 90 after the install: trained, compared with baselines, promoted by a gate."""
    from models_ml.ltv import train_ltv

    with home.engine(context.run_id) as (connection, snapshot, settings):
        results = train_ltv(connection, snapshot, settings, tags=_tags(context))
    return dg.MaterializeResult(metadata=_training_metadata(results))


@dg.asset(group_name="models", deps=_INPUTS, owners=OWNERS, kinds=_KINDS)
def churn_model(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult[None]:
    """Chance that a user active now is silent for the next 14 days: trained, compared, promoted by a gate."""
    from models_ml.churn import train_churn

    with home.engine(context.run_id) as (connection, snapshot, settings):
        result = train_churn(connection, snapshot, settings, tags=_tags(context))
    return dg.MaterializeResult(metadata=_training_metadata([result]))


@dg.asset(group_name="models", deps=["ltv_model"], owners=OWNERS, kinds={"deltalake"})
def predictions_ltv(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult[None]:
    """Predicted lifetime value by install and horizon, of the champion models."""
    from models_ml.scoring import score_ltv

    with home.writing(), home.engine(context.run_id) as (connection, snapshot, settings):
        result = score_ltv(connection, snapshot, settings)
    return dg.MaterializeResult(metadata=_scoring_metadata(home, result))


@dg.asset(group_name="models", deps=["churn_model"], owners=OWNERS, kinds={"deltalake"})
def predictions_churn(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult[None]:
    """Chance of churn by install, with its main reasons, of the champion model."""
    from models_ml.scoring import score_churn

    with home.writing(), home.engine(context.run_id) as (connection, snapshot, settings):
        result = score_churn(connection, snapshot, settings)
    return dg.MaterializeResult(metadata=_scoring_metadata(home, result))


@dg.asset(group_name=EFFECTS_GROUP, deps=["int_channel_paths", "int_watermarks"], owners=OWNERS, kinds={"deltalake"})
def channel_effects(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult[None]:
    """Credit of channels by Markov and Shapley models, per app and month; unchanged months keep their rows."""
    from models_ml.multi_touch.channel_effects import write_channel_effects

    with home.writing(), home.engine(context.run_id) as (connection, snapshot, _):
        result = write_channel_effects(connection, snapshot, home.lake())
    metadata = table_metadata(home.lake(), CHANNEL_EFFECTS, result.table_version, preview=True)
    counted = {"months": result.months, "months_computed": result.computed, "notes": "; ".join(result.notes)}
    return dg.MaterializeResult(metadata=metadata | counted)


@dg.asset(group_name=EFFECTS_GROUP, deps=["campaign_daily"], owners=OWNERS, kinds={"deltalake"})
def measure_changes(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult[None]:
    """Values of campaign_daily whose day is over, recorded as they change from run to run, with what changed them."""
    from lakehouse.measure_changes import record_changes

    with home.writing(), home.engine(context.run_id) as (connection, snapshot, settings):
        result = record_changes(
            connection, snapshot, settings, home.lake(), run_id=context.run_id, recorded_at=datetime.now(UTC)
        )
    metadata = table_metadata(home.lake(), MEASURE_CHANGES, result.table_version)
    return dg.MaterializeResult(metadata=metadata | {"first_recorded": result.first, "restated": result.restated})


@dg.asset(
    group_name="models",
    deps=["attribution_candidates", "stg_touchpoints", "rule_fraud_baselines"],
    owners=OWNERS,
    kinds={"deltalake"},
)
def predictions_fraud_sites(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult[None]:
    """Statistical tests of the traffic of every site large enough to be judged."""
    from models_ml.site_tests import score_sites

    with home.writing(), home.engine(context.run_id) as (connection, snapshot, settings):
        result = score_sites(connection, snapshot, settings)
    return dg.MaterializeResult(metadata=_scoring_metadata(home, result))


@dg.asset(
    group_name=EFFECTS_GROUP,
    deps=["campaign_daily", "int_watermarks"],
    owners=OWNERS,
    kinds={"deltalake"},
    check_specs=[dg.AssetCheckSpec("no_new_alerts", asset="predictions_metric_alerts", description="docs/alerts.md")],
)
def predictions_metric_alerts(
    context: dg.AssetExecutionContext, home: HomeResource
) -> Iterator[dg.MaterializeResult[None]]:
    """Complete days on which installs, cost, revenue, CVR or eCPI are unlike the weeks before."""
    from models_ml.anomalies.watch import watch_metrics

    with home.writing(), home.engine(context.run_id) as (connection, snapshot, settings):
        result, worst = watch_metrics(connection, snapshot, settings)
    check = dg.AssetCheckResult(
        check_name="no_new_alerts",
        passed=not worst,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{'; '.join(worst)}: see docs/alerts.md" if worst else "the latest day is like the weeks before",
    )
    yield dg.MaterializeResult(metadata=_scoring_metadata(home, result), check_results=[check])


MODEL_ASSETS: Final = [
    predictions_metric_alerts,
    ltv_model,
    churn_model,
    predictions_ltv,
    predictions_churn,
    channel_effects,
    measure_changes,
    predictions_fraud_sites,
]


def _tags(context: dg.AssetExecutionContext) -> dict[str, str]:
    return {"dagster.run_id": context.run_id, "dagster.asset_key": context.asset_key.to_user_string()}


def _training_metadata(results: list[TrainingResult]) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    for result in results:
        name = result.model_name
        metadata[f"{name}/outcome"] = result.reason or ", ".join(
            [result.status, "promoted" if result.is_promoted else "not promoted", *result.gate_reasons]
        )
        if result.model_version is not None:
            metadata[f"{name}/version"] = result.model_version
            metadata[f"{name}/mlflow_run"] = result.run_path
            metadata |= {f"{name}/{measure}": value for measure, value in sorted(result.metrics.items())}
    return metadata


def _scoring_metadata(home: HomeResource, result: ScoringResult) -> dict[str, Any]:
    metadata = table_metadata(home.lake(), result.table, result.table_version, preview=True)
    metadata["models"] = {str(horizon): version for horizon, version in result.models.items()}
    metadata["as_of"] = {app: instant.isoformat() for app, instant in result.as_of.items()}
    metadata["notes"] = "; ".join(result.notes)
    return metadata
