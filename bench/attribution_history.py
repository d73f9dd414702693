"""One day on a long and on a short history, for the section `attribution`: the same day after 120 and after 40 days.

The histories are the last days of one simulated world, a file of bronze per day and table. A run is what the
platform does: plan, then every core model of dbt with that plan. Runs are repeated from the same pinned versions.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import duckdb

from bench.attribution_process import cold, dbt
from bench.rows import Row, row
from lakehouse.apps import App, load_apps, save_apps
from lakehouse.contract import FIELDS, RECORD_TABLES, Kind, Origin
from lakehouse.lake import Lake
from lakehouse.plan import make_plan
from lakehouse.runs import code_version, record_run
from lakehouse.settings import Settings, load_settings
from simulator.delivery import write_files
from simulator.world import World, WorldConfig, world_apps

LONG: Final = 120
SHORT: Final = 40
_DEVICE_IDS: Final = ("gaid", "idfa", "oaid", "idfv", "app_set_id", "android_id")
_CORE: Final = ("--select", "tag:core")
# As the platform does it: a test that also reads a mart over predictions waits for those.
_TESTS: Final = (*_CORE, "--indirect-selection=buildable")
_NULLS: Final = {Kind.INSTANT: "timestamptz", Kind.DATE: "date", Kind.INTEGER: "bigint", Kind.BOOLEAN: "boolean"}


def daily_increment(folder: Path, events_a_day: int, rounds: int) -> list[Row]:
    """Rows: seconds of the day on the long history beside the short one, the same of its parts, and bytes of bronze."""
    world = World(WorldConfig(events=events_a_day * (LONG + 1), days=LONG + 1))
    files = write_files(world, folder / "world", "parquet", file_bytes=1)
    homes = {days: _home(folder / str(days), world, files[LONG - days :]) for days in (SHORT, LONG)}
    parts: dict[str, dict[int, list[float]]] = {}
    counted = {days: _run(settings, BENCH_COUNT_READS="1")["read_bytes"] for days, settings in homes.items()}
    for _ in range(rounds):
        for days, settings in homes.items():
            plan, models = _plan(settings)["seconds"], _run(settings)["seconds"]
            tests = _run(settings, "test")["seconds"]
            measured = {"": plan + models, "_plan": plan, "_models": models, "_tests": tests}
            for name, seconds in measured.items():
                parts.setdefault(name, {}).setdefault(days, []).append(seconds)
    rows = [_beside_short(f"daily_increment{name}", taken, "s") for name, taken in parts.items()]
    for layer in ("bronze", "silver", "gold"):
        read = {
            days: [sum(size for table, size in tables.items() if table.startswith(layer)) / 2**20]
            for days, tables in counted.items()
        }
        rows.append(_beside_short(f"daily_increment_{layer}_read", read, "MiB"))
    return rows


def _beside_short(name: str, taken: dict[int, list[float]], unit: str) -> Row:
    long, short = (statistics.median(taken[days]) for days in (LONG, SHORT))
    return row(name, long, unit, f"same_day_after_{SHORT}_days", short)


def _home(folder: Path, world: World, files: Sequence[Path]) -> Settings:
    """A home in which all days but the last are built, and the last one has landed."""
    settings = load_settings({"UNMOGROWP_HOME": str(folder)})
    save_apps(settings, tuple(App.model_validate(app) for app in world_apps(world)))
    lake = Lake(settings.lake)
    land(lake, world, files[:-1], 0)
    dbt(settings, "build", "--resource-type=seed", "--resource-type=model", *_CORE)
    snapshot = lake.pin()
    record_run(
        lake,
        run_id="history",
        mode="full",
        reason="first run",
        code_version=code_version(settings.dbt_project, load_apps(settings)),
        snapshot=snapshot,
        plan={},
        finished_at=datetime.now(UTC),
    )
    land(lake, world, files[-1:], 1)
    pinned = lake.pin()
    plan = make_plan(settings, lake, pinned)
    if plan.mode != "incremental":
        raise RuntimeError(f"the day after the history is no increment: {plan.reason}")
    (settings.home / "plan.json").write_text(plan.to_json(), encoding="utf-8")
    (settings.home / "snapshot.json").write_text(json.dumps(pinned), encoding="utf-8")
    return settings


def _run(settings: Settings, command: str = "run", **variables: str) -> dict[str, Any]:
    selected = _TESTS if command == "test" else _CORE
    return cold(settings, ["dbt", command, *selected], **_pinned(settings), **variables)


def _plan(settings: Settings) -> dict[str, Any]:
    return cold(settings, ["plan"], **_pinned(settings))


def _pinned(settings: Settings) -> dict[str, str]:
    names = {"UNMOGROWP_PLAN": "plan.json", "UNMOGROWP_SNAPSHOT": "snapshot.json"}
    return {name: (settings.home / file).read_text(encoding="utf-8") for name, file in names.items()}


def land(lake: Lake, world: World, files: Sequence[Path], batch: int) -> None:
    """Days into bronze, one commit per table: a record comes in after it happened or later on its day."""
    connection = duckdb.connect(config={"threads": 2})
    connection.execute("set TimeZone = 'UTC'")
    listed = ", ".join(f"'{file}'" for file in files)
    day = f"date '{world.config.start}' + regexp_extract(filename, '-d([0-9]+)-d', 1)::integer"
    connection.execute(f"create view sent as select *, {day} as day from read_parquet([{listed}], filename = true)")
    sent = {f.name for f in FIELDS if f.origin is Origin.SENDER}
    received = "(greatest(event_at, day::timestamptz) + interval 30 seconds)"
    made = {
        "received_at": received,
        "ingest_date": f"{received}::date",
        "event_date": "event_at::date",
        "is_event_at_missing": "false",
        "source": "'sdk'",
        "payload_hash": "md5(record_id)",
        "request_id": "left(md5(record_id), 12)",
        "ip_prefix": "regexp_replace(ip, '[0-9]+$', '0/24')",
        "revenue_micros": "(revenue * 1000000)::bigint",
        "cost_micros": "(cost * 1000000)::bigint",
        "properties": "'{}'",
    }
    for table in RECORD_TABLES:
        lake.create(table.key, table.schema, partition_by=("ingest_date",))
        columns = [
            # As the door does it: an id of zeros is none.
            f"case when {f.name} ~ '[^0-]' then {f.name} end"
            if f.name in _DEVICE_IDS
            else made.get(f.column) or (f.name if f.name in sent else f"null::{_NULLS.get(f.kind, 'varchar')}")
            for f in table.fields
        ]
        chosen = ", ".join(f'{sql} as "{f.column}"' for sql, f in zip(columns, table.fields, strict=True))
        kinds = ", ".join(f"'{kind}'" for kind in table.record_types)
        rows = connection.sql(f"select {chosen} from sent where record_type in ({kinds}) order by day").to_arrow_table()
        if rows.num_rows:
            lake.append_once(table.key, rows.cast(table.schema), writer="bench", batch=batch)
