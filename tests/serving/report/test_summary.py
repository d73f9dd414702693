"""The terminal summary fits 80 columns and says what fails."""

from __future__ import annotations

from typing import Any

import pytest

from serving.report import Query, summary_lines

pytestmark = pytest.mark.xdist_group("clickhouse")


def test_it_fits_a_terminal_and_shows_every_app(query: Query) -> None:
    lines = summary_lines(query, {})
    assert max(len(line) for line in lines) <= 80
    text = "\n".join(lines)
    assert "120,000 records received" in text
    for app in ("game.android", "game.ios", "shop"):
        assert app in text
    assert "ROAS D30" in text
    assert "120 %" in text
    assert "Checks: none have run" in text
    assert "CDNOW benchmark: not run" in text


def test_failures_are_named(query: Query, quality: list[dict[str, Any]], cdnow: dict[str, Any]) -> None:
    lines = summary_lines(query, {"quality": quality, "cdnow": cdnow})
    assert "Checks: 1 of 2 do not hold: ingestion_daily (warning)" in lines
    assert "CDNOW benchmark: 1 of 2 bars passed; missed: bias" in lines


def test_good_news_is_short(query: Query, quality: list[dict[str, Any]], cdnow: dict[str, Any]) -> None:
    held = [row for row in quality if row["is_success"]]
    passed = cdnow | {"bars": [bar for bar in cdnow["bars"] if bar["is_passed"]]}
    lines = summary_lines(query, {"quality": held, "cdnow": passed})
    assert "Checks: all 1 hold" in lines
    assert "CDNOW benchmark: 1 of 1 bars passed" in lines
