"""Marts without rows make a page that says so, section by section."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from lakehouse.settings import Settings
from serving.report import Query, gather, published, render_report, summary_lines

pytestmark = pytest.mark.xdist_group("clickhouse")


def _nothing(sql: str) -> list[dict[str, object]]:
    return []


def test_every_section_says_that_it_is_empty(tmp_path: Path) -> None:
    page = render_report(_nothing, {}, datetime(2026, 1, 1, tzinfo=UTC), tmp_path / "r.html").read_text(
        encoding="utf-8"
    )
    for sentence in (
        "Nothing is published yet.",
        "Fewer than two days of data.",
        "No campaign with spend.",
        "No predictions are published",
        "No cohorts yet.",
        "No installs yet.",
        "No touch lost.",
        "No churn scores are published.",
        "Nothing has been received.",
    ):
        assert sentence in page
    assert "<svg" not in page
    assert any("0 records received" in line for line in summary_lines(_nothing, {}))


def test_an_error_of_the_engine_is_not_swallowed(tmp_path: Path) -> None:
    def broken(sql: str) -> list[dict[str, object]]:
        raise RuntimeError("no such table")

    with pytest.raises(RuntimeError, match="no such table"):
        render_report(broken, {}, datetime(2026, 1, 1, tzinfo=UTC), tmp_path / "r.html")
    assert list(tmp_path.iterdir()) == []


def test_a_home_where_nothing_is_for_sale_shows_all_its_apps(home: Settings, query: Query) -> None:
    """Without spend in any app the growth charts are about all of them."""

    def without_spend(sql: str) -> list[dict[str, object]]:
        rows = query(sql)
        return [row | {"cost": 0} for row in rows] if "as hits" in sql else rows

    assert set(gather(without_spend).apps) == {"game.ios", "game.android", "shop"}


def test_the_connection_is_read_only(home: Settings) -> None:
    with published(home) as ask, pytest.raises(Exception, match=r"(?i)read"):
        ask("drop table campaign_daily")
