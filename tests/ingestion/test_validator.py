"""The validator as a whole: it never fails, it counts, and what it accepts lands as it was sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion import tables
from ingestion.frames import Frame, Request, encode_frame, read_frames
from ingestion.user_agents import Agent, parse_user_agent
from ingestion.validator import Checked, Sender, Validator
from ingestion.values import micros
from lakehouse import engine
from lakehouse.contract import RECORD_TABLES, RECORD_TYPES, Field, Kind, sender_fields
from lakehouse.currencies import CURRENCIES
from tests.ingestion.rig import APP, NOW, line, make_settings, record

QUICK = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@cache
def validator() -> Validator:
    return Validator(make_settings(Path("/nowhere")))


def check(*lines: bytes) -> Checked:
    return validator().check(lines, Sender({APP}), NOW)


def accepted(checked: Checked) -> list[dict[str, Any]]:
    return [json.loads(text) for section in checked.sections for text in section.payload.splitlines()]


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
INSTANTS = st.datetimes(datetime(1990, 1, 2), datetime(2026, 3, 1), timezones=st.just(UTC))  # noqa: DTZ001
VALUES: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.TEXT: TEXTS,
    Kind.ID: TEXTS,
    Kind.DEVICE_ID: TEXTS,
    Kind.CODE: st.text(st.characters(exclude_categories=["Cs"]), max_size=2),
    Kind.INSTANT: INSTANTS.map(lambda t: t.isoformat()),
    Kind.DATE: st.dates().map(lambda d: d.isoformat()),
    Kind.MONEY: st.decimals(-(10**12), 10**12, places=8).map(str),
    Kind.INTEGER: st.integers(-(2**63), 2**63 - 1),
    Kind.BOOLEAN: st.booleans(),
    Kind.JSON: st.dictionaries(TEXTS, st.integers(-(2**53), 2**53) | TEXTS | st.none(), max_size=3),
}


def value_of(field: Field) -> st.SearchStrategy[Any]:
    if field.name == "app_id":
        return st.just(APP)
    if field.name == "currency":
        return st.sampled_from(sorted(CURRENCIES))
    if field.name == "ip":
        return st.ip_addresses().map(str)
    return st.sampled_from(field.choices) if field.kind is Kind.ENUM else VALUES[field.kind]


@st.composite
def sound_records(draw: st.DrawFn) -> dict[str, Any]:
    """A record of any type with everything required and any of the rest, null included."""
    record_type = draw(st.sampled_from(RECORD_TYPES))
    result: dict[str, Any] = {"record_type": record_type}
    for field in sender_fields(record_type):
        if field.name == "record_type":
            continue
        if record_type in field.required or draw(st.integers(0, 3)) == 0:
            result[field.name] = draw(value_of(field))
        elif draw(st.integers(0, 9)) == 0:
            result[field.name] = None
    for field in sender_fields(record_type):
        if record_type in field.required and field.kind in {Kind.ID, Kind.TEXT, Kind.CODE} and field.name != "app_id":
            result[field.name] = draw(st.sampled_from(["x1", " x2 ", "\u00e9\"'\\x3"]))
    result |= {"user_id": "u1"} if record_type in {"event", "ad_revenue", "consent"} else {}
    result |= {"currency": "USD"} if result.keys() & {"revenue", "cost"} else {}
    return result


@QUICK
@given(st.lists(st.binary(max_size=60) | ANY_JSON.map(lambda v: json.dumps(v).encode()), max_size=5))
def test_any_bytes_are_accepted_or_rejected_and_never_an_error(lines: list[bytes]) -> None:
    checked = check(*lines)
    assert checked.accepted + len(checked.rejects) == len(lines)
    assert checked.accepted == sum(section.count for section in checked.sections)


@QUICK
@given(st.dictionaries(st.sampled_from([f.name for f in sender_fields("event")]), ANY_JSON, max_size=4))
def test_any_value_of_any_field_is_accepted_or_rejected(changes: dict[str, Any]) -> None:
    text = json.dumps(record() | changes).encode()
    checked = check(line(record_id="before"), text, line(record_id="after"))
    assert checked.accepted + len(checked.rejects) == 3
    assert [r["record_id"] for r in accepted(checked)][:: checked.accepted - 1] == ["before", "after"]


SOUND_LINES = [line(record_id=f"s{n}", properties={"a": "x" * 3_000}) for n in range(5)]  # ten fill a block
OTHER_LINES = [b"", b" ", b"{nonsense", line(unknown=1), line(app_id="nobody"), SOUND_LINES[0] + SOUND_LINES[1]]


@QUICK
@given(
    many=st.lists(st.sampled_from(SOUND_LINES), min_size=1, max_size=60),
    others=st.lists(st.tuples(st.integers(0, 60), st.sampled_from(OTHER_LINES)), max_size=8),
    end=st.sampled_from([b"\n", b"\r\n"]),
)
def test_a_body_of_lines_is_judged_as_each_of_its_lines(
    many: list[bytes], others: list[tuple[int, bytes]], end: bytes
) -> None:
    lines = [*many]
    for place, other in others:
        lines.insert(place, other)
    checked = validator().check_lines(end.join(lines), Sender({APP}), NOW)
    alone = [check(text) for text in lines if text.strip()]
    assert checked.accepted == sum(one.accepted for one in alone)
    assert sorted(map(str, accepted(checked))) == sorted(str(found) for one in alone for found in accepted(one))
    bad = [(place, one.rejects[0].code) for place, one in enumerate(alone) if one.rejects]
    assert [(r.position, r.code) for r in checked.rejects] == bad


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    with engine.connect(make_settings(tmp_path_factory.mktemp("home")), layers=()) as opened:
        yield opened


@settings(max_examples=15, deadline=None)
@given(records=st.lists(sound_records(), min_size=1, max_size=12))
def test_sound_records_are_accepted_and_land_as_they_were_sent(
    connection: duckdb.DuckDBPyConnection, records: list[dict[str, Any]]
) -> None:
    for number, item in enumerate(records):
        item["record_id"] = f"id-{number}"
    checked = check(*(json.dumps(item).encode() for item in records))
    assert [(r.code, r.field, r.raw) for r in checked.rejects] == []
    request = Request(APP, "/v1/events", "sdk", "q", int(NOW.timestamp() * 1e6), 1)
    frames = [item for item in read_frames(encode_frame(request, checked)) if isinstance(item, Frame)]
    rows: dict[str, dict[str, Any]] = {}
    for index, table in enumerate(RECORD_TABLES):
        found = tables.record_rows(connection, index, frames)
        if found is not None:
            stored, _ = tables.split_network(table, found)
            assert stored.schema.equals(table.schema)
            rows |= {row["record_id"]: row for row in stored.to_pylist()}
    assert len(rows) == len(records)
    for item in records:
        _assert_same(item, rows[item["record_id"]])


def _assert_same(sent: dict[str, Any], row: dict[str, Any]) -> None:
    for field in sender_fields(sent["record_type"]):
        value = sent.get(field.name)
        if field.name in {"ip", "user_agent"} or (field.name in {"os_name", "os_version", "device_model"}):
            continue
        found = row[field.column]
        if field.name == "event_at":
            assert found == (datetime.fromisoformat(value) if value else NOW)
        elif value is None:
            assert found is None, field.name
        elif field.kind is Kind.INSTANT:
            assert found == datetime.fromisoformat(value)
        elif field.kind is Kind.DATE:
            assert found.isoformat() == value
        elif field.kind is Kind.MONEY:
            assert found == int((Decimal(value) * 1_000_000).quantize(Decimal(1), rounding=ROUND_HALF_EVEN))
        elif field.kind is Kind.JSON:
            assert json.loads(found) == value
        elif field.kind in {Kind.ID, Kind.DEVICE_ID, Kind.CODE}:
            _assert_same_id(field, value, found)
        else:
            assert found == value, field.name


def _assert_same_id(field: Field, value: str, found: str | None) -> None:
    expected = value.strip(" \t\r\n\v\f")
    if field.kind is not Kind.CODE and not expected.strip(" \t\r\n\v\f0-"):
        expected = ""
    if field.kind is Kind.DEVICE_ID or field.name == "partner" or field.name == "country":
        assert (found or "").casefold() == expected.casefold()
    else:
        assert found == (expected or None)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ({"colour": "red"}, {"colour": "red"}),
        ({"colour": {"a": [1.10, None]}, "properties": {"level": 1}}, {"level": 1, "colour": {"a": [1.10, None]}}),
        ({"colour": 1, "properties": {"colour": 2}}, {"colour": 2, "$record.colour": 1}),
        ({"tcf_string": "x"}, {"tcf_string": "x"}),  # a field of another record type
        ({"colour": 1, "properties": None}, {"colour": 1}),
        ({"colour": 'say "hi" \\ '}, {"colour": 'say "hi" \\ '}),
    ],
)
def test_unknown_fields_are_kept_in_properties(sent: dict[str, Any], kept: dict[str, Any]) -> None:
    (found,) = accepted(check(line(**sent)))
    assert json.loads(found["properties"]) == kept
    assert not set(sent) - {"properties"} & set(found)


def test_numbers_in_properties_keep_their_digits() -> None:
    text = line(properties={"a": "NUMBER"}).replace(b'"NUMBER"', b"0.10000000000000000000001")
    (found,) = accepted(check(text))
    assert found["properties"] == '{"a": 0.10000000000000000000001}'


@given(st.decimals(-(10**12), 10**12, allow_nan=False, allow_infinity=False))
def test_money_is_exact_and_rounds_half_to_even(amount: Decimal) -> None:
    from fractions import Fraction

    exact = Fraction(amount) * 1_000_000
    assert micros(amount, "revenue") == round(exact)


@pytest.mark.parametrize(("amount", "expected"), [("0.0000005", 0), ("0.0000015", 2), ("-0.0000025", -2), ("1e-40", 0)])
def test_money_beyond_six_digits(amount: str, expected: int) -> None:
    assert micros(Decimal(amount), "revenue") == expected


@pytest.mark.parametrize(
    ("text", "agent"),
    [
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4_1 like Mac OS X) AppleWebKit/605.1.15",
            Agent("iOS", "17.4.1", "iPhone"),
        ),
        ("Mozilla/5.0 (iPad; CPU OS 16_0 like Mac OS X)", Agent("iPadOS", "16.0", "iPad")),
        (
            "Mozilla/5.0 (Linux; Android 14; Pixel 8 Pro Build/UD1A.230803) Chrome/1",
            Agent("Android", "14", "Pixel 8 Pro"),
        ),
        ("Mozilla/5.0 (Linux; U; Android 9; en-us; SM-G960F) Chrome/1", Agent("Android", "9", "SM-G960F")),
        ("Mozilla/5.0 (Linux; Android 10; K) Chrome/124.0", Agent("Android", "10", None)),
        ("Dalvik/2.1.0 (Linux; U; Android 13; SM-A536B Build/TP1A)", Agent("Android", "13", "SM-A536B")),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64)", Agent("Windows", "10.0", None)),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)", Agent("macOS", "10.15.7", None)),
        ("Mozilla/5.0 (X11; CrOS x86_64 14541.0.0)", Agent("ChromeOS", None, None)),
        ("curl/8.1", Agent(None, None, None)),
    ],
)
def test_user_agents(text: str, agent: Agent) -> None:
    assert parse_user_agent(text) == agent
