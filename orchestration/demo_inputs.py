"""Input of the demo that this project did not invent: an unmodified Segment client, and the CDNOW purchases.

Both come from packages of the extra `demo`; nothing else imports or reads them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib import metadata
from pathlib import Path
from typing import Final

SEGMENT_APP: Final = "shop.segment"
CDNOW_APP: Final = "cdnow"
_USERS: Final = 25
_START: Final = datetime(2026, 2, 1, 9, tzinfo=UTC)
_ORDER: Final = Decimal("19.99")


@dataclass(frozen=True, slots=True)
class SegmentCalls:
    """What the client sends: calls in all, installs, and revenue of day 0 to 30 in USD."""

    calls: int
    installs: int
    revenue: Decimal


def segment_calls() -> SegmentCalls:
    """The counts that the marts must show afterwards."""
    return SegmentCalls(calls=_USERS * 5, installs=_USERS, revenue=_ORDER * _USERS)


def send_with_segment(address: str, write_key: str) -> int:
    """Send installs, opens, orders and identifies with Segment's own Python client; the number of calls.

    Message ids and times are fixed, so that a second demo sends the same records again.
    """
    from segment.analytics.client import Client

    problems: list[object] = []
    client = Client(write_key, host=address, sync_mode=False, on_error=lambda error, items: problems.append(error))
    calls = 0
    for number in range(_USERS):
        person = f"segment-user-{number:03d}"
        at = _START + timedelta(hours=number)
        order: dict[str, object] = {"revenue": float(_ORDER), "currency": "USD", "order_id": f"order-{number}"}
        days: tuple[tuple[str, int, dict[str, object]], ...] = (
            ("Application Installed", 0, {}),
            ("Application Opened", 1, {}),
            ("Order Completed", 2, order),
            ("Application Opened", 32, {}),  # so that day 30 is behind everybody, and all revenue shows
        )
        for name, day, properties in days:
            client.track(
                anonymous_id=person,
                event=name,
                properties=properties,
                timestamp=at + timedelta(days=day),
                message_id=f"{person}-{day}",
            )
            calls += 1
        client.identify(
            user_id=f"customer-{number}", anonymous_id=person, timestamp=at, message_id=f"{person}-identify"
        )
        calls += 1
    client.shutdown()
    if problems:
        raise RuntimeError(f"the Segment client could not deliver: {problems[0]}")
    return calls


def cdnow_file() -> Path:
    """The CDNOW purchases as the package `lifetimes` ships them; the package is not imported."""
    files = metadata.files("lifetimes") or []
    found = [entry for entry in files if entry.name == "CDNOW_master.txt"]
    if not found:
        raise FileNotFoundError("CDNOW_master.txt is not installed: `make setup` installs the extra `demo`.")
    return Path(str(found[0].locate()))
