"""Same in, same out: full refresh and incremental runs give the same rows, however the records arrive."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from lakehouse.apps import load_apps
from lakehouse.lake import Lake
from lakehouse.plan import Plan, make_plan
from lakehouse.runs import code_version, record_run
from tests.dbt.runner import Dbt
from tests.dbt.world import Home, Row, delivered, simulate


@pytest.mark.timeout(600)
def test_incremental_runs_give_the_rows_of_a_full_refresh(dbt: Dbt, tmp_path: Path) -> None:
    parts = consents_late(delivered(simulate(seed=7), seed=11, parts=2))
    step_by_step, at_once = Home(tmp_path / "incremental"), Home(tmp_path / "full")
    modes = []
    for part in parts:
        step_by_step.land(part)
        modes.append(run(dbt, step_by_step, "run").mode)
    assert modes == ["full", "incremental", "incremental"]
    at_once.land([row for part in parts for row in part])
    run(dbt, at_once, "run")
    compared = [*at_once.lake.tables("silver"), *at_once.lake.tables("gold")]
    assert len(compared) > 15
    for table in compared:
        assert rows_of(step_by_step.lake, table) == rows_of(at_once.lake, table), table

    # A run without news writes nothing that follows a plan.
    before = at_once.lake.pin(("silver", "gold"))
    empty = Plan("incremental", "nothing new", "", consumed={}, dates={name: [] for name in DATE_SETS})
    assert dbt(at_once.folder, "run", "--select", "config.meta.plan:*", plan=empty.to_json()).success
    assert at_once.lake.pin(("silver", "gold")) == before


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(5))
def test_many_worlds_and_many_parts(dbt: Dbt, tmp_path: Path, seed: int) -> None:
    parts = delivered(simulate(seed=100 + seed, installs=90, days=45), seed=seed, parts=5)
    step_by_step, at_once = Home(tmp_path / "incremental"), Home(tmp_path / "full")
    for part in parts:
        step_by_step.land(part)
        run(dbt, step_by_step, "build")
    at_once.land([row for part in reversed(parts) for row in part])
    run(dbt, at_once, "run")
    for table in [*at_once.lake.tables("silver"), *at_once.lake.tables("gold")]:
        assert rows_of(step_by_step.lake, table) == rows_of(at_once.lake, table), table


DATE_SETS = (
    "event_dates",
    "touch_dates",
    "consent_dates",
    "cost_dates",
    "install_dates",
    "conversion_dates",
    "credit_dates",
    "cohort_dates",
    "campaign_dates",
    "ingest_dates",
)


def consents_late(parts: list[list[tuple[str, Row]]]) -> list[list[tuple[str, Row]]]:
    """All consents in a part of their own at the end, where no other record makes their installs be decided again."""
    consents = [row for part in parts for row in part if row[0] == "bronze/bronze_consents"]
    others = [[row for row in part if row[0] != "bronze/bronze_consents"] for part in parts]
    return [*others, consents]


def run(dbt: Dbt, home: Home, command: str) -> Plan:
    """One run as the platform does it: pin, plan, build what the plan says, note what was consumed."""
    snapshot = home.lake.pin()
    plan = make_plan(home.settings, home.lake, snapshot)
    kinds = ["model"] + (["seed"] if plan.mode == "full" else []) + (["test"] if command == "build" else [])
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


def rows_of(lake: Lake, table: str) -> list[str]:
    """Every row as text, sorted; all columns."""
    data: pa.Table = lake.open(table).to_pyarrow_table()
    return sorted(repr(sorted(row.items())) for row in data.select(sorted(data.column_names)).to_pylist())
