"""The page: complete in itself, true to the marts, readable without colours, and honest about what is not known."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from lakehouse.settings import Settings
from serving.report import Query, gather, render_report

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
pytestmark = pytest.mark.xdist_group("clickhouse")


@pytest.fixture(scope="module")
def plain_page(query: Query, tmp_path_factory: pytest.TempPathFactory) -> str:
    return render_report(query, {}, NOW, tmp_path_factory.mktemp("out") / "report.html").read_text(encoding="utf-8")


@pytest.fixture
def full_page(query: Query, quality: list[dict[str, Any]], cdnow: dict[str, Any], tmp_path: Path) -> str:
    extras = {
        "quality": quality,
        "cdnow": cdnow,
        "run_id": "run-1",
        "rejects": [{"app_id": None, "reason_code": "bad_json", "rejects": 1234}],
    }
    return render_report(query, extras, NOW, tmp_path / "r" / "report.html").read_text(encoding="utf-8")


def section(page: str, name: str) -> str:
    return page.split(f'<section id="{name}">')[1].split("</section>")[0]


def table_rows(html: str) -> list[list[str]]:
    """Text of the cells of all tables, row by row."""
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", html, flags=re.DOTALL)
    return [
        [re.sub(r"<[^>]+>", "", c).strip() for c in re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)] for row in rows
    ]


class _Tags(HTMLParser):
    """Every tag is closed in order; addresses that a browser would load are collected."""

    VOID = frozenset({"meta", "br", "img", "link", "input", "rect", "line", "circle", "polygon", "polyline"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loaded: list[str] = []
        self.ids: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.loaded += [str(found[name]) for name in ("src", "srcset", "data") if name in found]
        self.loaded += [str(found["href"])] if tag == "link" else []
        self.links += [str(found["href"])] if tag == "a" else []
        self.ids |= {str(found["id"])} if "id" in found else set()
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_the_page_is_well_formed_and_loads_nothing(full_page: str) -> None:
    tags = _Tags()
    tags.feed(full_page)
    assert tags.open == []
    assert tags.loaded == []
    assert {link.removeprefix("#") for link in tags.links} <= tags.ids
    assert "<script" not in full_page
    assert not re.search(r"url\(|@import|https?://", full_page)


def test_every_chart_is_valid_and_has_a_title_and_a_description(full_page: str) -> None:
    charts = re.findall(r"<svg.*?</svg>", full_page, flags=re.DOTALL)
    assert len(charts) == 8
    for chart in charts:
        root = ElementTree.fromstring(chart)  # noqa: S314 (our own text)
        assert root.get("role") == "img"
        assert root.get("aria-label") == root.findtext("title")
        assert root.findtext("desc")


def test_ratios_come_from_the_sums_of_their_parts(plain_page: str) -> None:
    rows = [row for row in table_rows(section(plain_page, "roas")) if row[1] == "game.ios"]
    # 40 cohorts at $1.50 an install; of D7 and D30 only the cohorts count that are old enough
    assert rows[0][0] == "northads · Campaign c22"
    assert rows[0][4:] == ["$1.50", "20.0 %", "60.0 %", "120.0 %"]


def test_immature_cells_are_empty_and_zeros_are_not(query: Query, plain_page: str) -> None:
    grids = section(plain_page, "retention").split("<h3>")[1:]
    assert len(grids) == 2
    for grid in grids:
        rows = table_rows(grid)
        assert rows[0][:3] == ["Week of", "Installs", "D0"]
        assert rows[1][2] == "100 %"
        assert rows[-1][-1] == ""
        assert rows[-1][3].endswith("*")
        assert 'aria-label="not mature"' in grid
    asked = query(
        "select sum(retained_installs) / sum(mature_installs) as share from cohort_retention "
        "where day_clock = 'calendar' and day_n = 7 and app_id like 'game%' and toMonday(install_date) = '2026-01-12'"
    )
    assert table_rows(grids[0])[2][7] == f"{asked[0]['share'] * 100:.1f} %"


def test_apps_without_spend_do_not_blur_the_growth_figures(plain_page: str) -> None:
    figures = re.findall(r"<strong>(.*?)</strong>", plain_page)
    assert figures[1] == "8,936"
    assert "1997" not in section(plain_page, "trends")
    assert ["shop", "20,000", "15", "–", "–"] in [row[:5] for row in table_rows(section(plain_page, "apps"))]  # noqa: RUF001


def test_an_app_whose_last_cohort_is_old_enough_is_complete(plain_page: str) -> None:
    last = {row[0]: row[-1] for row in table_rows(section(plain_page, "apps"))}
    assert last["shop"] == "all of it"
    assert last["game.ios"] == "2026-02-17"


def test_a_day_that_no_campaign_has_reached_is_left_out_of_the_chart(query: Query, tmp_path: Path) -> None:
    def young(sql: str) -> list[dict[str, Any]]:
        return [row | {"d30_revenue": None} if "d30_revenue" in row else row for row in query(sql)]

    page = render_report(young, {}, NOW, tmp_path / "r.html").read_text(encoding="utf-8")
    roas = section(page, "roas")
    assert "No cohort is old enough for D30 yet." in roas
    assert "not mature yet" not in roas
    assert [row[-1] for row in table_rows(roas)][1:] == ["–"] * 6  # noqa: RUF001


def test_predicted_and_earned_value_are_per_install(plain_page: str) -> None:
    rows = [row for row in table_rows(section(plain_page, "ltv")) if row[:2] == ["organic", "game.ios"]]
    assert rows[0][3] == "$1.70"
    assert rows[0][5] == "$1.80"


def test_each_section_shows_the_query_that_was_asked(query: Query, plain_page: str) -> None:
    data = gather(query)
    shown = re.findall(r"<pre><code>(.*?)</code></pre>", plain_page, flags=re.DOTALL)
    texts = {text.replace("&#39;", "'").replace("&lt;", "<").replace("&gt;", ">") for text in shown}
    assert texts == {answer.sql for answer in data.answers.values()}


def test_names_from_senders_cannot_become_markup(full_page: str) -> None:
    assert "<b>south</b>" not in full_page
    assert "&lt;b&gt;south&lt;/b&gt;" in full_page
    assert "blind &lt;retries&gt;" in full_page


def test_checks_rejects_and_benchmark_are_shown(full_page: str) -> None:
    quality = section(full_page, "quality")
    assert "1 of 2 checks hold" in quality
    assert "1 warning" in quality
    assert ["(unknown)", "bad json", "1,234"] in table_rows(quality)
    bench = section(full_page, "cdnow")
    assert ["past spend", "0.698", "-5.2 %"] in [row[:3] for row in table_rows(bench)]
    assert ["bias", "within 15 %", "-5.2 %", "✗ fail"] in table_rows(bench)


def test_what_was_not_handed_in_is_said_to_be_missing(plain_page: str) -> None:
    assert "No checks have run." in plain_page
    assert "The benchmark was not run." in plain_page


def test_publications_tell_version_and_time(plain_page: str) -> None:
    rows = {row[0]: row for row in table_rows(section(plain_page, "publications"))}
    assert rows["campaign_daily"][1:4] == ["0", "323", "2026-03-01 12:00 UTC"]


def test_the_same_marts_give_the_same_page(query: Query, plain_page: str, tmp_path: Path) -> None:
    again = render_report(query, {}, NOW, tmp_path / "again.html")
    assert again.read_text(encoding="utf-8") == plain_page
    assert [p.name for p in tmp_path.iterdir()] == ["again.html"]


def test_a_home_can_be_given_instead_of_a_query(home: Settings, plain_page: str, tmp_path: Path) -> None:
    assert render_report(home, {}, NOW, tmp_path / "r.html").read_text(encoding="utf-8") == plain_page
