"""Segment's HTTP API as contract records: an unmodified Segment or RudderStack client needs another host only.

A call becomes one contract record as JSON, which then passes the common validator. Mapping is lenient where Segment
is (numbers as ids, no currency), and keeps everything it does not map: properties stay properties, the rest of the
call goes to `properties.$segment`. Address and user agent leave the context, as they may only lie in bronze_network.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw

from ingestion import exact
from ingestion.bodies import MAX_RECORDS, TooLarge
from ingestion.reasons import Rejected
from lakehouse.apps import App

CALLS: Final = ("track", "identify", "screen", "page", "alias", "group")
# Event of Segment's mobile and commerce specs -> record type; all others are `event`.
TYPE_OF_EVENT: Final[dict[str, str]] = {
    "Application Installed": "install",
    "Application Opened": "session",
    "Application Uninstalled": "uninstall",
}
# Events whose `total` (or `value`) is their revenue when `revenue` is absent.
SALES: Final = frozenset({"Order Completed", "Order Updated", "Payment Completed", "Subscription Started"})
REFUND: Final = "Order Refunded"

# Context path -> contract field.
_CONTEXT: Final[tuple[tuple[str, str, str], ...]] = (
    ("app", "version", "app_version"),
    ("os", "name", "os_name"),
    ("os", "version", "os_version"),
    ("device", "model", "device_model"),
    ("", "locale", "locale"),
    ("", "timezone", "time_zone"),
    ("", "ip", "ip"),
    ("", "userAgent", "user_agent"),
)
# Top-level names of calls other than track -> property.
_NAMED: Final = (("name", "name"), ("category", "category"), ("previousId", "previous_id"), ("groupId", "group_id"))
_PROPERTIES: Final = ("order_id", "product_id")
_CALL: Final = msgspec.json.Decoder(dict[str, Raw])
_ANY: Final = msgspec.json.Decoder(Any)


class Envelope(msgspec.Struct):
    """Body of /v1/batch and /v1/import."""

    batch: list[Raw]
    sent_at: Any = msgspec.field(default=None, name="sentAt")
    write_key: Any = msgspec.field(default=None, name="writeKey")
    context: Any = None


_ENVELOPE: Final = msgspec.json.Decoder(Envelope)


def read_envelope(body: bytes) -> Envelope:
    """Rejected (`unreadable_body`) if the body is not a batch."""
    try:
        envelope = _ENVELOPE.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Rejected("unreadable_body", f"not a Segment batch: {error}") from None
    if len(envelope.batch) > MAX_RECORDS:
        raise TooLarge("too_many_records")
    return envelope


def write_key_of(call: bytes) -> str | None:
    """The write key inside a single call, as browser clients send it."""
    try:
        key = _ANY.decode(_CALL.decode(call).get("writeKey", Raw(b"null")))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return key if isinstance(key, str) else None


def to_record(call: bytes, app: App, *, route_type: str | None, envelope: Envelope | None) -> bytes:
    """The contract record of one call, as JSON; Rejected if it is no call."""
    exact.parse(call)  # duplicate keys and the like are not seen below
    try:
        top = _CALL.decode(call)
        plain = {name: _ANY.decode(value) for name, value in top.items() if name not in {"properties", "traits"}}
        properties = _object(top.get("properties"), "properties")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Rejected("not_an_object" if "Expected `object`" in str(error) else "invalid_json", str(error)) from None
    kind = str(plain.get("type") or route_type or "").lower()
    if kind not in CALLS:
        raise Rejected("unknown_call", f"type is one of {', '.join(CALLS)}", "type")
    context = _merged(envelope.context if envelope else None, plain.get("context"))
    event = plain.get("event") if kind == "track" else f"${kind}"
    record: dict[str, Any] = {
        "app_id": app.app_id,
        "record_type": TYPE_OF_EVENT.get(event, "event") if isinstance(event, str) else "event",
        "record_id": _text(plain.get("messageId")) or _made_id(call, plain),
        "event_name": event,
        "event_at": plain.get("originalTimestamp") or plain.get("timestamp"),
        "sent_at": plain.get("sentAt") or (envelope.sent_at if envelope else None),
        "user_id": _text(plain.get("userId")),
    }
    _map_context(record, context, app)
    device = context.get("device")
    device_id = device.get("id") if isinstance(device, dict) else None
    record["install_id"] = _text(plain.get("anonymousId")) or _text(device_id) or record["user_id"]
    if record["record_type"] == "event":
        _map_commerce(record, properties, app)
    for name, key in _NAMED:
        if plain.get(name) is not None and kind != "track":
            properties.setdefault(key, Raw(msgspec.json.encode(plain[name])))
    rest: dict[str, Any] = {k: v for k, v in plain.items() if k not in _MAPPED} | {"type": kind, "context": context}
    if "traits" in top:
        rest["traits"] = top["traits"]
    properties["$segment"] = Raw(msgspec.json.encode(rest))
    record["properties"] = properties
    return msgspec.json.encode({k: v for k, v in record.items() if v is not None})


_MAPPED: Final = frozenset(
    {"messageId", "event", "originalTimestamp", "timestamp", "sentAt", "userId", "anonymousId", "context", "type"}
    | {"writeKey", "name", "category", "previousId", "groupId"}
)


def _object(raw: Raw | None, name: str) -> dict[str, Raw]:
    if raw is None or bytes(raw) == b"null":
        return {}
    try:
        return _CALL.decode(raw)
    except msgspec.ValidationError:
        raise Rejected("wrong_type", f"{name} is a JSON object", name) from None


def _merged(outer: Any, inner: Any) -> dict[str, Any]:
    return {**(outer if isinstance(outer, dict) else {}), **(inner if isinstance(inner, dict) else {})}


def _map_context(record: dict[str, Any], context: dict[str, Any], app: App) -> None:
    """Fill device fields, and take address and user agent out of the context."""
    for group, name, field in _CONTEXT:
        holder = context.get(group) if group else context
        if isinstance(holder, Mapping) and (value := _text(holder.get(name))):
            record[field] = value
    context.pop("ip", None)
    context.pop("userAgent", None)
    location = context.get("location")
    country = location.get("country") if isinstance(location, dict) else None
    if isinstance(country, str) and len(country) == 2:
        record["country"] = country.upper()
    held = context.get("device")
    device: dict[str, Any] = held if isinstance(held, dict) else {}
    record["platform"] = platform = _platform(device, record, context, app)
    if platform in {"ios", "android"}:
        record["idfa" if platform == "ios" else "gaid"] = _text(device.get("advertisingId"))
        record["idfv" if platform == "ios" else "android_id"] = _text(device.get("id"))
    if isinstance(device.get("adTrackingEnabled"), bool):
        record["is_limit_ad_tracking"] = not device["adTrackingEnabled"]


def _platform(device: dict[str, Any], record: dict[str, Any], context: dict[str, Any], app: App) -> str:
    for hint in (device.get("type"), record.get("os_name")):
        hint = str(hint or "").lower()
        if hint in {"ios", "android"}:
            return hint
        if hint in {"ipados", "iphone os"}:
            return "ios"
    library = context.get("library")
    name = str(library.get("name", "")) if isinstance(library, dict) else ""
    return "web" if name in {"analytics.js", "analytics-next"} else app.platform


def _map_commerce(record: dict[str, Any], properties: dict[str, Raw], app: App) -> None:
    """Revenue, currency, order and product; what is mapped leaves the properties."""
    event = record["event_name"]
    names = ["revenue", "total", "value"] if event in SALES or event == REFUND else ["revenue"]
    source = next((n for n in names if bytes(properties.get(n, Raw(b"null"))) != b"null"), None)
    if source is not None:
        amount = properties.pop(source)
        text = bytes(amount)
        bare = text.strip(b'"')
        if event == REFUND and not bare.startswith(b"-"):
            amount = Raw(b'"-' + bare + b'"')
        record["revenue"] = amount
        record["currency"] = _upper(properties.pop("currency", None)) or app.currency
    for name in _PROPERTIES:
        if name in properties and (identity := _text(_ANY.decode(properties[name]))):
            record[name] = identity
            del properties[name]
    quantity: Any = _ANY.decode(properties.get("quantity", Raw(b"null")))
    if type(quantity) is int:
        record["quantity"] = quantity
        del properties["quantity"]


def _upper(raw: Raw | None) -> str | None:
    value: Any = None if raw is None else _ANY.decode(raw)
    return value.upper() if isinstance(value, str) and value else None


def _text(value: Any) -> str | None:
    """An id or text as text; Segment allows numbers."""
    if isinstance(value, str):
        return value or None
    if type(value) in {int, float}:
        return str(value)
    return None


def _made_id(call: bytes, plain: dict[str, Any]) -> str:
    """An id for a call without one: of its bytes if it says when it happened, so that a retry is the same record."""
    if plain.get("timestamp") or plain.get("originalTimestamp"):
        return "seg-" + hashlib.blake2b(call, digest_size=16).hexdigest()
    return str(uuid.uuid4())
