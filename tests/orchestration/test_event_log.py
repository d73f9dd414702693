"""Dagster's history over kept connections: the same records as over Dagster's own, also after the process is gone."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.event_log import SqliteEventLogStorage

from lakehouse.settings import load_settings
from orchestration.event_log import KeptSqliteEventLogStorage
from orchestration.refresh import dagster_home


@dg.asset
def thing() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={"rows": 3})


@dg.asset_check(asset=thing)
def holds() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = dagster_home(load_settings({"UNMOGROWP_HOME": str(tmp_path)}))
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    return folder


def test_what_a_run_told_is_read_by_others_and_by_the_storage_of_dagster(folder: Path) -> None:
    with dg.DagsterInstance.get() as instance:
        assert isinstance(instance.event_log_storage, KeptSqliteEventLogStorage)
        runs = [dg.materialize([thing, holds], instance=instance).run_id for _ in range(2)]
        told = {run: [str(record) for record in instance.all_logs(run)] for run in runs}
        assert all(len(lines) > 10 for lines in told.values())
    plain = SqliteEventLogStorage(str(folder / "history" / "runs"))
    with dg.DagsterInstance.get() as later:
        for storage in (later.event_log_storage, plain):
            assert {run: [str(entry) for entry in storage.get_logs_for_run(run)] for run in runs} == told
            [record] = storage.get_asset_records([thing.key])
            assert record.asset_entry.last_run_id == runs[-1]
            checks = storage.get_asset_check_execution_history(holds.check_key, limit=5)
            assert [check.run_id for check in checks] == runs[::-1]


def test_an_instance_that_reads_does_not_stop_one_that_writes(folder: Path) -> None:
    with dg.DagsterInstance.get() as writer, dg.DagsterInstance.get() as reader:
        for count in (1, 2, 3):
            run = dg.materialize([thing], instance=writer).run_id
            assert reader.get_run_by_id(run) is not None
            assert len(reader.fetch_materializations(thing.key, limit=10).records) == count
