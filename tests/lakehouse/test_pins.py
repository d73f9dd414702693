"""What a run holds on to: the versions it reads, the variables it gives to dbt, and the note it leaves."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from lakehouse.pins import exported, pin, repin
from lakehouse.runs import last_run
from tests.lakehouse.plan_world import BRONZE, World, event, table


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_pin_stays_what_it_was(world: World) -> None:
    first = pin(world.settings, world.lake, "run-1")
    world.land("bronze/bronze_app_events", [event("a", 0)])
    assert pin(world.settings, world.lake, "run-1") == first
    world.lake.overwrite("gold/x", table(pa.schema([("n", pa.int64())]), [{"n": 1}]))
    again = repin(world.settings, world.lake, "run-1", ["gold"])
    assert again.snapshot == first.snapshot | {"gold/x": 0}
    assert pin(world.settings, world.lake, "run-2").snapshot["bronze/bronze_app_events"] == 1


def test_exported_variables_are_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setenv("UNMOGROWP_PLAN", "before")
    with exported({"UNMOGROWP_PLAN": "inside", "UNMOGROWP_RUN_ID": "r"}):
        assert os.environ["UNMOGROWP_PLAN"] == "inside"
    assert os.environ["UNMOGROWP_PLAN"] == "before"
    assert "UNMOGROWP_RUN_ID" not in os.environ


def test_runs_are_numbered_and_the_newest_is_found(world: World) -> None:
    assert last_run(world.lake) is None
    world.record()
    world.record()
    run = last_run(world.lake)
    assert run is not None
    assert run.sequence == 1
    assert set(run.snapshot) == set(BRONZE)
