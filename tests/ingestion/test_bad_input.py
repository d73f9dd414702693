"""Every kind of bad input: the exact answer, and the row in bronze_rejects."""

from __future__ import annotations

import gzip
import hashlib
import json
import time
from typing import Any

import pytest

from ingestion.reasons import RECORD_REASONS, Reject
from ingestion.validator import Checked, Sender, Validator
from lakehouse.contract import REJECT_RAW_LIMIT
from tests.ingestion.rig import APP, NOW, OTHER_APP, Running, line, make_settings, record

DEEP = b'{"a":' * 40 + b"1" + b"}" * 40
SOUND = line().decode()[:-1]  # without its closing brace

# name -> (record as sent, reason, field); the record id is r1 wherever it can be read.
CASES: dict[str, tuple[bytes, str, str | None]] = {
    "not json": (b"{nonsense", "invalid_json", None),
    "cut off": (line()[:-5], "invalid_json", None),
    "two values on a line": (line() + line(), "invalid_json", None),
    "an array": (b"[1]", "not_an_object", None),
    "a number": (b"5", "not_an_object", None),
    "invalid utf-8": (line(event_name="Z").replace(b"Z", b"\xff"), "invalid_utf8", None),
    "invalid utf-8 in properties": (line(properties={"a": "Z"}).replace(b"Z", b"\xff"), "invalid_utf8", None),
    "invalid utf-8 in an unknown field": (line(a="Z").replace(b"Z", b"\xff"), "invalid_utf8", None),
    "encoded surrogate": (line(event_name="Z").replace(b"Z", b"\xed\xa0\x80"), "invalid_utf8", None),
    "lone surrogate": (line(event_name="\ud800"), "lone_surrogate", "event_name"),
    "lone surrogate in properties": (line(properties={"a": ["\udfff"]}), "lone_surrogate", "properties"),
    "lone surrogate in a key": (f'{SOUND}, "\\ud800": 1}}'.encode(), "lone_surrogate", "\\ud800"),
    "key twice": (f'{SOUND}, "record_id": "r1"}}'.encode(), "duplicate_key", "record_id"),
    "key twice, spaced": (f'{SOUND}, "user_id" : "a", "user_id" : "b"}}'.encode(), "duplicate_key", "user_id"),
    "key twice, one escaped": (
        f'{SOUND}, "user_id": 1, "us\\u0065r_id": 2}}'.encode(),
        "duplicate_key",
        "user_id",
    ),
    "record type twice": (f'{SOUND}, "record_type": "event"}}'.encode(), "duplicate_key", "record_type"),
    "key twice in properties": (f'{SOUND}, "properties": {{"a": 1, "a": 1}}}}'.encode(), "duplicate_key", "a"),
    "key twice deep in properties": (
        f'{SOUND}, "properties": {{"a": [{{"b": 1, "b": 2}}]}}}}'.encode(),
        "duplicate_key",
        "b",
    ),
    "key twice beside an offset without colon": (
        f'{SOUND}, "sent_at": "2026-03-01T10:00:00+0200", "user_id": "a", "user_id": "b"}}'.encode(),
        "duplicate_key",
        "user_id",
    ),
    "deep": (SOUND.encode() + b', "properties": ' + DEEP + b"}", "too_deep", None),
    "deep unknown field": (SOUND.encode() + b', "other": ' + DEEP + b"}", "too_deep", None),
    "very deep": (SOUND.encode() + b', "properties": ' + b"[" * 20_000 + b"]" * 20_000 + b"}", "too_deep", None),
    "too large": (line(properties={"a": "x" * 300_000}), "record_too_large", None),
    "long properties": (line(properties={"a": "x" * 70_000}), "too_long", "properties"),
    "long properties out of unknown fields": (line(other="x" * 70_000), "too_long", "properties"),
    "long text": (line(event_name="x" * 257), "too_long", "event_name"),
    "long country": (line(country="USA"), "too_long", "country"),
    "no record type": (line(record_type=...), "missing_field", "record_type"),
    "unknown record type": (line(record_type="purchase"), "unknown_record_type", "record_type"),
    "record type is a number": (line(record_type=1), "wrong_type", "record_type"),
    "no record id": (line(record_id=...), "missing_field", "record_id"),
    "null record id": (line(record_id=None), "missing_field", "record_id"),
    "blank record id": (line(record_id=" \t"), "missing_field", "record_id"),
    "zero record id": (line(record_id="00000000-0000-0000-0000-000000000000"), "missing_field", "record_id"),
    "no event name": (line(event_name=...), "missing_field", "event_name"),
    "blank event name": (line(event_name=" "), "missing_field", "event_name"),
    "nobody": (line(install_id="0", user_id=" "), "missing_field", "install_id"),
    "install without install id": (line(record_type="install", install_id="-0-"), "missing_field", "install_id"),
    "click without partner": (line(record_type="click", event_name=...), "missing_field", "partner"),
    "text for a number": (line(quantity="3"), "wrong_type", "quantity"),
    "number for a text": (line(event_name=3), "wrong_type", "event_name"),
    "number for a boolean": (line(is_limit_ad_tracking=1), "wrong_type", "is_limit_ad_tracking"),
    "list for properties": (line(properties=[1]), "wrong_type", "properties"),
    "fraction for an integer": (line(quantity=1.5), "wrong_type", "quantity"),
    "integer of 65 bits": (line(quantity=2**64), "integer_out_of_bounds", "quantity"),
    "unknown platform": (line(platform="symbian"), "invalid_choice", "platform"),
    "no timestamp": (line(event_at="yesterday"), "invalid_timestamp", "event_at"),
    "30 February": (line(event_at="2026-02-30T10:00:00Z"), "invalid_timestamp", "event_at"),
    "leap second": (line(event_at="2026-02-28T23:59:60Z"), "invalid_timestamp", "event_at"),
    "naive timestamp": (line(event_at="2026-03-01T10:00:00"), "naive_timestamp", "event_at"),
    "unix time": (line(event_at=1_772_000_000), "wrong_type", "event_at"),
    "before all time": (line(event_at="1989-12-31T23:59:59Z"), "time_out_of_bounds", "event_at"),
    "the day after tomorrow": (line(event_at="2026-03-03T12:00:01Z"), "time_out_of_bounds", "event_at"),
    "year one": (line(event_at="0001-01-01T00:00:00+10:00"), "time_out_of_bounds", "event_at"),
    "sent in the year 9999": (line(sent_at="9999-12-31T23:59:59-10:00"), "time_out_of_bounds", "sent_at"),
    "clicked before 1970": (
        line(record_type="install", event_name=..., referrer_click_at="1969-12-31T00:00:00Z"),
        "time_out_of_bounds",
        "referrer_click_at",
    ),
    "no date": (
        line(record_type="cost", install_id=..., partner="x", cost=1, currency="USD", cost_date="1 May"),
        "invalid_date",
        "cost_date",
    ),
    "NaN": (line(revenue=float("nan"), currency="USD"), "not_finite", "revenue"),
    "infinity": (line(revenue=float("-inf"), currency="USD"), "not_finite", "revenue"),
    "NaN as text": (line(revenue="NaN", currency="USD"), "not_finite", "revenue"),
    "infinity as text": (line(revenue="-Infinity", currency="USD"), "not_finite", "revenue"),
    "text for money": (line(revenue="a lot", currency="USD"), "wrong_type", "revenue"),
    "a trillion and one": (line(revenue=1_000_000_000_001, currency="USD"), "amount_out_of_bounds", "revenue"),
    "an amount of a million digits": (line(revenue="1e1000000", currency="USD"), "amount_out_of_bounds", "revenue"),
    "money without currency": (line(revenue=1), "currency_missing", "currency"),
    "unknown currency": (line(revenue=1, currency="XXX"), "unknown_currency", "currency"),
    "lower-case currency": (line(revenue=1, currency="usd"), "unknown_currency", "currency"),
    "NaN in properties": (line(properties={"a": float("nan")}), "not_finite", None),
    "unknown app": (line(app_id="nobody"), "unknown_app", "app_id"),
    "app of another key": (line(app_id=OTHER_APP), "wrong_app", "app_id"),
    "server field": (line(received_at="2026-03-01T10:00:00Z"), "server_field", "received_at"),
    "server field of another type": (line(raw_url="x"), "server_field", "raw_url"),
    "server field that is null": (line(ip_hash=None), "server_field", "ip_hash"),
    "no address": (line(ip="localhost"), "invalid_address", "ip"),
}
NO_ID = {
    "not json", "cut off", "two values on a line", "an array", "a number", "lone surrogate", "no record id",
    "lone surrogate in properties", "lone surrogate in a key", "null record id", "NaN", "infinity", "very deep",
    "NaN in properties",
}  # fmt: skip


@pytest.fixture(scope="module")
def validator(tmp_path_factory: pytest.TempPathFactory) -> Validator:
    return Validator(make_settings(tmp_path_factory.mktemp("home")))


def check(validator: Validator, *lines: bytes) -> Checked:
    return validator.check(lines, Sender({APP}, {APP, OTHER_APP}), NOW)


@pytest.mark.parametrize("name", CASES)
def test_a_bad_record_is_refused_with_reason_and_field(validator: Validator, name: str) -> None:
    sent, code, field = CASES[name]
    checked = check(validator, sent)
    assert [(r.code, r.field) for r in checked.rejects] == [(code, field)]
    assert (checked.accepted, checked.sections) == (0, [])
    assert checked.rejects[0].raw_length == len(sent)


@pytest.mark.parametrize("blank", [b"", b" \r"])
@pytest.mark.parametrize("name", CASES)
def test_a_bad_line_of_a_body_is_refused_and_blank_ones_do_not_count(
    validator: Validator, name: str, blank: bytes
) -> None:
    sent, code, field = CASES[name]
    lines = [line(record_id=f"n{i}") for i in range(9)]
    body = b"\n".join([*lines[:4], blank, *lines[4:6], sent, *lines[6:]])
    checked = validator.check_lines(body, Sender({APP}, {APP, OTHER_APP}), NOW)
    assert checked.accepted == sum(section.count for section in checked.sections) == 9
    assert [(r.position, r.code, r.field) for r in checked.rejects] == [(6, code, field)]


def test_a_record_over_two_lines_and_two_on_one_do_not_make_up_for_each_other(validator: Validator) -> None:
    lines = [line(record_id=f"n{i}") for i in range(4)]
    first, _, rest = line(record_id="torn").partition(b",")
    lines[2:2] = [first + b",", rest, line(record_id="a") + line(record_id="b")]
    sender = Sender({APP}, {APP, OTHER_APP})
    for checked in (validator.check(lines, sender, NOW), validator.check_lines(b"\n".join(lines), sender, NOW)):
        assert checked.accepted == sum(section.count for section in checked.sections) == 4
        assert [(r.position, r.code) for r in checked.rejects] == [(n, "invalid_json") for n in (2, 3, 4)]


@pytest.mark.parametrize("name", CASES)
def test_a_bad_record_takes_no_other_with_it(validator: Validator, name: str) -> None:
    sent, code, _ = CASES[name]
    lines = [line(record_id=f"n{i}") for i in range(9)]
    lines.insert(6, sent)
    checked = check(validator, *lines)
    assert checked.accepted == 9
    assert [(r.position, r.code) for r in checked.rejects] == [(6, code)]
    landed = [json.loads(text)["record_id"] for s in checked.sections for text in s.payload.splitlines()]
    assert landed == [f"n{i}" for i in range(9)]


def test_every_reason_is_documented_and_every_documented_reason_is_used() -> None:
    elsewhere = {"empty_body", "unreadable_body", "spool_corrupt", "unknown_call", "invalid_row"}
    elsewhere |= {"sandbox_refused", "wrong_route"}
    assert {code for _, code, _ in CASES.values()} | elsewhere == set(RECORD_REASONS)


def test_all_bad_records_are_answered_and_land_in_the_rejects(endpoint: Running) -> None:
    body = b"\n".join(sent for sent, _, _ in CASES.values())
    reply = endpoint.post(body, content_type="application/x-ndjson")
    assert reply.status == 422
    answer = reply.json
    assert (answer["accepted"], answer["rejected"]) == (0, len(CASES))
    expected = [(i, code, field) for i, (_, code, field) in enumerate(CASES.values())]
    assert [(e["position"], e["code"], e["field"]) for e in answer["errors"]] == expected
    ids = {name: e["record_id"] for name, e in zip(CASES, answer["errors"], strict=True)}
    assert {name for name, value in ids.items() if value is None} == NO_ID
    where = f"request_id = '{answer['request_id']}'"
    rows = endpoint.wait_landed("bronze_rejects", where, len(CASES))
    rows.sort(key=lambda row: row["position"])
    assert [(r["position"], r["reason_code"], r["field"]) for r in rows] == expected
    for row, (sent, _, _) in zip(rows, CASES.values(), strict=True):
        _assert_raw(row, sent)
        assert (row["app_id"], row["route"], row["received_at"]) == (APP, "/v1/events", NOW)


def _assert_raw(row: dict[str, Any], sent: bytes) -> None:
    assert row["raw_length"] == len(sent)
    if len(sent) <= REJECT_RAW_LIMIT:
        assert (row["raw"], row["raw_sha256"]) == (sent, None)
    else:
        assert (row["raw"], row["raw_sha256"]) == (None, hashlib.sha256(sent).hexdigest())


def test_line_7_of_10_is_invalid_and_nine_are_taken(endpoint: Running) -> None:
    lines = [line(record_id=f"seven-{i}") for i in range(10)]
    lines[6] = b'{"app_id": '
    reply = endpoint.post(b"\n".join(lines), content_type="application/x-ndjson")
    assert reply.status == 207
    assert (reply.json["accepted"], reply.json["rejected"]) == (9, 1)
    assert [(e["position"], e["code"]) for e in reply.json["errors"]] == [(6, "invalid_json")]
    rows = endpoint.wait_landed("bronze_app_events", "starts_with(record_id, 'seven-')", 9)
    assert sorted(r["record_id"] for r in rows) == [f"seven-{i}" for i in range(10) if i != 6]


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        (gzip.compress(line(), mtime=0)[:-4], {"content_encoding": "gzip"}, "unreadable_body"),
        (gzip.compress(line(), mtime=0)[:20], {"content_encoding": "gzip"}, "unreadable_body"),
        (b"no gzip", {"content_encoding": "gzip"}, "unreadable_body"),
        (b"no zstd", {"content_encoding": "zstd"}, "unreadable_body"),
        (b"[" + line() + b",", {}, "unreadable_body"),
        (b"", {}, "empty_body"),
        (b" \n ", {}, "empty_body"),
    ],
)
def test_a_body_that_cannot_be_read_is_one_reject(
    endpoint: Running, body: bytes, headers: dict[str, str], code: str
) -> None:
    reply = endpoint.post(body, **headers)
    assert reply.status == 400
    assert (reply.json["accepted"], reply.json["rejected"]) == (0, 1)
    assert reply.json["errors"][0]["code"] == code
    rows = endpoint.wait_landed("bronze_rejects", f"request_id = '{reply.json['request_id']}'", 1)
    assert [(r["reason_code"], r["raw"], r["position"]) for r in rows] == [(code, body, 0)]


def test_received_is_accepted_and_rejected_for_every_receipt(endpoint: Running) -> None:
    reply = endpoint.post(b"\n".join([line(record_id="sum-1"), b"{}", line(record_id="sum-2")]))
    assert reply.status == 207
    endpoint.wait_landed("bronze_app_events", "starts_with(record_id, 'sum-')", 2)
    for _ in range(50):  # the tables of a batch are committed one after the other
        receipts = endpoint.wait_landed("bronze_receipts", "true", 1)
        events = endpoint.wait_landed("bronze_app_events", "true", 1)
        rejects = endpoint.wait_landed("bronze_rejects", "true", 1)
        counted = (sum(r["accepted"] for r in receipts), sum(r["rejected"] for r in receipts))
        if counted == (len(events), len(rejects)):
            break
        time.sleep(0.1)
    assert counted == (len(events), len(rejects))
    assert all(r["received"] == r["accepted"] + r["rejected"] for r in receipts)


def test_a_duplicate_within_a_request_is_accepted_twice(validator: Validator) -> None:
    assert check(validator, line(), line()).accepted == 2


def test_optional_ids_that_are_blank_are_no_reason_to_refuse(validator: Validator) -> None:
    sent = line(idfa="00000000-0000-0000-0000-000000000000", user_id="", session_id="0", ip="::", country=None)
    assert check(validator, sent).accepted == 1


def test_reject_keeps_bytes_up_to_the_limit_only() -> None:
    from ingestion.reasons import Rejected, reject

    verdict = Rejected("invalid_json", "no")
    kept: Reject = reject(0, b"x" * REJECT_RAW_LIMIT, verdict)
    assert (len(kept.raw), kept.raw_sha256) == (REJECT_RAW_LIMIT, None)
    beyond = reject(0, b"x" * (REJECT_RAW_LIMIT + 1), verdict)
    assert (beyond.raw, beyond.raw_length) == (b"", REJECT_RAW_LIMIT + 1)
    assert beyond.raw_sha256 == hashlib.sha256(b"x" * (REJECT_RAW_LIMIT + 1)).hexdigest()


def test_records_may_hold_what_json_may_hold(validator: Validator) -> None:
    sent = [
        line(event_name='say "hi" \\ / \u00e9 \u20ac \U0001f600 \x00'),
        json.dumps(record(event_name="\u00e9"), ensure_ascii=False).encode(),
        json.dumps(record(), indent=2).encode(),
        line(properties={"a": {"b": [1, 2.5, None, "x:y", '"']}}),
        line(properties={}),
        line(properties=None),
    ]
    assert check(validator, *sent).accepted == len(sent)
