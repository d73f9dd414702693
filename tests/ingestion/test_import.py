"""Files: mappings, damaged rows, repeated rows, and the same file again."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, date, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from ingestion.importer import ImportFailed, import_file
from lakehouse.apps import App, save_apps
from lakehouse.settings import Settings
from orchestration.cli import cli
from tests.ingestion.rig import APP, OTHER_APP, SALT, bronze, line, query, record, register_apps

MAPPING = """
format = "csv"
app_id = "game.ios"
record_type = "event"
[fields]
install_id = "device"
event_name = "what"
revenue = "amount"
currency = "unit"
is_limit_ad_tracking = "lat"
quantity = "pieces"
[times.event_at]
column = "when"
format = "%d.%m.%Y %H:%M"
zone = "Europe/Berlin"
"""
CDNOW_KIND = ("cdnow", "event", "purchase", "USD")
HEADER = "when,device,what,amount,unit,lat,pieces,note\n"
ROWS = (
    '01.03.2026 10:00,d1,buy,4.99,USD,yes,2,"a, ""quoted"" note"\n'
    "01.03.2026 10:00,d1,buy,4.99,USD,yes,2,\n"
    "01.03.2026 10:00,d1,buy,4.99,USD,yes,2,\n"
    "01.03.2026 11:00,d2,look,,,,,\n"
)


@pytest.fixture
def home(settings: Settings) -> Settings:
    register_apps(settings)
    return settings


def write(folder: Path, name: str, content: str | bytes) -> Path:
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def events(settings: Settings) -> list[dict[str, Any]]:
    return sorted(bronze(settings, "bronze_app_events"), key=lambda r: (r["event_at"], r["record_id"]))


def test_a_csv_file_lands_by_its_mapping(home: Settings, tmp_path: Path) -> None:
    mapping = write(tmp_path, "m.toml", MAPPING)
    file = write(tmp_path, "f.csv", HEADER + ROWS)
    result = import_file(home, file, str(mapping))
    assert (result.rows, result.accepted, result.rejected) == (4, 4, 0)
    rows = events(home)
    assert len({r["record_id"] for r in rows}) == 4, "equal rows are rows of their own"
    quoted = next(r for r in rows if r["properties"])
    assert json.loads(quoted["properties"]) == {"note": 'a, "quoted" note'}
    assert quoted["event_at"] == datetime(2026, 3, 1, 9, tzinfo=UTC)
    assert (quoted["revenue_micros"], quoted["currency"], quoted["quantity"]) == (4_990_000, "USD", 2)
    assert (quoted["is_limit_ad_tracking"], quoted["source"]) == (True, "import")
    (receipt,) = bronze(home, "bronze_receipts")
    assert (receipt["route"], receipt["received"], receipt["accepted"]) == ("import", 4, 4)


def test_the_same_file_again_and_an_overlapping_one_add_no_id(home: Settings, tmp_path: Path) -> None:
    mapping = write(tmp_path, "m.toml", MAPPING)
    first = write(tmp_path, "first.csv", HEADER + ROWS)
    more = "02.03.2026 10:00,d9,buy,1,USD,no,1,\n"
    overlap = write(tmp_path, "second.csv", HEADER + "".join(ROWS.splitlines(keepends=True)[1:]) + more)
    reordered = "device,when,what,amount,unit,lat,pieces,note\nd2,01.03.2026 11:00,look,,,,,\n"
    for file in (first, first, overlap, write(tmp_path, "third.csv", "\ufeff" + reordered)):
        import_file(home, file, str(mapping))
    counts = Counter(r["record_id"] for r in events(home))
    assert len(counts) == 5
    assert sorted(counts.values()) == [1, 2, 3, 3, 4]


def test_damaged_rows_go_to_the_rejects_with_their_place(home: Settings, tmp_path: Path) -> None:
    mapping = write(tmp_path, "m.toml", MAPPING)
    bad = [
        b"too,few\n",
        b"31.02.2026 10:00,d1,buy,1,USD,,,\n",
        b"01.03.2026 10:00,d1,buy,one,USD,,,\n",
        b"01.03.2026 10:00,d1,buy,1,USD,maybe,,\n",
        b"01.03.2026 10:00,d1,b\xffy,1,USD,,,\n",
        b"01.03.2026 10:00,d1,buy,1,,,,\n",
        b'01.03.2026 10:00,d1,"a"b,1,USD,,,\n',
    ]
    good = ROWS.encode().splitlines(keepends=True)
    body = HEADER.encode() + good[0] + b"".join(bad) + b"".join(good[1:])
    result = import_file(home, write(tmp_path, "f.csv", body), str(mapping))
    assert (result.accepted, result.rejected) == (4, 7)
    rejects = sorted(bronze(home, "bronze_rejects"), key=lambda r: r["position"])
    assert [(r["position"], r["reason_code"]) for r in rejects] == [
        (1, "invalid_row"),
        (2, "invalid_timestamp"),
        (3, "wrong_type"),
        (4, "wrong_type"),
        (5, "invalid_utf8"),
        (6, "currency_missing"),
        (7, "invalid_row"),
    ]
    assert [r["raw"] for r in rejects] == [text.rstrip(b"\n") for text in bad]
    assert result.reasons == dict(sorted(Counter(r["reason_code"] for r in rejects).items()))


def test_an_unclosed_quotation_mark_does_not_swallow_the_file(
    home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingestion.delimited._MAX_ROW_BYTES", 500)
    mapping = write(tmp_path, "m.toml", MAPPING)
    body = HEADER + '01.03.2026 10:00,d1,"buy,1,USD,,,\n' + ROWS * 20
    result = import_file(home, write(tmp_path, "f.csv", body), str(mapping))
    assert result.rejected >= 1
    assert result.accepted > 60


def test_a_dry_run_says_what_would_happen_and_writes_nothing(home: Settings, tmp_path: Path) -> None:
    mapping = write(tmp_path, "m.toml", MAPPING)
    file = write(tmp_path, "f.csv", HEADER + ROWS + "bad\n")
    told: list[str] = []
    dry = import_file(home, file, str(mapping), dry_run=True, progress=told.append)
    assert (dry.rows, dry.accepted, dry.rejected, dry.reasons) == (5, 4, 1, {"invalid_row": 1})
    assert (dry.examples[0].position, dry.examples[0].code) == (4, "invalid_row")
    assert told[-1] == "4 accepted, 1 rejected"
    assert not Path(home.lake).exists()
    assert not home.spool_dir.exists()
    wet = import_file(home, file, str(mapping))
    assert (wet.accepted, wet.rejected, wet.reasons) == (dry.accepted, dry.rejected, dry.reasons)


def test_parquet_and_ndjson_carry_their_types(home: Settings, tmp_path: Path) -> None:
    declared = """
format = "FORMAT"
app_id = "game.ios"
record_type = "cost"
[fields]
partner = "network"
cost = "spend"
impressions = "shown"
[constants]
currency = "EUR"
[times.cost_date]
column = "day"
[record_id]
columns = ["network", "day"]
"""
    values = {"network": ["Meta", "Applovin"], "spend": ["10.25", "0.10"], "shown": [100, 200]}
    days = [date(2026, 3, 1), date(2026, 3, 2)]
    table = pa.table(values | {"day": days, "extra": [1.5, None]})
    pq.write_table(table, tmp_path / "f.parquet")
    lines = "".join(json.dumps(row | {"day": str(row["day"])}) + "\n" for row in table.to_pylist())
    file = write(tmp_path, "f.ndjson", lines + "broken\n")
    for kind, path in (("parquet", tmp_path / "f.parquet"), ("ndjson", file)):
        result = import_file(home, path, str(write(tmp_path, "m.toml", declared.replace("FORMAT", kind))))
        assert (result.accepted, result.rejected) == (2, int(kind == "ndjson"))
    rows = sorted(bronze(home, "bronze_costs"), key=lambda r: r["record_id"])
    assert [r["record_id"] for r in rows] == ["Applovin|2026-03-02"] * 2 + ["Meta|2026-03-01"] * 2
    assert {(r["partner"], r["cost_micros"], r["impressions"], r["cost_date"]) for r in rows} == {
        ("meta", 10_250_000, 100, days[0]),
        ("applovin", 100_000, 200, days[1]),
    }
    assert {r["properties"] for r in rows} == {'{"extra":1.5}', '{"extra":"1.5"}', None}


def test_unix_time_and_a_file_without_header(home: Settings, tmp_path: Path) -> None:
    declared = """
format = "csv"
delimiter = ";"
columns = ["id", "ms"]
app_id = "game.ios"
record_type = "session"
[fields]
install_id = "id"
[times.event_at]
column = "ms"
unit = "ms"
[record_id]
columns = ["id", "ms"]
"""
    file = write(tmp_path, "f.csv", "d1;1772359200123\nd2;soon\n")
    result = import_file(home, file, str(write(tmp_path, "m.toml", declared)))
    assert (result.accepted, result.reasons) == (1, {"invalid_timestamp": 1})
    assert events(home)[0]["event_at"] == datetime(2026, 3, 1, 10, 0, 0, 123_000, tzinfo=UTC)


def test_native_takes_records_of_all_apps_as_they_are(home: Settings, tmp_path: Path) -> None:
    lines = [
        line(record_id="a"),
        json.dumps(record(record_id="b", app_id=OTHER_APP)).encode(),
        line(record_id="c", app_id="nobody"),
        b"{",
        line(record_id="d", colour="red"),
    ]
    result = import_file(home, write(tmp_path, "f.ndjson", b"\n".join(lines)), "native")
    assert (result.accepted, result.reasons) == (3, {"invalid_json": 1, "unknown_app": 1})
    assert {(r["record_id"], r["app_id"]) for r in events(home)} == {("a", APP), ("b", OTHER_APP), ("d", APP)}
    assert sorted(r["position"] for r in bronze(home, "bronze_rejects")) == [2, 3]


def test_the_purchases_of_cdnow(home: Settings) -> None:
    (found,) = [f for f in metadata.files("lifetimes") or [] if f.name == "CDNOW_master.txt"]
    save_apps(home, (App(app_id="cdnow", platform="other", implied_installs=True),))
    result = import_file(home, Path(str(found.locate())), "cdnow")
    assert (result.rows, result.accepted, result.rejected) == (69_659, 69_659, 0)
    (found_rows,) = query(
        home,
        "bronze_app_events",
        """select count(*) as rows, count(distinct record_id) as ids, count(distinct install_id) as customers,
           sum(revenue_micros)::bigint as micros, min(event_at) as first, max(event_at) as last,
           list(distinct (app_id, record_type, event_name, currency)) as kinds, count(distinct user_id) as users
           from bronze.bronze_app_events""",
    )
    assert found_rows == {
        "rows": 69_659,
        "ids": 69_659,
        "customers": 23_570,
        "users": 23_570,
        "micros": 2_500_315_630_000,
        "first": datetime(1997, 1, 1, 12, tzinfo=UTC),
        "last": datetime(1998, 6, 30, 12, tzinfo=UTC),
        "kinds": [{f"element{i}": text for i, text in enumerate(CDNOW_KIND, start=1)}],
    }


RICH = """
format = "csv"
delimiter = ";"
decimal = ","
zone = "Europe/Berlin"
app_id = "game.ios"
only = [{ column = "status", is_not = ["test"] }]
[[records]]
record_type = "event"
report = "orders"
when = [{ column = "kind", is = ["order", "refund"] }]
constants = { environment = "production" }
record_id = { columns = ["no"] }
[records.fields]
event_name = { columns = ["kind"], values = { order = "purchase" }, otherwise = "other" }
user_id = ["customer", "mail"]
country = { columns = ["land"], pattern = "[A-Z]{2}" }
quantity = "pieces"
[records.times]
event_at = { column = "day", format = "%d.%m.%Y", time_of_day = "08:30" }
[records.amounts]
revenue = [{ amount = "euro", currency_is = "EUR" }, { amount = "money", currency = "unit" }]
[[records]]
record_type = "session"
when = [{ column = "kind", is = ["visit"] }]
fields = { install_id = "customer" }
record_id = { columns = ["no"] }
[[records]]
record_type = "consent"
also = true
properties = []
when = [{ column = "gdpr", given = true }]
fields = { user_id = ["customer", "mail"], is_gdpr_subject = "gdpr" }
record_id = { columns = ["no", "kind"] }
"""
RICH_ROWS = """no;kind;customer;mail;land;pieces;day;euro;money;unit;gdpr;status
1;order;;a@b.test;DE;2;01.07.2026;1.234,50;;;yes;
2;Refund;c2;;Deutschland;;01.12.2026;;-3,5;USD;;ok
3;visit;c2;;;;;;;;;
4;order;c3;;;;01.07.2026;1.5;;;;
5;order;c4;;;;01.07.2026;9;;;;test
6;dance;c5;;;;;;;;;
"""


def test_a_mapping_translates_picks_filters_and_makes_several_records(home: Settings, tmp_path: Path) -> None:
    mapping = str(write(tmp_path, "m.toml", RICH))
    clock = {"clock": lambda: datetime(2026, 12, 2, tzinfo=UTC)}
    result = import_file(home, write(tmp_path, "f.csv", RICH_ROWS), mapping, **clock)
    assert (result.rows, result.accepted, result.rejected, result.skipped) == (6, 3, 2, 1)
    # 1.5 is no number where the comma is the point: 1.500 would be fifteen hundred.
    assert result.reasons == {"invalid_row": 1, "wrong_type": 1}
    assert result.reports == {"orders": 2, "session": 1}
    rows = {row["record_id"]: row for row in bronze(home, "bronze_app_events")}
    assert sorted(rows) == ["1", "2", "3"]
    order, refund = rows["1"], rows["2"]
    assert (order["event_name"], order["user_id"], order["country"]) == ("purchase", "a@b.test", "DE")
    assert (order["quantity"], order["revenue_micros"], order["currency"]) == (2, 1_234_500_000, "EUR")
    assert order["event_at"] == datetime(2026, 7, 1, 6, 30, tzinfo=UTC)
    assert (refund["event_name"], refund["user_id"], refund["country"]) == ("other", "c2", None)
    assert (refund["revenue_micros"], refund["currency"]) == (-3_500_000, "USD")
    assert refund["event_at"] == datetime(2026, 12, 1, 7, 30, tzinfo=UTC)
    assert json.loads(refund["properties"])["land"] == "Deutschland", "what a pattern refuses is kept"
    (consent,) = bronze(home, "bronze_consents")
    assert (consent["record_id"], consent["is_gdpr_subject"], consent["properties"]) == ("1|order", True, None)


def test_the_command_tells_what_would_happen(home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNMOGROWP_HOME", str(home.home))
    monkeypatch.setenv("UNMOGROWP_SALT", SALT)
    mapping = str(write(tmp_path, "m.toml", MAPPING))
    file = str(write(tmp_path, "f.csv", HEADER + ROWS + "01.03.2026 10:00,d1,buy,four,USD,,,\nbad\n"))
    told = CliRunner().invoke(cli, ["import", file, "--mapping", mapping, "--dry-run"])
    assert told.exit_code == 0
    lines = told.stdout.splitlines()
    assert lines[0] == "f.csv: 6 rows, 4 would be accepted, 2 rejected"
    assert "records: 4 event" in lines
    assert "    line 6, column amount, value 'four': revenue is not a decimal number" in lines
    assert "columns the mapping does not know, kept in properties: note" in lines
    as_json = CliRunner().invoke(cli, ["import", file, "--mapping", mapping, "--dry-run", "--json"])
    found = json.loads(as_json.stdout)
    assert (found["rows"], found["is_dry_run"], found["records"]) == (6, True, {"event": 4})
    first = found["examples"][1]
    assert (first["line"], first["column"], first["value"], first["code"]) == (6, "amount", "four", "wrong_type")
    assert not Path(home.lake).exists()
    failed = CliRunner().invoke(cli, ["import", file, "--mapping", "nothing"])
    assert (failed.exit_code, "there is no mapping nothing" in failed.stderr) == (1, True)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("[records.fields]", "[records.felds]"), "Object contains unknown field `felds`"),
        (('is_not = ["test"]', "given = true, is = []"), "the condition on status needs one of"),
        (('record_type = "session"', 'record_type = "dance"'), "records 2: dance is not a record type"),
        (('pattern = "[A-Z]{2}"', 'pattern = "[A-Z"'), "fields.country.pattern"),
        (('otherwise = "other"', 'otherwise = "other", colour = 1'), "Object contains unknown field `colour`"),
        (
            ('currency_is = "EUR"', 'currency_is = "EUR", currency = "unit"'),
            "amounts.revenue needs `amount`",
        ),
        (('quantity = "pieces"', 'event_at = "day"'), "event_at is mapped twice"),
        (('quantity = "pieces"', "quantity = []"), "fields.quantity names no column"),
        (('zone = "Europe/Berlin"', 'zone = "Mars"'), "No time zone found with key Mars"),
        (('app_id = "game.ios"', 'app_id = "game.ios"\napp_column = "no"'), "one of `app_id` and `app_column`"),
        (('app_id = "game.ios"', ""), "say which app with `--app`"),
        (('format = "%d.%m.%Y"', 'format = "%Q"'), "event_at: Invalid Input Error"),
        (('"%d.%m.%Y"', '"%d.%m.%Y", unit = "s"'), "times.event_at has either `format` or `unit`"),
        (('columns = ["no", "kind"]', 'key = ["no"], columns = ["no"]'), "record_id has either `columns` or `key`"),
        (('decimal = ","', 'decimal = ","\nrecord_type = "event"'), "it needs either `record_type` or `[[records]]`"),
        (('decimal = ","', 'decimal = ","\nrequired = ["colour"]'), "required: there is no field colour"),
    ],
)
def test_a_mapping_of_several_records_that_is_wrong_names_the_key(
    home: Settings, tmp_path: Path, change: tuple[str, str], sentence: str
) -> None:
    assert change[0] in RICH
    mapping = str(write(tmp_path, "m.toml", RICH.replace(*change, 1)))
    with pytest.raises(ImportFailed, match=r"\.$") as failure:
        import_file(home, write(tmp_path, "f.csv", RICH_ROWS), mapping, dry_run=True)
    assert sentence in str(failure.value)


@pytest.mark.parametrize(
    ("mapping", "content", "sentence"),
    [
        ("nothing", "", "there is no mapping nothing; shipped are native, adjust, appsflyer, cdnow."),
        ("m.toml", "format =", "mapping m.toml is wrong"),
        ("m.toml", MAPPING + "[constants]\ncolour = 1", "event has no field colour"),
        ("m.toml", MAPPING.replace('"csv"', '"xls"'), "Invalid enum value 'xls'"),
        ("m.toml", MAPPING.replace('"event"', '"dance"'), "dance is not a record type"),
        ("m.toml", MAPPING.replace("Europe/Berlin", "Mars"), "No time zone found"),
        ("m.toml", MAPPING.replace("times.event_at", "times.user_id"), "user_id is no time"),
        ("m.toml", MAPPING.replace('"csv"', '"csv"\ndelimiter = "::"'), "delimiter is one character"),
        ("m.toml", MAPPING.replace("game.ios", "nobody"), "app nobody is not registered"),
        ("m.toml", MAPPING.replace('"device"', '"gadget"'), "the file has no column gadget"),
    ],
)
def test_a_mapping_that_is_wrong_says_so(
    home: Settings, tmp_path: Path, mapping: str, content: str, sentence: str
) -> None:
    name = str(write(tmp_path, mapping, content)) if mapping.endswith(".toml") else mapping
    with pytest.raises(ImportFailed, match=r"\.$") as failure:
        import_file(home, write(tmp_path, "f.csv", HEADER + ROWS), name, dry_run=True)
    assert sentence in str(failure.value)


def test_a_file_that_is_not_there(home: Settings, tmp_path: Path) -> None:
    with pytest.raises(ImportFailed, match="No such file"):
        import_file(home, tmp_path / "none.ndjson", "native")
