"""The plan of a run as Dagster shows it on the bronze assets."""

from __future__ import annotations

from datetime import date, timedelta

import dagster as dg

from assets.bronze import dates_to_build
from lakehouse.plan import Plan


def plan(mode: str = "incremental", **dates: list[date]) -> Plan:
    return Plan(mode, "because", "code", dates=dates)


def test_dates_in_a_row_are_one_span_and_sets_without_dates_are_left_out() -> None:
    days = [date(2026, 2, 28), date(2026, 3, 1), date(2026, 3, 4), date(2026, 1, 7)]
    shown = dates_to_build(plan(touch_dates=[], event_dates=days, cost_dates=[date(2026, 3, 1)]))
    assert isinstance(shown, dg.TableMetadataValue)
    assert [record.data for record in shown.records] == [
        {"set": "cost_dates", "dates": 1, "which": "2026-03-01"},
        {"set": "event_dates", "dates": 4, "which": "2026-01-07, 2026-02-28 to 2026-03-01, 2026-03-04"},
    ]


def test_of_many_spans_the_latest_are_named() -> None:
    every_other = [date(2026, 1, 1) + timedelta(days=2 * n) for n in range(9)]
    shown = dates_to_build(plan(event_dates=every_other))
    assert isinstance(shown, dg.TableMetadataValue)
    assert shown.records[0].data["which"] == (
        "3 more, 2026-01-07, 2026-01-09, 2026-01-11, 2026-01-13, 2026-01-15, 2026-01-17"
    )


def test_a_full_run_builds_all_and_a_run_without_news_none() -> None:
    assert dates_to_build(plan("full")) == dg.MetadataValue.text("all")
    assert dates_to_build(plan(event_dates=[])) == dg.MetadataValue.text("none")
