"""Numbers as people read them; unknown is never zero."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from xml.etree import ElementTree

import pytest

from serving.report import formats
from serving.report.figures import Bars, bar_chart, line_chart


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (formats.usd(Decimal("1234.5")), "$1,234"),
        (formats.usd(Decimal("-3.456")), "-$3.46"),
        (formats.usd(0), "$0.00"),
        (formats.usd(None), formats.DASH),
        (formats.percent(0.1234), "12.3 %"),
        (formats.percent(None), formats.DASH),
        (formats.count(1_234_567), "1,234,567"),
        (formats.compact(1_200), "1.2k"),
        (formats.compact(2_000_000), "2M"),
        (formats.compact(0.5), "0.5"),
        (formats.decimal(None), formats.DASH),
        (formats.day(datetime(2026, 1, 1, 23, tzinfo=UTC)), "2026-01-01"),
        (formats.instant(None), formats.DASH),
        (formats.plural(1, "warning"), "1 warning"),
        (formats.plural(2, "warning"), "2 warnings"),
    ],
)
def test_numbers_are_written_for_people(shown: str, text: str) -> None:
    assert shown == text


def test_a_ratio_without_a_denominator_is_unknown() -> None:
    assert formats.ratio(5, 0) is None
    assert formats.ratio(None, 5) is None
    assert formats.ratio(Decimal(1), Decimal(4)) == 0.25
    assert formats.ratio(0, 4) == 0.0


def test_bars_are_as_long_as_their_values_and_none_is_not_a_bar() -> None:
    svg = ElementTree.fromstring(  # noqa: S314 (our own text)
        bar_chart("t", [Bars("a", (2.0, None)), Bars("b", (1.0, 0.0))], ("x", "y"), formats.decimal)
    )
    widths = [float(rect.get("width", "-1")) for rect in svg.iter("rect")]
    assert widths[0] == 2 * widths[1]
    assert widths[2] == 0.0
    assert len(widths) == 3
    assert "not mature yet" in "".join(svg.itertext())


def test_nothing_known_draws_nothing() -> None:
    assert bar_chart("t", [Bars("a", (None,))], ("x",), formats.decimal) == ""
    assert line_chart("t", [(date(2026, 1, 1), 1.0)], formats.count) == ""


def test_a_line_keeps_days_in_proportion() -> None:
    points = [(date(2026, 1, 1), 0.0), (date(2026, 1, 2), 10.0), (date(2026, 1, 5), 0.0)]
    svg = ElementTree.fromstring(line_chart("t", points, formats.count))  # noqa: S314 (our own text)
    [line] = svg.iter("polyline")
    x = [float(pair.split(",")[0]) for pair in line.get("points", "").split()]
    assert (x[2] - x[0]) == pytest.approx(4 * (x[1] - x[0]), abs=0.3)
    assert "highest on 2026-01-02 with 10" in (svg.findtext("desc") or "")
