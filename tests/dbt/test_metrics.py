"""Metrics are ratios of sums over columns that the marts have, and the page about them says what they are."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb
import pytest

from lakehouse import dbt_docs, dbt_metrics
from lakehouse.dbt_metrics import Metric, read_metrics
from tests.dbt.runner import PROJECT

METRICS = {metric.name: metric for metric in read_metrics(PROJECT)}
MARTS = {
    model["name"]: {c["name"]: c["data_type"] for c in model["columns"]} for model in dbt_docs.mart_models(PROJECT)
}


@pytest.fixture
def marts() -> duckdb.DuckDBPyConnection:
    """Empty marts as their contracts say, and the one function of ClickHouse that formulas use."""
    connection = duckdb.connect()
    connection.execute("create macro toFloat64(x) as x::double")
    for name in {metric.mart for metric in METRICS.values()}:
        columns = ", ".join(f'"{column}" {kind}' for column, kind in MARTS[name].items())
        connection.execute(f"create table {name} ({columns})")
    return connection


def value(marts: duckdb.DuckDBPyConnection, metric: Metric) -> float | None:
    found: float | None = marts.execute(f"select {metric.formula} from {metric.mart}").fetchall()[0][0]
    return found


def test_the_page_of_the_metrics_is_up_to_date() -> None:
    page = (PROJECT.parent / dbt_metrics.FILE).read_text(encoding="utf-8")
    assert page == dbt_metrics.metrics_page(PROJECT), "run `python -m lakehouse.dbt_metrics`"


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda metric: metric.name)
def test_a_metric_reads_what_its_mart_has_and_is_stored_nowhere(
    marts: duckdb.DuckDBPyConnection, metric: Metric
) -> None:
    assert value(marts, metric) is None, "nothing divided by nothing is no number"
    assert set(metric.dimensions) <= set(MARTS[metric.mart])
    assert not any(metric.name in columns for columns in MARTS.values())


def test_sums_are_divided_and_ratios_not_averaged(marts: duckdb.DuckDBPyConnection) -> None:
    marts.execute(
        "insert into campaign_performance (roas_d7_revenue_usd, roas_d7_cost_usd, ipm_installs, ipm_impressions) "
        # A day that is not over has neither part; a campaign without spend has no ratio of its own.
        "values (90, 100, 3, 1000), (10, 900, 0, 5000), (null, null, 1, 2000), (5, 0, 0, 0)"
    )
    assert value(marts, METRICS["roas_d7"]) == pytest.approx(105 / 1000)
    assert value(marts, METRICS["ipm"]) == pytest.approx(1000 * 4 / 8000)
    assert value(marts, METRICS["cvr"]) is None


def test_a_cohort_metric_takes_one_day_of_one_clock(marts: duckdb.DuckDBPyConnection) -> None:
    marts.execute(
        "insert into cohort_retention (day_clock, day_n, mature_installs, retained_installs) values "
        "('calendar', 7, 40, 10), ('calendar', 7, 10, 5), ('calendar', 7, 0, null), ('elapsed_24h', 7, 50, 50), "
        "('calendar', 6, 50, 50)"
    )
    assert value(marts, METRICS["retention_d7"]) == pytest.approx(15 / 50)
    assert value(marts, METRICS["retention_d1"]) is None


def test_revenue_per_user_leaves_out_rows_whose_revenue_is_not_known(marts: duckdb.DuckDBPyConnection) -> None:
    marts.execute(
        "insert into revenue_daily (net_revenue, active_installs, paying_installs) values "
        "(12, 40, 3), (-2, 10, 1), (null, 50, 6)"
    )
    assert value(marts, METRICS["arpdau"]) == pytest.approx(10 / 50)
    assert value(marts, METRICS["arppu"]) == pytest.approx(10 / 4)
    assert value(marts, METRICS["paying_rate"]) == pytest.approx(10 / 100)


def test_a_ratio_over_two_marts_is_refused(tmp_path: Path) -> None:
    (tmp_path / "models" / "marts").mkdir(parents=True)
    text = (PROJECT / "models" / "marts" / "_metrics.yml").read_text(encoding="utf-8")
    mixed = text.replace("numerator: ctr_clicks", "numerator: retained_d1_installs")
    (tmp_path / "models" / "marts" / "_metrics.yml").write_text(mixed, encoding="utf-8")
    with pytest.raises(ValueError, match="ctr divides measures of two semantic models"):
        list(read_metrics(tmp_path))


def test_days_belong_to_the_weeks_of_iso_8601() -> None:
    sql = (PROJECT / "models" / "marts" / "growth" / "calendar_days.sql").read_text(encoding="utf-8")
    days = duckdb.connect().sql(sql)
    assert set(days.columns) == set(MARTS["calendar_days"])
    known = {
        date(2020, 12, 31): (4, date(2020, 12, 28), 2020, 53, date(2020, 12, 1), date(2020, 10, 1)),
        date(2021, 1, 3): (7, date(2020, 12, 28), 2020, 53, date(2021, 1, 1), date(2021, 1, 1)),
        date(2024, 12, 30): (1, date(2024, 12, 30), 2025, 1, date(2024, 12, 1), date(2024, 10, 1)),
        date(2024, 2, 29): (4, date(2024, 2, 26), 2024, 9, date(2024, 2, 1), date(2024, 1, 1)),
    }
    found = {row[0]: row[1:] for row in days.fetchall()}
    assert {day: found[day] for day in known} == known
    assert len(found) == (date(2049, 12, 31) - date(1995, 1, 1)).days + 1
