"""Which dates a run must build: worked out from the bronze files that arrived since the last finished run.

A plan names date sets; each dbt model declares the set it reads (`meta.plan`) and replaces those partitions whole.
A set may be larger than needed, never smaller: full refresh and incremental give the same rows. What was consumed is
kept by `lakehouse.runs`; the models themselves are in `dbt_project/`.

    event_dates     dates of new app events, and of rows they collide with (same id, other date)
    touch_dates     the same for touchpoints
    cost_dates      cost days of new cost rows
    install_dates   installs to decide again: new or changed installs, and those a new touch or consent may reach
    cohort_dates    install dates of every install with new events, and of cohorts that come of age
    campaign_dates  cohort_dates, touch_dates, cost_dates, and every day that comes of age
    ingest_dates    receipt days of new rows
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final

import duckdb

from lakehouse.apps import load_apps
from lakehouse.contract import bronze_schemas
from lakehouse.engine import connect, select_files
from lakehouse.lake import Lake
from lakehouse.runs import Run, code_version, last_run
from lakehouse.settings import Settings

COHORT_DAYS: Final = 30
# An environment variable holds the plan; beyond this many dates a full refresh is the cheaper way anyway.
_MAX_DATES: Final = 6_000
_REQUIRED: Final = (
    "silver/stg_app_events",
    "silver/stg_touchpoints",
    "silver/stg_consents",
    "silver/stg_costs",
    "silver/int_installs",
    "gold/campaign_daily",
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
    connection = connect(settings, lake=lake, snapshot=snapshot, layers=("silver", "rules"))
    try:
        create_new_views(connection, lake, new, snapshot)
        implied = [app.app_id for app in load_apps(settings).apps.values() if app.implied_installs]
        dates = _date_sets(connection, implied)
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


def _date_sets(connection: duckdb.DuckDBPyConnection, implied_apps: list[str]) -> dict[str, set[date]]:
    """The date sets by name."""
    apps = ", ".join("'" + app.replace("'", "''") + "'" for app in sorted(implied_apps)) or "null"
    connection.execute(
        f"""
        create temp table new_events as
            select app_id, record_id, event_date, ingest_date, install_id, event_at, received_at,
                record_type = 'install' or app_id in ({apps}) as makes_install
            from bronze_new.bronze_app_events;
        create temp table new_touches as
            select app_id, record_id, event_date from bronze_new.bronze_touchpoints;
        -- Rows already in silver under an id that arrived again.
        create temp table known_events as
            select s.app_id, s.record_id, s.event_date, s.received_at, s.install_id
            from silver.stg_app_events s semi join new_events n on s.app_id = n.app_id and s.record_id = n.record_id;
        create temp table known_touches as
            select s.event_date, s.received_at
            from silver.stg_touchpoints s semi join new_touches n on s.app_id = n.app_id and s.record_id = n.record_id;
        """
    )
    event_dates = _dates(connection, "select event_date from new_events union select event_date from known_events")
    touch_dates = _dates(connection, "select event_date from new_touches union select event_date from known_touches")
    cost_dates = _dates(
        connection,
        """
        select cost_date from bronze_new.bronze_costs
        union select s.cost_date from silver.stg_costs s
            semi join bronze_new.bronze_costs n on s.app_id = n.app_id and s.record_id = n.record_id
        """,
    )
    install_dates = _dates(
        connection,
        """
        with ids as (select distinct app_id, install_id from new_events where makes_install)
        select event_date from new_events where makes_install
        union select event_date from known_events join ids using (app_id, install_id)
        union select i.install_date from silver.int_installs i join ids using (app_id, install_id)
        """,
    )
    days = _longest_window_days(connection)
    reached = {touch + timedelta(days=n) for touch in touch_dates for n in range(days + 1)}
    install_dates |= reached & _dates(connection, "select distinct install_date from silver.int_installs")
    install_dates |= _dates(
        connection,
        """
        -- A consent is heard by installs at or after it, also the one that an earlier copy of it named.
        with said as (
            select app_id, record_id, install_id, event_at from bronze_new.bronze_consents
            union all
            select s.app_id, s.record_id, s.install_id, s.event_at from silver.stg_consents s
                semi join bronze_new.bronze_consents n on s.app_id = n.app_id and s.record_id = n.record_id
        )
        select distinct i.install_date from silver.int_installs i
            join said s on i.app_id = s.app_id and i.install_id = s.install_id and i.install_at >= s.event_at
        """,
    )
    ageing = _ageing_dates(connection)
    cohort_dates = install_dates | _dates(
        connection,
        """
        with ids as (select app_id, install_id from new_events union select app_id, install_id from known_events)
        select distinct i.install_date from silver.int_installs i join ids using (app_id, install_id)
        """,
    )
    cohort_dates |= ageing & _dates(connection, "select distinct install_date from silver.int_installs")
    received = " union ".join(
        f"select ingest_date from bronze_new.{table.partition('/')[2]}" for table in bronze_schemas()
    )
    ingest_dates = _dates(
        connection,
        f"{received} union select received_at::date from known_events"
        " union select received_at::date from known_touches",
    )
    return {
        "event_dates": event_dates,
        "touch_dates": touch_dates,
        "cost_dates": cost_dates,
        "install_dates": install_dates,
        "cohort_dates": cohort_dates,
        "campaign_dates": cohort_dates | touch_dates | cost_dates | ageing,
        "ingest_dates": ingest_dates,
    }


def _ageing_dates(connection: duckdb.DuckDBPyConnection) -> set[date]:
    """Install dates whose maturity may change, as some app's watermark (its latest lived instant) moves."""
    rows = connection.execute(
        """
        with before as (
            select app_id, max(least(event_at, received_at)) as watermark from silver.stg_app_events
            where environment is distinct from 'claims' group by app_id
        ),
        kept as (
            -- A copy with another time replaces the known row, which may take the watermark back.
            select s.app_id, max(least(s.event_at, s.received_at)) as watermark
            from silver.stg_app_events s anti join new_events n on s.app_id = n.app_id and s.record_id = n.record_id
            where s.environment is distinct from 'claims'
            group by s.app_id
        ),
        arrived as (
            select app_id, max(least(event_at, received_at)) as latest, min(least(event_at, received_at)) as earliest
            from new_events group by app_id
        )
        select
            least(b.watermark, coalesce(greatest(k.watermark, a.earliest), a.earliest))::date,
            greatest(b.watermark, a.latest)::date
        from arrived a left join before b using (app_id) left join kept k using (app_id)
        """
    ).fetchall()
    ageing: set[date] = set()
    for earliest, latest in rows:
        first = earliest - timedelta(days=COHORT_DAYS + 2)
        ageing |= {first + timedelta(days=n) for n in range((latest - first).days + 1)}
    return ageing


def _longest_window_days(connection: duckdb.DuckDBPyConnection) -> int:
    hours = connection.execute("select max(window_hours) from rules.rule_attribution_windows").fetchall()[0][0]
    return -(-int(hours) // 24)


def _dates(connection: duckdb.DuckDBPyConnection, sql: str) -> set[date]:
    rows: Iterable[tuple[date | None]] = connection.execute(sql).fetchall()
    return {row[0] for row in rows if row[0] is not None}
