"""Which dates a run must build: worked out from the bronze files that arrived since the last finished run.

A plan names date sets (`lakehouse.plan_dates`); each dbt model declares the set it reads (`meta.plan`) and replaces
those partitions whole; a model that follows no set is built whole. What was consumed is kept by `lakehouse.runs`; the
models themselves are in `dbt_project/`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final

import duckdb

from lakehouse.apps import load_apps
from lakehouse.contract import bronze_schemas
from lakehouse.engine import connect, create_view, select_files
from lakehouse.lake import Lake
from lakehouse.plan_dates import date_sets
from lakehouse.runs import Run, code_version, last_run
from lakehouse.settings import Settings

# An environment variable holds the plan; beyond this many dates a full refresh is the cheaper way anyway.
_MAX_DATES: Final = 6_000
_REQUIRED: Final = (
    "silver/stg_app_events",
    "silver/stg_touchpoints",
    "silver/stg_consents",
    "silver/stg_cost_statements",
    "silver/stg_costs",
    "silver/stg_skan_deliveries",
    "silver/stg_skan_postbacks",
    "silver/int_fx_rates",
    "silver/int_installs",
    "silver/int_link_install_costs",
    "silver/int_conversions",
    "silver/int_reengagement_opens",
    "silver/int_money_events",
    "silver/int_revenue_events",
    "silver/int_subscriptions",
    "silver/int_watermarks",
    "gold/campaign_daily",
)
# What the date sets are read from. A view opens every file of its table, which takes longer than most of their queries.
SILVER: Final = (
    "int_conversions",
    "int_fx_rates",
    "int_installs",
    "int_link_install_costs",
    "int_money_events",
    "int_reengagement_opens",
    "int_subscriptions",
    "int_watermarks",
    "stg_app_events",
    "stg_consents",
    "stg_cost_statements",
    "stg_costs",
    "stg_skan_deliveries",
    "stg_touchpoints",
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to build. In full mode `dates` is empty and means everything."""

    mode: str
    reason: str
    code_version: str
    consumed: dict[str, int] = field(default_factory=dict)
    dates: dict[str, list[date]] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Nothing arrived and no rule changed since the last run."""
        return self.mode == "incremental" and not any(self.dates.values())

    @property
    def sizes(self) -> dict[str, int]:
        return {name: len(dates) for name, dates in self.dates.items()}

    def to_json(self) -> str:
        """The form dbt reads from `UNMOGROWP_PLAN`."""
        dates = {name: [d.isoformat() for d in values] for name, values in self.dates.items()}
        return json.dumps({"mode": self.mode, "consumed": self.consumed, "dates": dates})


def make_plan(settings: Settings, lake: Lake, snapshot: Mapping[str, int], *, full_refresh: bool = False) -> Plan:
    """The plan that brings silver and gold up to the bronze versions of `snapshot`."""
    code = code_version(settings.dbt_project, load_apps(settings), settings.rules_dir)
    last = last_run(lake)
    if (reason := _why_full(lake, last, code, full_refresh)) is not None or last is None:
        return Plan("full", reason or "first run", code)
    new = {table: new_files(lake, table, last.snapshot.get(table), snapshot.get(table)) for table in bronze_schemas()}
    if not any(new.values()):
        return Plan("incremental", "nothing new", code, dict(last.snapshot))
    connection = connect(settings, lake=lake, snapshot=snapshot, layers=("rules",))
    try:
        _create_silver_views(connection, lake, snapshot)
        create_new_views(connection, lake, new, snapshot)
        implied = [app.app_id for app in load_apps(settings).apps.values() if app.implied_installs]
        dates = date_sets(connection, implied, attribution_lookback_days(settings.dbt_project))
    finally:
        connection.close()
    if sum(len(values) for values in dates.values()) > _MAX_DATES:
        return Plan("full", "more dates changed than an incremental run can name", code)
    return Plan(
        "incremental", "new data", code, dict(last.snapshot), {name: sorted(values) for name, values in dates.items()}
    )


def new_files(lake: Lake, table: str, consumed: int | None, version: int | None) -> list[str]:
    """Data files with the rows of `version` that `consumed` did not have.

    Where the log cannot tell, all files that `consumed` did not have: with compaction between, more than is new.
    """
    if version is None or consumed == version:
        return []
    if consumed is not None and (added := lake.files_added(table, consumed, version)) is not None:
        return added
    files = lake.files(table, version)
    if consumed is None:
        return files
    known = set(lake.files(table, consumed))
    return [file for file in files if file not in known]


def create_new_views(
    connection: duckdb.DuckDBPyConnection, lake: Lake, new: Mapping[str, list[str]], snapshot: Mapping[str, int]
) -> None:
    """Views `bronze_new.<table>` over the new files only; empty views for tables without any."""
    connection.execute("create schema if not exists bronze_new")
    for table, contract_schema in bronze_schemas().items():
        schema = lake.schema(table, snapshot[table]) if table in snapshot else contract_schema
        name = table.partition("/")[2]
        connection.execute(f'create or replace view bronze_new."{name}" as {select_files(schema, new.get(table, []))}')


def _create_silver_views(connection: duckdb.DuckDBPyConnection, lake: Lake, snapshot: Mapping[str, int]) -> None:
    connection.execute("create schema if not exists silver")
    for table in (f"silver/{name}" for name in SILVER):
        create_view(connection, lake, table, snapshot.get(table))


def _why_full(lake: Lake, last: Run | None, code: str, full_refresh: bool) -> str | None:
    if full_refresh:
        return "asked for"
    if last is None:
        return "first run"
    if last.code_version != code:
        return "models, rules or apps changed"
    missing = [table for table in _REQUIRED if not lake.exists(table)]
    if missing:
        return f"{missing[0]} does not exist"
    for table, version in last.snapshot.items():
        # History that was cleaned away cannot tell which files are new.
        try:
            lake.files(table, version)
        except FileNotFoundError:
            return f"the log of {table} no longer reaches back to version {version}"
    return None


def attribution_lookback_days(dbt_project: Path) -> int:
    """The variable `attribution_lookback_days` of the dbt project."""
    text = (dbt_project / "dbt_project.yml").read_text(encoding="utf-8")
    found = re.search(r"^  attribution_lookback_days: *(\d+)", text, flags=re.MULTILINE)
    if found is None:
        raise ValueError(f"{dbt_project / 'dbt_project.yml'} does not set the variable attribution_lookback_days")
    return int(found[1])
