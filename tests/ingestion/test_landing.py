"""Landing: every acknowledged record is in bronze exactly once, whatever fails in between."""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ingestion.frames import Request, encode_frame
from ingestion.landing import EVENT_DATES, Lane
from ingestion.reasons import Rejected
from ingestion.spool import Spool
from ingestion.validator import Sender, Validator
from lakehouse.lake import Lake
from lakehouse.settings import Settings
from tests.ingestion.rig import APP, NOW, bronze, line

MICROS = int(NOW.timestamp() * 1_000_000)
CLICK = {"record_type": "click", "partner": "Meta ", "event_name": ...}


def frame(settings: Settings, *lines: bytes, name: str = "q1") -> bytes:
    checked = Validator(settings).check(lines, Sender({APP}), NOW)
    return encode_frame(Request(APP, "/v1/events", "sdk", name, MICROS, sum(map(len, lines))), checked)


def land(settings: Settings, *frames: bytes, seconds: float = 20) -> Lane:
    """Write frames to the spool of the home as one segment and land it (with whatever lay there before)."""
    lane = Lane(settings)
    lane.prepare()
    spool = Spool(
        settings.spool_dir / "ingest",
        kind="ingest",
        segment_bytes=1 << 20,
        segment_seconds=3600,
        backlog_bytes=1 << 24,
        on_sealed=lane.enqueue,
    )
    lane.start(spool)
    spool.start()
    for item in frames:
        spool.append(item, None)
    spool.close()
    lane.stop(seconds)
    spool.release()
    return lane


def test_rows_are_exactly_the_contract(settings: Settings) -> None:
    sent = line(
        revenue=4.99,
        currency="USD",
        user_id=" u1 ",
        idfa="AEBE52E7-03EE-455A-B3C4-E57283966239",
        gaid="00000000-0000-0000-0000-000000000000",
        event_at="2026-03-01T23:30:00.123456-02:00",
        ip="203.0.113.77",
        user_agent="Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X)",
        properties={"level": 3},
        colour="red",
    )
    land(settings, frame(settings, sent, line(record_id="r2", event_at=...), line(record_id="c1", **CLICK)))
    first, second = sorted(bronze(settings, "bronze_app_events"), key=lambda r: r["record_id"])
    expected: Mapping[str, Any] = {
        "app_id": APP, "record_id": "r1", "record_type": "event", "event_name": "level_complete", "user_id": "u1",
        "revenue_micros": 4_990_000, "currency": "USD", "gaid": None, "idfa": "aebe52e7-03ee-455a-b3c4-e57283966239",
        "event_at": datetime(2026, 3, 2, 1, 30, 0, 123456, tzinfo=UTC), "event_date": date(2026, 3, 2),
        "received_at": NOW, "ingest_date": NOW.date(), "is_event_at_missing": False, "source": "sdk",
        "request_id": "q1", "ip_prefix": "203.0.113.0/24", "os_name": "iOS", "os_version": "17.4",
        "device_model": "iPhone", "properties": '{"level":3,"colour":"red"}', "environment": None,
    }  # fmt: skip
    assert {name: first[name] for name in expected} == dict(expected)
    assert len(first["payload_hash"]) == 16
    assert first["ip_hash"] != first["payload_hash"]
    assert "ip" not in first
    assert (second["event_at"], second["is_event_at_missing"], second["event_date"]) == (NOW, True, NOW.date())
    (click,) = bronze(settings, "bronze_touchpoints")
    assert (click["partner"], click["cost_micros"], click["is_signature_valid"]) == ("meta", None, None)
    (network,) = bronze(settings, "bronze_network")
    assert (network["ip"], network["record_id"], network["user_agent"][:11]) == ("203.0.113.77", "r1", "Mozilla/5.0")


def test_equal_addresses_have_equal_hashes_and_the_hash_is_keyed(settings: Settings) -> None:
    from ingestion.values import address_packer

    pack, other = address_packer("a" * 32), address_packer("b" * 32)
    assert pack("203.0.113.77") == pack(" ::ffff:203.0.113.77 ")
    assert pack("2001:DB8::1").split("|")[:2] == ["2001:db8::1", "2001:db8::/48"]
    assert pack("2001:db8::1").split("|")[2] != other("2001:db8::1").split("|")[2]
    assert pack("fe80::1%eth0").split("|")[:2] == ["fe80::1", "fe80::/48"]
    assert pack("203.0.113.77").split("|")[:2] == ["203.0.113.77", "203.0.113.0/24"]
    key = hmac.digest(b"a" * 32, bytes([203, 0, 113, 77]), "sha256").hex()
    assert pack("203.0.113.77").split("|")[2] == key[:32]
    for wrong in ("1.2.3", "1.2.3.256", "01.2.3.4", "a::b::c", "1.2.3.4\0", "\u0661.2.3.4"):
        with pytest.raises(Rejected, match="neither"):
            pack(wrong)
    assert pack("0.0.0.0") == pack("") == ""  # noqa: S104 - the zero address


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_batch_lands_once_when_the_process_dies_between_its_tables(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Lake.append_once
    landed: list[str] = []

    def dies_after_two(self: Lake, table: str, data: pa.Table, **options: Any) -> bool:
        if len(landed) == 2:
            raise SystemExit  # ends the lane's thread, as the death of the process would
        done = real(self, table, data, **options)
        landed.append(table)
        return done

    monkeypatch.setattr(Lake, "append_once", dies_after_two)
    sent = [line(record_id="r1"), line(record_id="c1", ip="203.0.113.1", **CLICK), b"bad"]
    land(settings, frame(settings, *sent))
    assert len(landed) == 2
    assert len(list((settings.spool_dir / "ingest").glob("*.seg"))) == 2, "the segment is kept"
    monkeypatch.undo()
    land(settings)
    for table in ("bronze_app_events", "bronze_touchpoints", "bronze_network", "bronze_rejects", "bronze_receipts"):
        assert len(bronze(settings, table)) == 1, table
    assert [p.stat().st_size for p in (settings.spool_dir / "ingest").glob("*.seg")] == [0]


def test_a_commit_that_was_written_but_not_heard_of_is_not_repeated(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Lake.append_once
    heard = False

    def forgets(self: Lake, table: str, data: pa.Table, **options: Any) -> bool:
        nonlocal heard
        done = real(self, table, data, **options)
        if not heard:
            heard = True
            raise OSError("the connection was lost after the commit")
        return done

    monkeypatch.setattr(Lake, "append_once", forgets)
    lane = land(settings, frame(settings, line(), line(record_id="r2")))
    assert heard
    assert lane.failures == 0
    assert sorted(r["record_id"] for r in bronze(settings, "bronze_app_events")) == ["r1", "r2"]
    (receipt,) = bronze(settings, "bronze_receipts")
    assert (receipt["received"], receipt["accepted"], receipt["requests"]) == (2, 2, 1)


def test_a_commit_that_power_loss_left_without_its_file_lands_again(settings: Settings) -> None:
    sent = frame(settings, line(), line(record_id="r2"), json.dumps({"app_id": APP, "record_id": "bad"}).encode())
    land(settings, sent)
    folder = settings.spool_dir / "ingest"
    for _ in range(2):  # once with the damage, once after it was mended
        for file in Lake(settings.lake).files("bronze/bronze_app_events"):
            Path(file).write_bytes(b"")
        (folder / "000000000001.seg").write_bytes(sent)  # its deletion was lost as well
        lane = land(settings)
        assert lane.failures == 0
        assert sorted(r["record_id"] for r in bronze(settings, "bronze_app_events")) == ["r1", "r2"]
        assert len(bronze(settings, "bronze_rejects")) == 1
        (receipt,) = bronze(settings, "bronze_receipts")
        assert (receipt["received"], receipt["accepted"]) == (3, 2)
        sent_again = [p for p in folder.glob("*.seg") if p.stat().st_size]
        assert sent_again == []


def test_a_record_with_every_end_of_a_line_lands_and_holds_up_nothing(settings: Settings) -> None:
    ends = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
    sent = line(record_id=f"r{ends}1", event_name=f"a{ends}b", properties={ends: ends})
    bad = json.dumps({"app_id": APP, "record_id": f"bad{ends}"}, ensure_ascii=False).encode()
    lane = land(settings, frame(settings, sent, bad))
    assert lane.failures == 0
    (row,) = bronze(settings, "bronze_app_events")
    assert (row["record_id"], row["event_name"]) == (f"r{ends}1", f"a{ends}b")
    assert json.loads(row["properties"]) == {ends: ends}
    (reject,) = bronze(settings, "bronze_rejects")
    assert reject["raw"] == bad


def test_a_commit_names_the_event_dates_that_it_touches(settings: Settings) -> None:
    days = ("2026-02-27T23:59:59Z", "2026-02-25T00:00:00Z", "2026-02-28T00:30:00+01:00")
    land(settings, frame(settings, *(line(record_id=f"r{i}", event_at=day) for i, day in enumerate(days))))
    lake = Lake(settings.lake)
    version = lake.version("bronze/bronze_app_events")
    (commit,) = lake.commits("bronze/bronze_app_events", 0, version)
    assert commit[EVENT_DATES] == "2026-02-25,2026-02-27"


def test_damaged_bytes_become_a_reject_and_are_kept(settings: Settings) -> None:
    folder = settings.spool_dir / "ingest"
    good, broken = frame(settings, line()), bytearray(frame(settings, line(record_id="r2")))
    broken[40] ^= 1
    folder.mkdir(parents=True)
    (folder / "000000000001.seg").write_bytes(bytes(broken) + good)
    land(settings)
    assert [r["record_id"] for r in bronze(settings, "bronze_app_events")] == ["r1"]
    (reject,) = bronze(settings, "bronze_rejects")
    assert (reject["reason_code"], reject["raw"], reject["app_id"]) == ("spool_corrupt", bytes(broken), None)
    receipts = bronze(settings, "bronze_receipts")
    assert sum(r["received"] for r in receipts) == sum(r["accepted"] + r["rejected"] for r in receipts) == 2
    assert [p.read_bytes() for p in (folder / "quarantine").iterdir()] == [bytes(broken)]


def test_equal_records_have_equal_hashes_whatever_their_layout(settings: Settings) -> None:
    spaced = json.dumps(json.loads(line()), indent=1).encode()
    land(settings, frame(settings, line(), spaced, line(user_id="u")))
    first, second, third = (r["payload_hash"] for r in bronze(settings, "bronze_app_events"))
    assert first == second != third


def test_landing_works_again_when_the_lake_does(settings: Settings, tmp_path: Path) -> None:
    lane = Lane(settings)
    lane.prepare()
    spool = Spool(
        settings.spool_dir / "ingest",
        kind="ingest",
        segment_bytes=1,
        segment_seconds=60,
        backlog_bytes=1 << 20,
        on_sealed=lane.enqueue,
    )
    away = Path(settings.lake).rename(tmp_path / "away")
    lane.start(spool)
    spool.start()
    spool.append(frame(settings, line()), None)
    deadline = time.monotonic() + 10
    while not lane.failures and time.monotonic() < deadline:
        time.sleep(0.02)
    assert lane.failures
    away.rename(settings.lake)
    spool.close()
    assert lane.stop(20)
    spool.release()
    assert len(bronze(settings, "bronze_app_events")) == 1
