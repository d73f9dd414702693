"""From the body of a request to checked records, for every writing route; knows nothing of HTTP or disks.

Two dialects come in: contract records (`/v1/events`) and Segment calls. Both end in the one validator.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from ingestion import bodies, segment
from ingestion.access import Denied
from ingestion.gate import ANYBODY, Caller, Gate
from ingestion.reasons import Rejected, reject
from ingestion.validator import Checked, Sender, Validator
from lakehouse.apps import App
from lakehouse.settings import Settings

EVENTS: Final = "/v1/events"
SEGMENT_BATCHES: Final = ("/v1/batch", "/v1/import")
SEGMENT_ROUTES: Final = (*SEGMENT_BATCHES, *(f"/v1/{call}" for call in segment.CALLS))


@dataclass(frozen=True, slots=True)
class Incoming:
    """A body as it was sent, and what its request says; `address` and `user_agent` only if they are the device's."""

    route: str
    body: bytes
    encoding: str
    content_type: str
    address: str | None = None
    user_agent: str | None = None
    caller: Caller = ANYBODY


@dataclass(slots=True)
class Taken:
    """What came of a body; a body that cannot be read is one reject."""

    app: App
    checked: Checked = field(default_factory=Checked)
    body_bytes: int = 0
    is_unreadable: bool = False


class Intake:
    """Gate, mapping and validator of one endpoint."""

    def __init__(self, settings: Settings, gate: Gate) -> None:
        self._limit = settings.ingest_max_body_bytes
        self._validator = Validator(settings)
        self._gate = gate

    def app_of(self, key: str | None, route: str, now: datetime, caller: Caller) -> App:
        """The app of a write key; Denied if it may not use the route, RateLimited if it is used too often."""
        return self._gate.app_of(key, "segment" if route in SEGMENT_ROUTES else "events", now, caller)

    def take(self, incoming: Incoming, app: App | None, now: datetime) -> Taken:
        """Check the records of a body. `app` is None when only the body can hold the key, as Segment's may.

        Denied if it does not, bodies.TooLarge if the body is beyond a limit.
        """
        text = incoming.body
        limit = self._limit if app is not None else min(self._limit, bodies.KEYLESS_BYTES)
        try:
            text = bodies.inflate(incoming.body, incoming.encoding, limit)
            if incoming.route in SEGMENT_ROUTES:
                return self._segment(text, incoming, app, now)
            assert app is not None
            lines = bodies.split(text, incoming.content_type)
            sender = Sender({app.app_id}, self._gate.registry.apps, incoming.address, incoming.user_agent)
            return Taken(app, self._validator.check(lines, sender, now), len(text))
        except Rejected as verdict:
            if app is None:
                raise Denied("unauthorized") from None
            return Taken(app, Checked(rejects=[reject(0, incoming.body, verdict)]), len(text), is_unreadable=True)

    def _segment(self, text: bytes, incoming: Incoming, app: App | None, now: datetime) -> Taken:
        envelope: segment.Envelope | None = None
        route = incoming.route
        calls, route_type = [text], None
        if route in SEGMENT_BATCHES:
            envelope = segment.read_envelope(text)
            calls = [bytes(call) for call in envelope.batch]
        else:
            route_type = route.rpartition("/")[2]
        if app is None:
            key = segment.write_key_of(text) if envelope is None else envelope.write_key
            app = self.app_of(key if isinstance(key, str) else None, route, now, incoming.caller)
        lines, raws, positions, rejects = [], [], [], []
        for position, call in enumerate(calls):
            try:
                lines.append(segment.to_record(call, app, route_type=route_type, envelope=envelope))
            except Rejected as verdict:
                rejects.append(reject(position, call, verdict))
                continue
            raws.append(call)
            positions.append(position)
        checked = self._validator.check(lines, Sender({app.app_id}), now, raws=raws, positions=positions)
        checked.rejects = sorted([*checked.rejects, *rejects], key=lambda r: r.position)
        return Taken(app, checked, len(text))
