"""Same in, same out: full refresh and incremental runs give the same rows, however the records arrive."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from lakehouse.apps import load_apps
from lakehouse.dbt_plugin import create_apps_table
from lakehouse.engine import connect
from lakehouse.lake import Lake
from lakehouse.plan import Plan, make_plan
from lakehouse.runs import code_version, record_run
from tests.dbt.runner import PROJECT, Dbt
from tests.dbt.world import OTHER_RULES, START, Home, Row, delivered, exchange_rates, fraud, simulate, trickled

TEXTS = duckdb.connect()  # turns rows into text; to open one takes longer than most tables


@pytest.mark.timeout(600)
def test_incremental_runs_give_the_rows_of_a_full_refresh(dbt: Dbt, tmp_path: Path) -> None:
    parts = some_late(delivered(simulate(seed=7), seed=11, parts=2))
    parts[-1] += exchange_rates()  # beside few records, so that most dates have no other reason to be built again
    step_by_step, at_once = Home(tmp_path / "incremental"), Home(tmp_path / "full")
    for part, more in zip((parts[0], parts[2]), fraud(), strict=True):
        part += more
    modes, rejected = [], []
    for part in parts:
        step_by_step.land(part)
        modes.append(run(dbt, step_by_step, "run", OTHER_RULES).mode)
        rejected.append(rejections(step_by_step.lake))
    # Late fraud restates: the touches that were taken for honest at first lose what they had won.
    assert rejected[0] == rejected[1] == set()
    assert rejected[2] == {("device_farm_burst", f"t-farm{n}") for n in range(12)} | {
        ("site_flat_ctit", f"t-spray{n}") for n in range(24, 36)
    } | {("duplicate_click", "t-second")}
    assert modes == ["full", "incremental", "incremental"]
    at_once.land([row for part in parts for row in part])
    run(dbt, at_once, "run", OTHER_RULES)
    abroad = session_abroad(at_once)
    for model in (
        "int_watermarks",
        "int_activity_days",
        "retention_curves",
        "activity_daily",
        "skan_postback_facts",
        "skan_daily",
        "ios_daily",
        "cost_restatements",
    ):
        found = abroad.sql(dbt.query_of(model)).to_arrow_table().cast(at_once.lake.schema(table_of(model)))
        assert as_text(found) == rows_of(at_once.lake, table_of(model)), model
    abroad.close()
    compared = [*at_once.lake.tables("silver"), *at_once.lake.tables("gold")]
    assert len(compared) > 25
    assert kinds_of(at_once.lake) == {"install", "reinstall", "att_second_install", "reengagement"}
    for table in compared:
        assert rows_of(step_by_step.lake, table) == rows_of(at_once.lake, table), table
    assert step_by_step.lake.row_count("silver/int_lost_paths") > 20

    # A run without news writes nothing that follows a plan.
    before = at_once.lake.pin(("silver", "gold"))
    empty = Plan("incremental", "nothing new", "", consumed={}, dates={name: [] for name in DATE_SETS})
    planned = [path.stem for path in PROJECT.glob("models/**/*.sql") if "'plan':" in path.read_text(encoding="utf-8")]
    outcome = dbt(at_once.folder, "run", "--select", *planned, plan=empty.to_json())
    assert outcome.success, outcome.failures or outcome.error
    assert outcome.nodes.keys() == set(planned)
    assert at_once.lake.pin(("silver", "gold")) == before


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(5))
def test_many_worlds_and_many_parts(dbt: Dbt, tmp_path: Path, seed: int) -> None:
    parts = delivered(simulate(seed=100 + seed, installs=90, days=45 if seed % 2 else 12), seed=seed, parts=5)
    if seed > 2:
        parts = some_late(parts)
    step_by_step, at_once = Home(tmp_path / "incremental"), Home(tmp_path / "full")
    for part in parts:
        step_by_step.land(part)
        run(dbt, step_by_step, "build", OTHER_RULES)
    at_once.land([row for part in reversed(parts) for row in part])
    run(dbt, at_once, "run", OTHER_RULES)
    for table in [*at_once.lake.tables("silver"), *at_once.lake.tables("gold")]:
        assert rows_of(step_by_step.lake, table) == rows_of(at_once.lake, table), table


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(3))
def test_a_few_late_records_restate_all_they_reach(dbt: Dbt, tmp_path: Path, seed: int) -> None:
    """Shuffled parts make every day new in every run; here the plan alone tells which days are."""
    parts = trickled(simulate(seed=200 + seed, installs=90, days=45), seed=seed, parts=8, each=4)
    step_by_step, at_once = Home(tmp_path / "incremental"), Home(tmp_path / "full")
    for n, part in enumerate(parts):
        step_by_step.land(part)
        run(dbt, step_by_step, "run", OTHER_RULES)
        at_once.land(part)
        if n:
            run(dbt, at_once, "run", OTHER_RULES, full_refresh=True)
            for table in [*at_once.lake.tables("silver"), *at_once.lake.tables("gold")]:
                assert rows_of(step_by_step.lake, table) == rows_of(at_once.lake, table), (n, table)


DATE_SETS = (
    "event_dates",
    "touch_dates",
    "touch_flag_dates",
    "consent_dates",
    "cost_dates",
    "skan_dates",
    "install_dates",
    "conversion_dates",
    "credit_dates",
    "revenue_dates",
    "activity_dates",
    "fraud_dates",
    "cohort_dates",
    "campaign_dates",
    "journey_dates",
    "path_dates",
    "ingest_dates",
)


def some_late(parts: list[list[tuple[str, Row]]]) -> list[list[tuple[str, Row]]]:
    """All consents and one day of strangers' touches in a part of their own at the end, where no other record makes
    their installs be decided again and their journeys be followed again."""
    late = [row for part in parts for row in part if is_late(*row)]
    others = [[row for row in part if not is_late(*row)] for part in parts]
    return [*others, late]


def is_late(table: str, row: Row) -> bool:
    of_stranger = row["record_id"].startswith("st") and row["event_date"] == START.date() + timedelta(days=5)
    return table == "bronze/bronze_consents" or of_stranger


def run(
    dbt: Dbt, home: Home, command: str, rules: dict[str, list[Row]] | None = None, *, full_refresh: bool = False
) -> Plan:
    """One run as the platform does it: pin, plan, build what the plan says, note what was consumed.

    `rules` are lines beside those of the project.
    """
    snapshot = home.lake.pin()
    plan = make_plan(home.settings, home.lake, snapshot, full_refresh=full_refresh)
    if plan.mode == "full":
        assert dbt(home.folder, "seed").success
        home.add_rules(rules or {})
        snapshot = home.lake.pin()
    kinds = ["model"] + (["test"] if command == "build" else [])
    arguments = [f"--resource-type={kind}" for kind in kinds]
    outcome = dbt(home.folder, "build", *arguments, plan=plan.to_json(), snapshot=snapshot)
    assert outcome.success, outcome.failures or outcome.error
    record_run(
        home.lake,
        run_id=f"run{home.batch}",
        mode=plan.mode,
        reason=plan.reason,
        code_version=code_version(home.settings.dbt_project, load_apps(home.settings)),
        snapshot={table: version for table, version in snapshot.items() if table.startswith("bronze/")},
        plan=plan.sizes,
        finished_at=datetime.now(UTC),
    )
    return plan


def session_abroad(home: Home) -> duckdb.DuckDBPyConnection:
    """What models read, in a session whose clock is on the other side of the date line."""
    connection = connect(home.settings, lake=home.lake, layers=("silver", "gold", "rules"))
    create_apps_table(connection, home.settings)
    connection.execute("set TimeZone = 'Pacific/Kiritimati'")
    return connection


def table_of(model: str) -> str:
    return f"{'silver' if model.startswith(('int_', 'stg_')) else 'gold'}/{model}"


def rejections(lake: Lake) -> set[tuple[str, str]]:
    """Rules of fraud and the planted touches that they keep from winning."""
    rows = lake.open("gold/attribution_candidates").to_pyarrow_table(columns=["fraud_rule_id", "touch_id"]).to_pylist()
    return {
        (row["fraud_rule_id"], row["touch_id"]) for row in rows if row["fraud_rule_id"] and row["touch_id"][:2] == "t-"
    }


def kinds_of(lake: Lake) -> set[str]:
    return set(lake.open("silver/int_conversions").to_pyarrow_table()["conversion_type"].to_pylist())


def rows_of(lake: Lake, table: str) -> list[str]:
    """Every row as text, sorted; all columns."""
    return as_text(lake.open(table).to_pyarrow_table())


def as_text(data: pa.Table) -> list[str]:
    TEXTS.execute("set timezone = 'UTC'")
    TEXTS.register("rows", data.select(sorted(data.column_names)))
    return [text for (text,) in TEXTS.execute("select r::varchar as row from rows as r order by row").fetchall()]
