"""From the body of a request to checked records, for every writing route; knows nothing of HTTP or disks.

Many dialects come in: contract records, Segment calls, AppsFlyer events, Apple's postbacks, and links without a body.
All end in the one validator.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, Final
from urllib.parse import unquote_plus

import msgspec

from ingestion import adattributionkit, appsflyer, bodies, links, routes, segment, skan
from ingestion.access import Denied
from ingestion.apple_keys import PUBLISHED, AppleKeys
from ingestion.gate import ANYBODY, Caller, Gate
from ingestion.link_signatures import LinkSecrets, is_valid
from ingestion.reasons import Reject, Rejected, reject
from ingestion.route_fields import add_route_fields
from ingestion.validator import Checked, Sender, Validator
from lakehouse.apps import App, AppRegistry
from lakehouse.contract import FIELDS
from lakehouse.settings import Settings

EVENTS: Final = routes.EVENTS
SEGMENT_BATCHES: Final = routes.SEGMENT_BATCHES
SEGMENT_ROUTES: Final = routes.SEGMENT_ROUTES
_READERS: Final = {routes.SKAN: skan.read_postback, routes.ADATTRIBUTIONKIT: adattributionkit.read_postback}
_MAX_URL: Final = next(f.max_length for f in FIELDS if f.name == "raw_url")


class _Tagged(msgspec.Struct):
    record_type: Any = None


_TAGGED: Final = msgspec.json.Decoder(_Tagged)


class Incoming(msgspec.Struct, frozen=True):
    """A body as it was sent, and what its request says; `address` and `user_agent` only if they are the device's."""

    route: str
    body: bytes
    encoding: str
    content_type: str
    address: str | None = None
    user_agent: str | None = None
    named_app: str = ""  # in the path
    caller: Caller = ANYBODY


class Taken(msgspec.Struct):
    """What came of a body; a body that cannot be read is one reject. `app` is None if a postback names none of ours."""

    app: App | None
    checked: Checked
    body_bytes: int = 0
    is_unreadable: bool = False


class Visit(msgspec.Struct, frozen=True):
    """What came of a hit of a link: the checked touch, and what says where the person goes."""

    checked: Checked
    click_id: str
    values: dict[str, Any]


class Intake:
    """Gate, mappings and validator of one endpoint."""

    def __init__(self, settings: Settings, gate: Gate, apple_keys: AppleKeys = PUBLISHED) -> None:
        self._limit = settings.ingest_max_body_bytes
        self._validator = Validator(settings)
        self._gate = gate
        self._link_secrets = LinkSecrets(settings)
        self._apple_keys = apple_keys

    @property
    def registry(self) -> AppRegistry:
        """The apps that are registered now."""
        return self._gate.registry

    def app_of(self, key: str | None, route: str, now: datetime, caller: Caller) -> App:
        """The app of a write key; Denied if it may not use the route, RateLimited if it is used too often."""
        return self._gate.app_of(key, routes.scope_of(route), now, caller)

    def take(self, incoming: Incoming, app: App | None, now: datetime) -> Taken:
        """Check the records of a body. `app` is None on Apple's routes, and when only a Segment body can hold the key.

        Denied if it does not, bodies.TooLarge if the body is beyond a limit.
        """
        text = incoming.body
        limit = routes.body_limit(incoming.route, self._limit, is_keyless=app is None)
        try:
            text = bodies.inflate(incoming.body, incoming.encoding, limit)
            if incoming.route in routes.SEGMENT_ROUTES:
                return self._segment(text, incoming, app, now)
            if incoming.route in routes.APPLE_ROUTES:
                return self._postback(text, incoming.route, now)
            assert app is not None
            if incoming.route == routes.APPSFLYER:
                return self._appsflyer(text, incoming.named_app, app, now)
            sender = Sender({app.app_id}, self.registry.apps, incoming.address, incoming.user_agent)
            records = bodies.split(text, incoming.content_type)
            if only := routes.ONLY.get(incoming.route):
                lines = bodies.lines_of(records) if isinstance(records, bytes) else records
                checked = self._check_only(only, lines, sender, incoming.route, now)
            elif isinstance(records, bytes):
                checked = self._validator.check_lines(records, sender, now)
            else:
                checked = self._validator.check(records, sender, now)
            return Taken(app, checked, len(text))
        except Rejected as verdict:
            if app is None and incoming.route not in routes.APPLE_ROUTES:
                raise Denied("unauthorized") from None
            return Taken(app, Checked(rejects=[reject(0, incoming.body, verdict)]), len(text), is_unreadable=True)

    def hit(
        self, route: str, app: App, path: str, query: str, address: str | None, user_agent: str | None, now: datetime
    ) -> Visit:
        """Check the touch of a link that was hit; a wrong one is a reject, and the person goes on all the same."""
        kept = [part for part in query.split("&") if unquote_plus(part.partition("=")[0]).lower() not in links.PRIVATE]
        url = f"{path}?{'&'.join(kept)}" if query else path
        record_type = routes.LINKS[route]
        try:
            pairs = links.read_parameters(query)
            hit = links.read_hit(record_type, app.app_id, pairs, user_agent, now)
        except Rejected as verdict:
            return Visit(Checked(rejects=[reject(0, url.encode(), verdict)]), str(uuid.uuid4()), {})
        sender = Sender({app.app_id}, address=address, user_agent=user_agent)
        checked = self._validator.check([hit.record], sender, now, raws=[url.encode()])
        is_signed = is_valid(self._link_secrets.of(app.app_id), record_type, app.app_id, pairs, now)
        if is_signed is None and app.requires_signed_links:
            is_signed = False
        add_route_fields(checked, {"is_signature_valid": is_signed, "raw_url": url[:_MAX_URL]})
        return Visit(checked, hit.click_id, hit.values)

    def _check_only(self, only: str, lines: list[bytes], sender: Sender, route: str, now: datetime) -> Checked:
        """Check records of which only one type is allowed here; those without a readable type go to the validator."""
        places, rejects = [], []
        for position, line in enumerate(lines):
            kind = _type_of(line)
            if kind is None or kind == only:
                places.append(position)
            else:
                verdict = Rejected("wrong_route", f"{route} takes only {only} records", "record_type")
                rejects.append(reject(position, line, verdict))
        checked = self._validator.check([lines[p] for p in places], sender, now, positions=places)
        return _with_rejects(checked, rejects)

    def _postback(self, text: bytes, route: str, now: datetime) -> Taken:
        try:
            postback = _READERS[route](text, self.registry, self._apple_keys)
        except Rejected as verdict:
            return Taken(None, Checked(rejects=[reject(0, text, verdict)]), len(text))
        app = postback.app
        checked = self._validator.check([postback.record], Sender({app.app_id}), now, raws=[text])
        add_route_fields(checked, {"signature_state": postback.signature_state})
        return Taken(app, checked, len(text))

    def _appsflyer(self, text: bytes, named: str, app: App, now: datetime) -> Taken:
        try:
            if appsflyer.find_app(named, self.registry) is not app:
                raise Rejected("wrong_app", f"{named[:128]} in the path is not the app of this key", "app_id")
            record = appsflyer.to_record(text, app)
        except Rejected as verdict:
            return Taken(app, Checked(rejects=[reject(0, text, verdict)]), len(text))
        return Taken(app, self._validator.check([record], Sender({app.app_id}), now, raws=[text]), len(text))

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
        return Taken(app, _with_rejects(checked, rejects), len(text))


def _with_rejects(checked: Checked, rejects: list[Reject]) -> Checked:
    checked.rejects = sorted([*checked.rejects, *rejects], key=lambda r: r.position)
    return checked


def _type_of(line: bytes) -> str | None:
    """The record type of a record, None if it has none that could be read."""
    try:
        kind = _TAGGED.decode(line).record_type
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return kind if isinstance(kind, str) else None
