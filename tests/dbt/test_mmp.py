"""A vendor's report beside our own decisions: each difference has its class, and what we count stays as it was."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ingestion.import_sources import ImportOptions
from ingestion.importer import import_file
from lakehouse.settings import load_settings
from tests.dbt.runner import Dbt
from tests.dbt.test_incremental import rows_of
from tests.dbt.world import START, Home, Row, record
from tests.ingestion.appsflyer_reports import report

pytestmark = pytest.mark.slow
APP = "game.android"
NOON = START + timedelta(days=9, hours=12)
Known = tuple[str, Row]


def gaid(name: str) -> str:
    return f"{sum(map(ord, name)):08x}-0000-4000-8000-{name.encode().hex():0>12.12}"


def install(name: str, at: datetime = NOON, **values: Any) -> Known:
    row = record("install", f"in-{name}", at, install_id=f"own-{name}", gaid=gaid(name), **values)
    return "bronze/bronze_app_events", row


def touch(name: str, hours: float, partner: str, kind: str = "click", **values: Any) -> Known:
    given = {"partner": partner, "campaign_id": "c1", "campaign_name": "Spring Sale", "gaid": gaid(name)} | values
    return "bronze/bronze_touchpoints", record(kind, f"to-{name}-{hours}", NOON - timedelta(hours=hours), **given)


def claim(name: str, source: str = "", hours: float = 1, **values: str) -> Mapping[str, str]:
    """A row of the vendor's report; without a source it is organic."""
    row = {
        "Install Time": f"{NOON:%Y-%m-%d %H:%M:%S}", "Event Time": f"{NOON:%Y-%m-%d %H:%M:%S}", "Event Name": "install",
        "AppsFlyer ID": f"af-{name}", "Advertising ID": gaid(name), "Platform": "android", "App ID": APP,
        "Media Source": source or "organic",
    }  # fmt: skip
    if source:
        touched = NOON - timedelta(hours=hours)
        row |= {"Attributed Touch Type": "click", "Attributed Touch Time": f"{touched:%Y-%m-%d %H:%M:%S}"}
        row |= {"Campaign": "Spring Sale", "Campaign ID": "c1"}
    return row | values


# name: what we know, what the vendor reports, the class, what our attribution says of the vendor's touch
CASES: dict[str, tuple[list[Known], Mapping[str, str] | None, str, str | None]] = {
    "alike": ([install("alike"), touch("alike", 1, "netone")], claim("alike", "netone"), "same", "won"),
    "nobody": ([install("nobody")], claim("nobody"), "same", None),
    "named": ([install("named"), touch("named", 1, "unity")], claim("named", "unityads_int"), "name_only", "won"),
    "spelt": (
        [install("spelt"), touch("spelt", 1, "netone", campaign_id=None, campaign_name="spring_sale")],
        claim("spelt", "netone"), "name_only", "won",
    ),
    "later": ([install("later"), touch("later", 1, "netone")], claim("later", "netone", hours=5), "time", None),
    "blocked": (
        [install("blocked"), touch("blocked", 1, "netone")],
        claim("blocked", "netone", **{"Blocked Reason": "bots"}), "fraud", "won",
    ),
    "network": ([install("network")], claim("network", "Facebook Ads"), "srn", None),
    "old": (
        [install("old"), touch("old", 169, "netone")], claim("old", "netone", 169), "window", "outside_window",
    ),
    "ranked": (
        [install("ranked"), touch("ranked", 3, "netone"), touch("ranked", 1, "nettwo")],
        claim("ranked", "netone", 3), "ranking", "lost_to_later_touch",
    ),
    "dropped": (
        [install("dropped"), touch("dropped", 3, "netone", is_signature_valid=False)],
        claim("dropped", "netone", 3), "rule", "signature_invalid",
    ),
    "unseen": ([install("unseen")], claim("unseen", "netone"), "candidate_unknown_to_us", None),
    "ours": ([install("ours"), touch("ours", 1, "netone")], claim("ours"), "candidate_unknown_to_them", None),
    "judged": (
        [install("judged"), touch("judged", 1, "netone")],
        claim("judged", **{"Total Candidates": "2"}), "organic_vs_paid", None,
    ),
    "silent": ([install("silent"), touch("silent", 1, "netone")], None, "install_unknown_to_them", None),
    "foreign": ([], claim("foreign", "netone"), "install_unknown_to_us", None),
}  # fmt: skip


ONLY_ITS_TESTS = ("--indirect-selection=buildable", "--exclude-resource-type", "unit_test")


def build(dbt: Dbt, home: Home, *more: str) -> None:
    outcome = dbt(
        home.folder, "build", "--select", "+mmp_reconciliation_daily", "+int_watermarks", *ONLY_ITS_TESTS, *more
    )
    assert outcome.success, outcome.failures or outcome.error


def bring(home: Home, rows: list[Mapping[str, str]], *, claims: bool = True, zone: str = "") -> Any:
    file = home.folder / "installs.csv"
    file.write_text(report(rows, more=True), encoding="utf-8")
    settings = load_settings({"UNMOGROWP_HOME": str(home.folder), "UNMOGROWP_SALT": "s" * 40})
    return import_file(settings, file, "appsflyer", options=ImportOptions(zone=zone, as_claims=claims))


@pytest.fixture(scope="module")
def home(dbt: Dbt, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Every case, our side built before and after the vendor's report came in."""
    home = Home(tmp_path_factory.mktemp("mmp") / "home")
    home.land([known for rows, _, _, _ in CASES.values() for known in rows])
    build(dbt, home, "test")
    before = {table: rows_of(home.lake, table) for table in OURS}
    assert home.lake.row_count("gold/mmp_reconciliation") == 0, "nothing to compare with"
    event = dict(claim("alike", "netone")) | {"Event Name": "af_purchase", "Event Revenue USD": "5"}
    late = dict(claim("late", "netone")) | {"Install Time": "2026-01-12 12:00:00", "Event Time": "2026-01-12 12:00:00"}
    result = bring(home, [row for _, row, _, _ in CASES.values() if row is not None] + [event, late])
    assert (result.accepted, result.skipped, result.rejected) == (15, 1, 0), result.lines()
    assert result.records == {"install": 15}, "no touch and no event becomes ours"
    build(dbt, home)
    assert {table: rows_of(home.lake, table) for table in OURS} == before
    return home


OURS = ("gold/attributed_installs", "gold/attribution_candidates", "silver/int_installs", "silver/stg_touchpoints")


def compared(home: Home) -> dict[str, Row]:
    rows = home.lake.open("gold/mmp_reconciliation").to_pyarrow_table().to_pylist()
    return {(row["vendor_install_id"] or row["install_id"]).split("-", 1)[1]: row for row in rows}


@pytest.mark.parametrize("name", CASES)
def test_a_difference_has_its_class(home: Home, name: str) -> None:
    _, _, expected, reason = CASES[name]
    row = compared(home)[name]
    assert (row["difference_class"], row["vendor_touch_reason_code"]) == (expected, reason)
    assert row["matched_by"] == (None if expected.startswith("install_unknown") else "gaid")


def test_both_decisions_stand_beside_each_other(home: Home) -> None:
    row = compared(home)["ranked"]
    assert (row["partner"], row["vendor_partner"], row["install_id"]) == ("nettwo", "netone", "own-ranked")
    assert row["vendor_touch_at"] == NOON - timedelta(hours=3)
    assert row["vendor_touch_id"] == "to-ranked-3"
    assert row["explanation"] == "The touch that the vendor credits took part here and lost to another"


def test_the_summary_counts_every_row_once(home: Home) -> None:
    daily = home.lake.open("gold/mmp_reconciliation_daily").to_pyarrow_table().to_pylist()
    assert sum(row["installs"] for row in daily) == len(CASES) + 1
    assert {row["difference_class"] for row in daily} == {case[2] for case in CASES.values()}


def test_the_completeness_of_the_data_does_not_follow_claims(home: Home) -> None:
    (row,) = home.lake.open("silver/int_watermarks").to_pyarrow_table().to_pylist()
    assert row["watermark_at"] == NOON, "the report goes on to the 12th"


@pytest.mark.slow
def test_an_install_that_was_imported_as_one_is_compared_too_in_any_zone(dbt: Dbt, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.land([touch("alike", 1, "netone")])
    local = {"Install Time": "2026-01-10 13:00:00", "Event Time": "2026-01-10 13:00:00"}
    row = claim("alike", "netone") | local | {"Attributed Touch Time": "2026-01-10 12:00:00"}
    bring(home, [row], claims=False, zone="Europe/Berlin")
    bring(home, [row], claims=True, zone="Europe/Berlin")
    build(dbt, home)
    rows = home.lake.open("gold/mmp_reconciliation").to_pyarrow_table().to_pylist()
    assert [row["install_id"] for row in rows] == ["af-alike"], "one install and one claim, though imported as both"
    assert rows[0]["matched_by"] == "install_id"
    assert rows[0]["vendor_touch_at"] == NOON - timedelta(hours=1)
    assert rows[0]["difference_class"] == "same"
