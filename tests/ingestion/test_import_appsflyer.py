"""AppsFlyer raw reports: what each row becomes, in every spelling of the header, and what exports that overlap add."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from ingestion.import_report import ImportResult
from ingestion.import_sources import ImportOptions
from ingestion.importer import ImportFailed, import_file
from ingestion.mapping import load_mapping, spelling, spellings
from lakehouse.apps import App, save_apps
from lakehouse.settings import Settings
from tests.ingestion.appsflyer_reports import (
    AD_REVENUE,
    EVENT,
    INSTALL,
    MORE_TITLES,
    ORGANIC,
    TITLES,
    TOUCH,
    VENDOR_APP,
    locker_name,
    report,
)
from tests.ingestion.rig import APP, bronze, ids_of, query


@pytest.fixture
def home(settings: Settings) -> Settings:
    save_apps(settings, (App(app_id=APP, platform="ios", store_id=VENDOR_APP.removeprefix("id")),))
    return settings


def run(settings: Settings, content: str | bytes, name: str = "f.csv", **options: Any) -> ImportResult:
    file = settings.home / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    dry = options.pop("dry_run", False)
    return import_file(settings, file, "appsflyer", dry_run=dry, options=ImportOptions(**options))


def record_ids(settings: Settings, content: str | bytes, **options: Any) -> list[str]:
    """The ids of the records of a file, without storing them."""
    file = settings.home / "ids.csv"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return ids_of(settings, file, "appsflyer", **options)


def app_events(settings: Settings) -> list[dict[str, Any]]:
    return sorted(bronze(settings, "bronze_app_events"), key=lambda r: (r["event_at"], r["record_type"]))


def ids(settings: Settings, *tables: str) -> Counter[str]:
    return Counter(row["record_id"] for table in tables for row in bronze(settings, table))


def test_an_install_is_the_install_and_the_touch_it_names(home: Settings) -> None:
    result = run(home, report([INSTALL, ORGANIC]))
    assert (result.rows, result.accepted, result.reports) == (2, 2, {"installs": 2})
    assert result.records == {"click": 1, "install": 2}
    paid, organic = sorted(app_events(home), key=lambda r: r["user_id"] or "z")
    assert (paid["app_id"], paid["record_type"], paid["source"]) == (APP, "install", "import")
    assert (paid["install_id"], paid["user_id"]) == ("1772272800000-1234567", "u-1")
    assert paid["event_at"] == datetime(2026, 2, 28, 10, tzinfo=UTC)
    assert (paid["platform"], paid["country"], paid["os_name"]) == ("ios", "GB", "iOS")
    assert paid["gaid"] is None, "a zero id is null"
    assert organic["user_id"] is organic["idfa"] is None, "a blank id is null"
    kept = json.loads(paid["properties"])
    # The vendor's decision, and those it refused.
    assert (kept["media_source"], kept["attributed_touch_type"]) == ("ExampleNet_int", "click")
    assert (kept["af_c_id"], kept["contributor_1_media_source"]) == ("c-77", "othernet_int")
    assert "ip" not in kept
    (touch,) = bronze(home, "bronze_touchpoints")
    assert (touch["record_type"], touch["partner"], touch["campaign_name"]) == (
        "click",
        "examplenet_int",
        "Winter, wide",
    )
    assert (touch["install_id"], touch["idfa"]) == (paid["install_id"], paid["idfa"])
    assert touch["event_at"] == datetime(2026, 2, 27, 8, tzinfo=UTC)
    assert touch["record_id"] != paid["record_id"]
    assert touch["ip_prefix"] is None, "the address is that of the start, not of the touch"


def test_every_report_is_recognised_by_its_rows(home: Settings) -> None:
    rows = [
        INSTALL,
        ORGANIC,
        INSTALL | {"Event Name": "reinstall", "Event Time": "2026-03-05 10:00:00"},
        INSTALL | {"Event Name": "re-attribution", "Event Time": "2026-03-06 10:00:00", "Is Retargeting": "true"},
        INSTALL | {"Event Name": "re-engagement", "Event Time": "2026-03-07 10:00:00", "Is Retargeting": "true"},
        INSTALL | {"Event Name": "uninstall", "Event Time": "2026-03-08 10:00:00"},
        EVENT,
        AD_REVENUE,
        TOUCH,
        TOUCH | {"Attributed Touch Type": "impression"},
        # An event of the app that is called like a report is still an event.
        EVENT | {"Event Name": "click"},
        # Protect360 only adds columns.
        INSTALL | {"AppsFlyer ID": "1-2", "Blocked Reason": "bots", "Blocked Sub Reason": "fake_devices"},
    ]
    result = run(home, report(rows, more=True))
    assert result.reports == {
        "installs": 3,
        "reinstalls": 1,
        "retargeting conversions (re-attributions)": 1,
        "retargeting conversions (re-engagements)": 1,
        "uninstalls": 1,
        "ad revenue": 1,
        "clicks": 1,
        "impressions": 1,
        "in-app events": 2,
    }
    assert (result.rejected, result.unknown_columns) == (0, [])
    assert Counter(r["record_type"] for r in app_events(home)) == {
        "install": 5,
        "session": 1,
        "uninstall": 1,
        "event": 2,
        "ad_revenue": 1,
    }
    by_type = {r["record_type"]: r for r in app_events(home)}
    assert by_type["uninstall"]["uninstall_detector"] == "apns"
    revenue = by_type["ad_revenue"]
    assert (revenue["revenue_micros"], revenue["mediation"], revenue["ad_impressions"]) == (12_500, "applovinmax", 3)
    (blocked,) = [r for r in app_events(home) if r["install_id"] == "1-2"]
    assert json.loads(blocked["properties"])["blocked_sub_reason"] == "fake_devices"
    touches = bronze(home, "bronze_touchpoints")
    assert sum(bool(t["is_retargeting"]) for t in touches) == 2
    assert {t["gaid"] for t in touches if t["site_id"] == "pub-1"} == {TOUCH["Advertising ID"]}


def test_every_column_of_the_reports_is_known(home: Settings) -> None:
    aliases = load_mapping("appsflyer").aliases
    known = spellings(aliases)
    for title in (*TITLES, *MORE_TITLES):
        assert known[spelling(title)] == known[spelling(locker_name(title))]
    values = dict.fromkeys((*TITLES, *MORE_TITLES), "x") | EVENT | {"Is LAT": "true", "Country Code": "DE"}
    result = run(home, report([values | {"My own": "7"}], titles=[*TITLES, "My own"], more=True))
    assert (result.accepted, result.unknown_columns) == (1, ["my_own"])
    (row,) = app_events(home)
    kept = json.loads(row["properties"])
    mapped = {
        "appsflyer_id", "customer_user_id", "idfa", "idfv", "advertising_id", "oaid", "android_id", "ip", "user_agent",
        "os_version", "language", "app_version", "event_name", "event_time",
    }  # fmt: skip
    assert kept.keys() == aliases.keys() & {known[spelling(t)] for t in values} - mapped | {"my_own"}


def test_header_spelling_column_order_and_byte_order_mark_change_no_id(home: Settings) -> None:
    rows = [INSTALL, EVENT, EVENT]
    texts: list[str | bytes] = [
        report(rows, more=True),
        gzip.compress(report(rows, more=True, locker=True).encode()),
        report(rows, titles=TITLES[::-1], more=True),
        "\ufeff" + report(rows, more=True).replace("\n", "\r\n"),
    ]
    found = [record_ids(home, text) for text in texts]
    assert len(set(found[0])) == 4
    assert all(sorted(ids) == sorted(found[0]) for ids in found)


def test_blocks_with_other_headers_are_read_by_their_own(home: Settings) -> None:
    text = report([INSTALL, EVENT]) + "\ufeff" + report([AD_REVENUE], locker=True, more=True) + report([EVENT])
    result = run(home, text, dry_run=True)
    assert (result.rows, result.accepted, result.blocks) == (4, 4, 3)
    assert result.reports == {"installs": 1, "in-app events": 2, "ad revenue": 1}


def test_exports_that_overlap_lose_and_add_nothing(home: Settings) -> None:
    days = [EVENT | {"Event Time": f"2026-03-{day:02d} 09:30:00"} for day in range(1, 13)]
    days = [row for row in days for _ in range(2)]  # real rows that are equal
    for name, rows in (("a.csv", days[:14]), ("b.csv", days[8:]), ("a.csv", days[:14])):
        run(home, report(rows), name)
    run(home, report(days[:14]) + report(days[8:]), "joined.csv")
    counts = ids(home, "bronze_app_events")
    assert len(counts) == 24, "12 days with two equal purchases each"
    assert set(counts.values()) == {2, 3, 5}


def test_parts_of_one_export_are_counted_through(home: Settings) -> None:
    text = report([EVENT]) + report([EVENT])
    assert len(set(record_ids(home, text))) == 1
    assert len(set(record_ids(home, text, is_one_export=True))) == 2


def test_an_event_that_is_credited_twice_is_counted_once(home: Settings) -> None:
    again = EVENT | {"Is Retargeting": "true", "Is Primary Attribution": "true", "Media Source": "retarget_int"}
    result = run(home, report([EVENT | {"Is Primary Attribution": "false"}, again]))
    assert result.accepted == 2
    assert list(ids(home, "bronze_app_events").values()) == [2]


def test_the_currency_of_the_purchase_counts_before_dollars(home: Settings) -> None:
    rows = [
        EVENT,
        EVENT | {"Event Name": "a", "Event Revenue": "", "Event Revenue Currency": ""},
        EVENT | {"Event Name": "b", "Event Revenue Currency": ""},
        EVENT | {"Event Name": "c", "Event Revenue": "", "Event Revenue USD": ""},
    ]
    bad = [
        EVENT | {"Event Revenue Currency": "", "Event Revenue USD": ""},
        EVENT | {"Event Revenue": "1,234.50"},
        EVENT | {"Event Revenue": "nan"},
        EVENT | {"Event Revenue Currency": "QQQ"},
    ]
    result = run(home, report([*rows, *bad]))
    found = {r["event_name"]: (r["revenue_micros"], r["currency"]) for r in app_events(home)}
    assert found == {
        "af_purchase": (4_990_000, "EUR"),
        "a": (5_410_000, "USD"),
        "b": (5_410_000, "USD"),
        "c": (None, None),
    }
    assert result.reasons == {"currency_missing": 1, "not_finite": 1, "unknown_currency": 1, "wrong_type": 1}


def test_damaged_rows_are_rejected_with_line_and_bytes(home: Settings) -> None:
    good = report([INSTALL, EVENT]).splitlines(keepends=True)
    bad = [
        "click,2026-02-27\n",
        good[2].replace('"{', '"{"x'),
        report([EVENT | {"Event Time": "2026-02-30 10:00:00"}]).splitlines(keepends=True)[1],
        report([INSTALL | {"Attributed Touch Time": "yesterday"}]).splitlines(keepends=True)[1],
        report([EVENT | {"Event Revenue": "free"}]).splitlines(keepends=True)[1],
        report([EVENT | {"Event Time": ""}]).splitlines(keepends=True)[1],
        report([EVENT | {"App ID": "id42"}]).splitlines(keepends=True)[1],
        report([{"Media Source": "lost"}]).splitlines(keepends=True)[1],
        "a,\"quotation mark that is not closed\n",
    ]  # fmt: skip
    result = run(home, "".join([good[0], good[1], *bad, good[2]]))
    assert (result.rows, result.accepted, result.rejected) == (11, 2, 9)
    rejects = sorted(bronze(home, "bronze_rejects"), key=lambda r: r["position"])
    assert [r["reason_code"] for r in rejects] == [
        "invalid_row", "invalid_row", "invalid_timestamp", "invalid_timestamp", "wrong_type", "missing_field",
        "unknown_app", "invalid_row", "invalid_row",
    ]  # fmt: skip
    assert [r["position"] for r in rejects] == list(range(1, 10))
    assert [r["raw"].decode() for r in rejects] == [text.rstrip("\n") for text in bad]
    assert [r["message"].partition(":")[0] for r in rejects] == [f"line {n}" for n in range(3, 12)]
    assert len(bronze(home, "bronze_touchpoints")) == 1, (
        "an install with a touch time that cannot be read is refused whole"
    )
    receipts = query(home, "bronze_receipts", "select sum(received)::bigint n from bronze.bronze_receipts")
    assert receipts == [{"n": 3 + 9}], "two rows made three records"


def test_a_row_whose_touch_is_refused_is_refused_whole(home: Settings) -> None:
    rows = [INSTALL, INSTALL | {"AppsFlyer ID": "1-2", "Campaign": "x" * 300}, ORGANIC]
    result = run(home, report(rows))
    assert (result.rows, result.accepted, result.reasons) == (3, 2, {"too_long": 1})
    assert (result.examples[0].line, result.examples[0].column) == (3, "campaign")
    assert {row["install_id"] for row in app_events(home)} == {INSTALL["AppsFlyer ID"], ORGANIC["AppsFlyer ID"]}
    assert result.records == {"click": 1, "install": 2}


@pytest.mark.parametrize(
    ("zone", "local", "instant"),
    [
        ("", "2026-07-01 10:00:00", datetime(2026, 7, 1, 10, tzinfo=UTC)),
        ("Europe/Berlin", "2026-07-01 10:00:00", datetime(2026, 7, 1, 8, tzinfo=UTC)),
        # Clocks went back: the first of two.
        ("Europe/Berlin", "2025-10-26 02:30:00", datetime(2025, 10, 26, 0, 30, tzinfo=UTC)),
        ("Australia/Lord_Howe", "2026-04-05 01:45:00", datetime(2026, 4, 4, 14, 45, tzinfo=UTC)),
        ("America/New_York", "2025-11-02 01:59:59.5", datetime(2025, 11, 2, 5, 59, 59, 500_000, tzinfo=UTC)),
        # Clocks went forward: there is no such time.
        ("Europe/Berlin", "2026-03-29 02:30:00", None),
        ("Europe/Berlin", "2026-03-29 03:00:00", datetime(2026, 3, 29, 1, tzinfo=UTC)),
        # What says its offset needs no zone.
        ("Europe/Berlin", "2026-07-01 10:00:00.250+0000", datetime(2026, 7, 1, 10, 0, 0, 250_000, tzinfo=UTC)),
    ],
)
def test_local_times(home: Settings, zone: str, local: str, instant: datetime | None) -> None:
    result = run(home, report([EVENT | {"Event Time": local}]), zone=zone)
    if instant is None:
        assert result.reasons == {"invalid_timestamp": 1}
        assert "does not exist in Europe/Berlin" in result.examples[0].message
    else:
        assert [r["event_at"] for r in app_events(home)] == [instant]


def test_the_zone_of_the_export_changes_no_id(home: Settings) -> None:
    utc = record_ids(home, report([EVENT | {"Event Time": "2026-07-01 10:00:00"}]))
    assert utc == record_ids(home, report([EVENT | {"Event Time": "2026-07-01 12:00:00.000"}]), zone="Europe/Berlin")


def test_the_app_may_be_said_by_the_caller(home: Settings) -> None:
    assert run(home, report([EVENT | {"App ID": "id42"}]), app_id=APP).accepted == 1
    with pytest.raises(ImportFailed, match="app nobody is not registered"):
        run(home, report([EVENT]), app_id="nobody")


@pytest.mark.parametrize(
    ("text", "options", "sentence"),
    [
        ("day,spend\n2026-03-01,4\n", {}, "the file has no column media_source; it has day, spend."),
        ("Media Source,media_source,App ID\na,b,c\n", {}, "the header names column media_source twice"),
        (report([EVENT]), {"zone": "Mars/Base"}, "the time zone is wrong: No time zone found with key Mars/Base."),
    ],
)
def test_a_file_or_option_that_does_not_fit_says_so(
    home: Settings, text: str, options: dict[str, str], sentence: str
) -> None:
    with pytest.raises(ImportFailed) as failure:
        run(home, text, dry_run=True, **options)
    assert sentence in str(failure.value)


def test_a_damaged_archive_says_so(home: Settings) -> None:
    with pytest.raises(ImportFailed, match="the compressed file is damaged"):
        run(home, gzip.compress(report([EVENT] * 50).encode())[:-40], dry_run=True)
