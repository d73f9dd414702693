"""What ClickHouse says it shows is compared with the gold version it names."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from lakehouse.lake import Lake
from quality.publications import compare_publications


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """campaign_daily with 2 rows at version 0 and 3 at version 1, churn_risk with none."""
    lake = Lake(tmp_path)
    lake.overwrite("gold/campaign_daily", pa.table({"app_id": ["a", "b"]}))
    lake.overwrite("gold/campaign_daily", pa.table({"app_id": ["a", "b", "c"]}))
    lake.overwrite("gold/churn_risk", pa.table({"app_id": pa.array([], pa.string())}))
    return lake


SNAPSHOT = {"gold/campaign_daily": 1, "gold/churn_risk": 0, "bronze/bronze_app_events": 4}
CHURN = {"mart": "churn_risk", "delta_version": 0, "rows": 0}


def test_published_rows_are_those_of_the_version(lake: Lake) -> None:
    shown = [{"mart": "campaign_daily", "delta_version": 1, "rows": 3}, CHURN]
    rows, versions = compare_publications(lake, shown, SNAPSHOT)
    assert (rows.success, rows.expected, rows.observed, rows.compared) == (True, "3", "3", 2)
    assert versions.success


def test_an_older_version_reconciles_but_is_not_current(lake: Lake) -> None:
    shown = [{"mart": "campaign_daily", "delta_version": 0, "rows": 2}, CHURN]
    rows, versions = compare_publications(lake, shown, SNAPSHOT)
    assert rows.success
    assert (versions.success, versions.severity, versions.detail) == (
        False,
        "warning",
        "campaign_daily: expected 1, found 0",
    )


def test_lost_rows_are_critical(lake: Lake) -> None:
    shown = [{"mart": "campaign_daily", "delta_version": 1, "rows": 2}, CHURN]
    rows, _ = compare_publications(lake, shown, SNAPSHOT)
    assert (rows.success, rows.severity, rows.detail) == (False, "critical", "campaign_daily: expected 3, found 2")


def test_a_mart_that_is_not_published_fails(lake: Lake) -> None:
    rows, _ = compare_publications(lake, [CHURN], SNAPSHOT)
    assert rows.detail == "campaign_daily: expected 3, found none"


def test_a_mart_that_gold_does_not_know_fails(lake: Lake) -> None:
    shown = [CHURN, {"mart": "ghost", "delta_version": 0, "rows": 5}]
    rows, _ = compare_publications(lake, shown, {"gold/churn_risk": 0})
    assert rows.detail == "ghost: expected none, found 5"


def test_nothing_published_is_no_pass(lake: Lake) -> None:
    rows, versions = compare_publications(lake, [], {})
    assert not rows.success
    assert not versions.success
    assert rows.detail == "cannot be checked: no mart is built or published"
