"""Quality as Dagster asset checks: one step for bronze, one for the marts, one for the marts over predictions.

A critical finding blocks what reads the table; a warning shows. What is checked stands in `quality`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Final

import dagster as dg

from assets.resources import HomeResource
from quality.checks import SUITES, compare, validate
from quality.history import record
from quality.identities import INVARIANTS
from quality.outcome import InvariantResult, SuiteResult
from quality.publications import compare_publications

PREDICTION_MARTS: Final = frozenset(
    {
        "predicted_ltv_by_campaign",
        "churn_risk",
        "channel_credit",
        "fraud_site_tests",
        "metric_alerts",
        "mart_restatements",
    }
)
_SUITE_CHECK: Final = "expectations"


def build_checks() -> list[dg.AssetChecksDefinition]:
    """The three check steps."""
    tables = {name: _asset_of(suite.table) for name, suite in SUITES.items()}
    bronze = [name for name, asset in tables.items() if asset.startswith("bronze_")]
    predictions = [name for name, asset in tables.items() if asset in PREDICTION_MARTS]
    marts = [name for name in tables if name not in {*bronze, *predictions}]
    judged = {name: _asset_of(invariant.table) for name, invariant in INVARIANTS.items()}
    bronze_invariants = [name for name, asset in judged.items() if asset.startswith("bronze_")]
    prediction_invariants = [name for name, asset in judged.items() if asset in PREDICTION_MARTS]
    mart_invariants = [name for name in judged if name not in {*bronze_invariants, *prediction_invariants}]
    return [
        published_quality,
        _checks("bronze_quality", bronze, bronze_invariants),
        _checks("mart_quality", marts, mart_invariants),
        _checks("prediction_quality", predictions, prediction_invariants),
    ]


def _checks(step: str, suites: Sequence[str], invariants: Sequence[str]) -> dg.AssetChecksDefinition:
    specs = [
        dg.AssetCheckSpec(
            _SUITE_CHECK,
            asset=_asset_of(SUITES[name].table),
            blocking=True,
            description=f"{len(SUITES[name].expectations)} expectations on {SUITES[name].table}",
        )
        for name in suites
    ]
    specs += [
        dg.AssetCheckSpec(
            name, asset=_asset_of(INVARIANTS[name].table), blocking=True, description=INVARIANTS[name].why
        )
        for name in invariants
    ]

    @dg.multi_asset_check(name=step, specs=specs)
    def run_checks(context: dg.AssetCheckExecutionContext, home: HomeResource) -> Iterator[dg.AssetCheckResult]:
        results: list[SuiteResult | InvariantResult] = []
        with home.engine(context.run.run_id) as (connection, _, _):
            results += [validate(connection, name) for name in suites]
            results += [compare(connection, name) for name in invariants]
        record(home.lake(), results, run_id=context.run.run_id, checked_at=datetime.now(UTC))
        yield from (_outcome(result) for result in results)

    return run_checks


# What is published is judged as a whole; the check hangs on the mart that every dashboard opens with.
_PUBLISHED: Final = dg.AssetKey(["marts", "campaign_daily"])


@dg.multi_asset_check(
    name="published_quality",
    specs=[
        dg.AssetCheckSpec("publications_reconcile", asset=_PUBLISHED, description="Every mart has its gold rows"),
        dg.AssetCheckSpec("publications_are_current", asset=_PUBLISHED, description="Every mart is of the newest run"),
    ],
)
def published_quality(context: dg.AssetCheckExecutionContext, home: HomeResource) -> Iterator[dg.AssetCheckResult]:
    """Compare `_publications` with gold."""
    from serving.publications import publications

    snapshot = home.repin(context.run.run_id, "gold").snapshot
    shown = [asdict(publication) for publication in publications(home.settings())]
    results = compare_publications(home.lake(), shown, snapshot)
    record(home.lake(), results, run_id=context.run.run_id, checked_at=datetime.now(UTC))
    yield from (_judged(result, _PUBLISHED) for result in results)


def _judged(result: InvariantResult, asset: dg.AssetKey) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=result.name,
        passed=result.success,
        severity=_severity(result.severity),
        description=result.detail,
        metadata={"promise": result.promise, "expected": result.expected, "observed": result.observed}
        | {"sample": list(result.sample)},
    )


def _outcome(result: SuiteResult | InvariantResult) -> dg.AssetCheckResult:
    if isinstance(result, InvariantResult):
        return _judged(result, dg.AssetKey(_asset_of(INVARIANTS[result.name].table)))
    failed = [f"{e.column}: {e.why} ({e.unexpected_count} rows)" for e in result.expectations if not e.success]
    return dg.AssetCheckResult(
        asset_key=_asset_of(result.table),
        check_name=_SUITE_CHECK,
        passed=result.success,
        severity=_severity(result.severity or "critical"),
        description=result.problem or "; ".join(failed) or f"{len(result.expectations)} expectations hold",
        metadata={"rows": result.rows, "scope": result.scope, "failed": failed},
    )


def _severity(severity: str) -> dg.AssetCheckSeverity:
    return dg.AssetCheckSeverity.ERROR if severity == "critical" else dg.AssetCheckSeverity.WARN


def _asset_of(table: str) -> str:
    return table.partition(".")[2]
