"""The account of a world of faults: what was acknowledged is in bronze once, and nothing has disappeared.

Accepted + rejected = received; a frame that was damaged is one reject and kept; event times are those that were sent,
and receive times are those of the clock that the endpoint had.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.ingestion.crowd import RECORDS
from tests.ingestion.fault_world import World, Writer
from tests.ingestion.rig import bronze, query, record

_GOOD = RECORDS - 1
_EVENT_AT = datetime.fromisoformat(record()["event_at"])


@dataclass(frozen=True)
class Landed:
    """Rows of one request in bronze."""

    rows: int
    ids: int
    first_received: datetime
    last_received: datetime


def check(world: World, writers: list[Writer]) -> None:
    """Fail with what is wrong; every writer has been stopped kindly."""
    settings = world.first.settings
    landed = _landed(world)
    assert {name: found for name, found in landed.items() if found.ids != found.rows} == {}, "a record is there twice"
    assert {name: found for name, found in landed.items() if found.rows != _GOOD} == {}, "half of a request landed"
    damaged = {name for writer in writers for name, _ in writer.flipped}
    acknowledged = {name: sent for writer in writers for name, sent in writer.crowd.acknowledged.items()}
    assert sorted(set(acknowledged) - set(landed) - damaged) == [], "acknowledged records are lost"
    assert damaged & set(landed) == set(), "a damaged frame landed"
    for name in acknowledged.keys() & landed.keys():
        received = landed[name].first_received
        assert received == landed[name].last_received
        sent = acknowledged[name]
        assert sent.earliest - 0.01 <= received.timestamp() <= sent.latest + 0.01, f"{name} was received at {received}"

    rejects = bronze(settings, "bronze_rejects")
    corrupt = Counter(row["raw"] for row in rejects if row["reason_code"] == "spool_corrupt")
    flipped = Counter(frame for writer in writers for _, frame in writer.flipped)
    assert (corrupt - flipped, flipped - corrupt) == (Counter(), Counter()), "damage is not what the rejects say"
    refused = Counter(row["record_id"].partition("-")[0] for row in rejects if row["reason_code"] != "spool_corrupt")
    assert refused == Counter(dict.fromkeys(landed, 1)), "the rejects are not those of the requests that landed"

    receipts = bronze(settings, "bronze_receipts")
    assert all(row["received"] == row["accepted"] + row["rejected"] for row in receipts)
    assert sum(row["accepted"] for row in receipts) == sum(found.rows for found in landed.values())
    assert sum(row["rejected"] for row in receipts) == len(rejects)
    assert sum(row["requests"] for row in receipts) == len(landed) + sum(corrupt.values())
    for writer in writers:
        _check_spool(writer)


def _landed(world: World) -> dict[str, Landed]:
    rows: list[dict[str, Any]] = query(
        world.first.settings,
        "bronze_app_events",
        "select split_part(record_id, '-', 1) as name, count(*) as row_count, count(distinct record_id) as ids, "
        "min(received_at) as first_received, max(received_at) as last_received, "
        "min(event_at) as first_event, max(event_at) as last_event from bronze.bronze_app_events group by 1",
    )
    assert {row[name] for row in rows for name in ("first_event", "last_event")} == {_EVENT_AT.astimezone(UTC)}
    return {r["name"]: Landed(r["row_count"], r["ids"], r["first_received"], r["last_received"]) for r in rows}


def _check_spool(writer: Writer) -> None:
    assert writer.crowd.wrong == []
    assert [path.stat().st_size for path in writer.spool.glob("*.seg")] == [0], "not everything was landed"
    kept = [path.read_bytes() for path in (writer.spool / "quarantine").glob("*.bin")]
    unacknowledged = [piece for piece in kept if piece not in [frame for _, frame in writer.flipped]]
    assert all(kept.count(frame) == 1 for _, frame in writer.flipped), "a damaged frame was not kept"
    assert all(piece in unacknowledged for piece in writer.torn), "a torn frame was not kept"
    assert (writer.home / "endpoint.log").read_text().count("damaged bytes") >= len(kept)
