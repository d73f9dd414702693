"""Results are kept in the lake, once per run, and the newest answer of every check can be asked for."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from lakehouse.engine import connect
from lakehouse.lake import Lake
from lakehouse.settings import Settings
from quality.checks import compare, validate
from quality.history import TABLE, latest, record

# Importing Great Expectations takes seconds: all its tests share one process.
pytestmark = pytest.mark.xdist_group("great_expectations")

MORNING = datetime(2026, 1, 5, 6, 0, tzinfo=UTC)
EVENING = datetime(2026, 1, 5, 18, 0, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, lake=str(tmp_path / "lake"))


@pytest.fixture
def lake(settings: Settings) -> Lake:
    return Lake(settings.lake)


def test_nothing_is_known_before_the_first_run(settings: Settings) -> None:
    assert latest(connect(settings)) == []


def test_the_newest_answer_of_each_check_is_found(
    good_lake: duckdb.DuckDBPyConnection, settings: Settings, lake: Lake
) -> None:
    record(lake, [compare(good_lake, "receipts_add_up")], run_id="r1", checked_at=MORNING)
    record(lake, [compare(good_lake, "rejected_records_kept")], run_id="r1", checked_at=MORNING)
    good_lake.execute("update bronze.bronze_receipts set received = 100")
    record(lake, [compare(good_lake, "receipts_add_up")], run_id="r2", checked_at=EVENING)
    found = {row["subject"]: row for row in latest(connect(settings))}
    assert found["receipts_add_up"]["is_success"] is False
    assert found["receipts_add_up"]["checked_at"] == EVENING
    assert json.loads(found["receipts_add_up"]["sample"])[0]["expected"] == "100"
    assert found["rejected_records_kept"]["is_success"] is True
    assert lake.row_count(TABLE) == 3


def test_a_repeated_step_leaves_one_answer(
    good_lake: duckdb.DuckDBPyConnection, settings: Settings, lake: Lake
) -> None:
    results = [compare(good_lake, "receipts_add_up"), compare(good_lake, "rejected_records_kept")]
    record(lake, results, run_id="it's", checked_at=MORNING)
    record(lake, results[:1], run_id="it's", checked_at=EVENING)
    assert lake.row_count(TABLE) == 2
    assert record(lake, [], run_id="r1", checked_at=MORNING) is None


def test_a_suite_is_kept_expectation_by_expectation(
    good_lake: duckdb.DuckDBPyConnection, settings: Settings, lake: Lake
) -> None:
    good_lake.execute("update gold.ingestion_daily set duplicates = accepted")
    result = validate(good_lake, "ingestion_daily")
    record(lake, [result], run_id="r1", checked_at=MORNING)
    rows = latest(connect(settings))
    assert [row["expectation"] for row in rows] == [outcome.name for outcome in result.expectations]
    [failed] = [row for row in rows if not row["is_success"]]
    assert (failed["column_name"], failed["severity"], failed["unexpected_count"], failed["row_count"]) == (
        "has_many_duplicates",
        "warning",
        4,
        4,
    )


def test_a_suite_whose_table_is_missing_is_kept_as_failed(settings: Settings, lake: Lake) -> None:
    result = validate(connect(settings), "churn_risk")
    record(lake, [result], run_id="r1", checked_at=MORNING)
    [row] = latest(connect(settings))
    assert (row["is_success"], row["severity"], row["why"]) == (
        False,
        "warning",
        "table gold.churn_risk does not exist",
    )


def test_results_are_plain_values(good_lake: duckdb.DuckDBPyConnection) -> None:
    for result in (validate(good_lake, "churn_risk"), compare(good_lake, "receipts_add_up")):
        assert json.loads(json.dumps(result.to_dict()))["success"] is True
