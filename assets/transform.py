"""Silver and gold: the dbt models as assets, in two steps, as predictions sit between them."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import dagster as dg
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster_dbt import DbtCliResource, DbtProject, dbt_assets

from assets.lineage import table_metadata
from assets.project import LayerTranslator, dbt_folders
from assets.resources import HomeResource
from lakehouse.lake import Lake
from lakehouse.pins import exported
from lakehouse.runs import record_run

# `buildable`: a test waits for all its parents, so one between the two steps runs in the second.
_BUILD: Final = ("build", "--indirect-selection=buildable")

_UNCHANGED: Final = "unchanged: nothing new arrived"


def build_transform(project: DbtProject) -> list[dg.AssetsDefinition]:
    """The two dbt steps: everything up to the marts, and the marts that read predictions."""

    @dbt_assets(
        manifest=project.manifest_path,
        project=project,
        select="tag:core resource_type:seed",
        name="silver_and_gold",
        dagster_dbt_translator=LayerTranslator(),
    )
    def silver_and_gold(context: dg.AssetExecutionContext, dbt: DbtCliResource, home: HomeResource) -> Iterator[Any]:
        """Build the dates of the plan, and note the run as finished once all of them are in place."""
        with home.writing():
            home.require_rules()
            pin = home.pin(context.run_id)
            if pin.plan.is_empty:
                yield from _unchanged(context, home.lake())
                return
            skipped = ["unit_test"] if pin.plan.mode == "full" else ["unit_test", "seed"]
            arguments = [*_BUILD, *(f"--exclude-resource-type={kind}" for kind in skipped)]
            with exported(pin.environment | dbt_folders(home.settings())):
                invocation = dbt.cli(arguments, context=context)
            if "seed" in skipped:
                yield from _kept_rules(context, home.lake())
            yield from _with_metadata(invocation.stream(), context, home.lake())
            if not context.is_subset:
                _record(context, home)

    @dbt_assets(
        manifest=project.manifest_path,
        project=project,
        select="tag:predictions",
        name="prediction_marts",
        dagster_dbt_translator=LayerTranslator(),
    )
    def prediction_marts(context: dg.AssetExecutionContext, dbt: DbtCliResource, home: HomeResource) -> Iterator[Any]:
        """Build the marts over predictions; they are small and rebuilt whole."""
        with home.writing():
            pin = home.repin(context.run_id, "silver", "gold", "rules", "ml")
            if pin.plan.is_empty and _reflect_predictions(context, home.lake(), pin.snapshot):
                yield from _unchanged(context, home.lake())
                return
            rebuilt = {"UNMOGROWP_PLAN": '{"mode": "full"}'}
            with exported(pin.environment | dbt_folders(home.settings()) | rebuilt):
                invocation = dbt.cli([*_BUILD, "--exclude-resource-type=unit_test"], context=context)
            yield from _with_metadata(invocation.stream(), context, home.lake())

    return [silver_and_gold, prediction_marts]


def _record(context: dg.AssetExecutionContext, home: HomeResource) -> None:
    pin = home.pin(context.run_id)
    record_run(
        home.lake(),
        run_id=context.run_id,
        mode=pin.plan.mode,
        reason=pin.plan.reason,
        code_version=pin.plan.code_version,
        snapshot=pin.snapshot,
        plan=pin.plan.sizes,
        finished_at=datetime.now(UTC),
    )


def _kept_rules(context: dg.AssetExecutionContext, lake: Lake) -> Iterator[dg.MaterializeResult[None]]:
    """The seeds that an incremental run leaves as they are. Dagster skips every step below an asset that a run did not
    give, without a word: the marts over predictions, and publishing."""
    for key in _upstream_first(context):
        table = _table_of(lake, key)
        if table is not None and table.startswith("rules/"):
            metadata = table_metadata(lake, table, lake.version(table))
            yield dg.MaterializeResult(asset_key=key, metadata=metadata | {"state": _UNCHANGED})


def _unchanged(
    context: dg.AssetExecutionContext, lake: Lake
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """What stands, as it was: tables with their versions, and of every test what it last found of the same rows."""
    for key in _upstream_first(context):
        table = _table_of(lake, key)
        metadata = table_metadata(lake, table, lake.version(table)) if table else {}
        yield dg.MaterializeResult(asset_key=key, metadata=metadata | {"state": _UNCHANGED})
    for check in context.selected_asset_check_keys:
        found = _last_finding(context.instance, check)
        if found is not None:
            yield dg.AssetCheckResult(
                asset_key=check.asset_key,
                check_name=check.name,
                passed=found.passed,
                severity=found.severity,
                metadata={"state": _UNCHANGED},
            )


def _last_finding(instance: dg.DagsterInstance, check: dg.AssetCheckKey) -> dg.AssetCheckEvaluation | None:
    """What a check last found, None if no run of this instance has evaluated it."""
    history = instance.event_log_storage.get_asset_check_execution_history(
        check, limit=1, status={AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}
    )
    return history[0].evaluation if history else None


def _reflect_predictions(context: dg.AssetExecutionContext, lake: Lake, snapshot: dict[str, int]) -> bool:
    """True if every selected mart was built from the prediction tables of `snapshot`."""
    wanted = {table: version for table, version in snapshot.items() if table.startswith("ml/")}
    for key in context.selected_asset_keys:
        table = f"gold/{key.path[-1]}"
        if table not in snapshot:
            return False
        built_from = json.loads(lake.open(table, snapshot[table]).history(1)[0].get("snapshot", "{}"))
        if {name: version for name, version in built_from.items() if name.startswith("ml/")} != wanted:
            return False
    return True


def _upstream_first(context: dg.AssetExecutionContext) -> list[dg.AssetKey]:
    ordered = context.job_def.asset_layer.asset_graph.toposorted_asset_keys
    return [key for key in ordered if key in context.selected_asset_keys]


def _with_metadata(events: Any, context: dg.AssetExecutionContext, lake: Lake) -> Iterator[Any]:
    """dbt's events, with what the table now holds."""
    for event in events:
        if isinstance(event, dg.Output):
            table = _table_of(lake, context.asset_key_for_output(event.output_name))
            extra = table_metadata(lake, table, lake.version(table), preview=True) if table else {}
            yield dg.Output(None, output_name=event.output_name, metadata={**event.metadata, **extra})
        else:
            yield event


def _table_of(lake: Lake, key: dg.AssetKey) -> str | None:
    candidates = (f"{layer}/{key.path[-1]}" for layer in ("gold", "silver", "rules"))
    return next((table for table in candidates if lake.exists(table)), None)
