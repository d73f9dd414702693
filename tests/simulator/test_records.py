"""Every record that is not damaged fits the contract; every damaged one is refused for the reason the truth names."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lakehouse.contract import RECORD_TYPES, REQUIRED_ANY, Kind, sender_fields
from lakehouse.currencies import CURRENCIES
from lakehouse.settings import load_settings
from simulator.damage import KINDS
from tests.simulator.conftest import Told

INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
TYPES: dict[Kind, type | tuple[type, ...]] = {
    Kind.INTEGER: int, Kind.BOOLEAN: bool, Kind.MONEY: (int, float), Kind.JSON: dict,
}  # fmt: skip


def complaints(record: dict[str, Any]) -> list[str]:
    fields = {f.name: f for f in sender_fields(record["record_type"])}
    found = [f"unknown {name}" for name in record.keys() - fields.keys()]
    found += [
        f"{f.name} is missing"
        for f in fields.values()
        if record["record_type"] in f.required and not record.get(f.name)
    ]
    for name, value in record.items():
        field = fields.get(name)
        if field is None:
            continue
        if not isinstance(value, TYPES.get(field.kind, str)):
            found.append(f"{name} has the wrong type")
        if field.choices and value not in field.choices:
            found.append(f"{name} is not a choice")
        if isinstance(value, str) and not 0 < len(value) <= field.max_length:
            found.append(f"{name} has a wrong length")
        if field.kind is Kind.INSTANT and not INSTANT.fullmatch(value):
            found.append(f"{name} is no instant")
        if field.kind is Kind.MONEY and record.get("currency") not in CURRENCIES:
            found.append(f"{name} has no currency")
    any_of = REQUIRED_ANY.get(record["record_type"], ())
    return found + ([f"none of {any_of}"] if any_of and not any(record.get(n) for n in any_of) else [])


def test_every_good_record_fits_the_contract(told: Told) -> None:
    assert [(r, c) for r in told.good if (c := complaints(r))] == []


def test_every_record_type_but_claims_occurs(told: Told) -> None:
    assert {r["record_type"] for r in told.good} == set(RECORD_TYPES) - {"srn_claim"}


def test_a_record_is_sent_after_it_happened_and_on_its_day(told: Told) -> None:
    for record in told.good:
        assert record["event_at"] <= record["sent_at"]
    for day in (0, 11):
        batch = next(told.world.stream([day]))
        data = b"".join(c.data for c in batch.chunks())
        on_the_day = data.count(b'"sent_at":"%s' % str(batch.date).encode())
        assert on_the_day > 0.95 * data.count(b"\n"), "a few spill over midnight"


def test_copies_are_equal_but_for_the_time_of_sending(told: Told) -> None:
    by_id: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for record in told.good:
        by_id.setdefault((record["app_id"], record["record_id"]), []).append(record)
    repeated = [copies for copies in by_id.values() if len(copies) > 1]
    assert len(repeated) > 100
    for copies in repeated:
        assert len({json.dumps(dict(c, sent_at="")) for c in copies}) == 1
    ways = Counter(len({c["sent_at"] for c in copies}) > 1 for copies in repeated)
    assert min(ways.values()) > 0.2 * len(repeated), "both sorts of copy occur"


def test_some_records_come_days_late(told: Told) -> None:
    def days(record: dict[str, Any]) -> float:
        sent, at = (datetime.fromisoformat(record[n]) for n in ("sent_at", "event_at"))
        return (sent - at).total_seconds() / 86_400

    late = Counter(r["record_type"] for r in told.good if days(r) > 0.9)
    assert {"session", "event", "ad_revenue", "click", "install"} <= set(late)
    assert max(days(r) for r in told.good) < 4


def test_time_zones_and_currencies_differ(told: Told) -> None:
    assert len({r["time_zone"] for r in told.good if r["record_type"] == "install"}) >= 9
    assert {r["currency"] for r in told.good if r["record_type"] == "event" and "revenue" in r} >= {"USD", "EUR"}
    assert {r["currency"] for r in told.good if r["record_type"] == "cost"} == {"USD", "EUR"}


def test_costs_are_restated(told: Told) -> None:
    said: dict[tuple[str, str], dict[str, float]] = {}
    for r in told.good:
        if r["record_type"] == "cost":
            said.setdefault((r["campaign_id"], r["cost_date"]), {})[r["as_of"]] = r["cost"]
    assert sum(len(s) > 1 for s in said.values()) > 0.3 * len(said)
    assert any(len(set(s.values())) == 3 for s in said.values())


def test_a_strict_endpoint_takes_the_good_and_refuses_the_damaged(
    told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ingestion.validator import Sender, Validator

    monkeypatch.setenv("UNMOGROWP_HOME", str(tmp_path))
    monkeypatch.setenv("UNMOGROWP_SALT", "0123456789abcdef" * 4)
    validator = Validator(load_settings())
    reasons: Counter[str] = Counter()
    accepted = 0
    for app_id in {app for app, _ in told.lines}:
        lines = [line for app, line in told.lines if app == app_id]
        outcome = validator.check(lines, Sender(apps={app_id}), datetime(2026, 6, 1, tzinfo=UTC))
        accepted += outcome.accepted
        reasons.update(r.code for r in outcome.rejects)
    assert accepted == sum(row["sent_records"] for row in told.truth["daily"])
    assert reasons == Counter(row["expected_reason"] for row in told.truth["damaged"])
    assert len({row["damage"] for row in told.truth["damaged"]}) >= 12
    assert {row["damage"] for row in told.truth["damaged"]} <= set(KINDS)
