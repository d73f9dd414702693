"""AppsFlyer's server-to-server event API as contract records: its senders need another host and key only.

The protocol has no event id and answers 200 to events it drops; here a wrong event is refused with its reason. The
record id is a hash of the app and the fields in `IDENTITY`, so that an event that is sent again is the same record. Two
events that agree in all of them, to the millisecond, are taken for one. An event without time gets a new id each time
it is sent.
"""

from __future__ import annotations

import hashlib
import uuid
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from ingestion import exact
from ingestion.reasons import Rejected
from lakehouse.apps import App, AppRegistry

# What makes an event the one it is; how it came in (address, versions, sharing filters) does not.
IDENTITY: Final = (
    *("appsflyer_id", "customer_user_id", "advertising_id", "oaid", "idfa", "idfv"),
    *("eventName", "eventValue", "eventCurrency", "eventTime"),
)
# AppsFlyer's name -> contract field.
NAMES: Final[dict[str, str]] = {
    "appsflyer_id": "install_id",
    "customer_user_id": "user_id",
    "advertising_id": "gaid",
    "oaid": "oaid",
    "idfa": "idfa",
    "idfv": "idfv",
    "android_id": "android_id",
    "eventName": "event_name",
    "ip": "ip",
    "ua": "user_agent",
    "os": "os_version",
    "app_version_name": "app_version",
    "device_model": "device_model",
    "language": "locale",
    "country_code": "country",
}
# Name inside eventValue -> contract field; the first of two wins.
VALUE_NAMES: Final[dict[str, str]] = {
    "af_order_id": "order_id",
    "af_receipt_id": "order_id",
    "af_content_id": "product_id",
}
_ATT: Final = {"0": "not_determined", "1": "restricted", "2": "denied", "3": "authorized"}
_HANDLED: Final = frozenset({"eventValue", "eventCurrency", "eventTime", "att"})
_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def find_app(name: str, apps: AppRegistry) -> App | None:
    """The app that AppsFlyer's id names: our app id, `id` and the App Store id, or the package name."""
    if name in apps.apps:
        return apps.apps[name]
    if name.startswith("id") and (found := apps.of_app_store(name.removeprefix("id"))):
        return found
    return next((app for app in apps.apps.values() if app.play_store_id and app.play_store_id == name), None)


def to_record(body: bytes, app: App) -> bytes:
    """The contract record of one event, as JSON; Rejected if it is none."""
    given = exact.parse(body)  # numbers are text here, so that no digit is lost
    value, kept = _event_value(given.get("eventValue"), body)
    record: dict[str, Any] = {
        "app_id": app.app_id,
        "record_type": "event",
        "record_id": _record_id(given, app),
        "platform": _platform(given, app),
        "event_at": _event_time(given.get("eventTime")),
        "att_status": _ATT.get(str(given.get("att"))),
    }
    record |= {field: _text(given[name], name) for name, field in NAMES.items() if given.get(name) is not None}
    taken = _map_value(record, value, given, app)
    properties: dict[str, Any] = {name: item for name, item in kept.items() if name not in taken}
    rest = {name: item for name, item in _MEMBERS.decode(body).items() if name not in NAMES and name not in _HANDLED}
    if rest:
        properties["$appsflyer"] = rest
    record["properties"] = properties
    return msgspec.json.encode({name: item for name, item in record.items() if item is not None})


def _event_value(given: Any, body: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """What eventValue says, numbers as text, and the same as it was sent; a text that is no object is kept whole."""
    if given is None or (isinstance(given, str) and not given.strip()):
        return {}, {}
    if isinstance(given, dict):
        return given, _MEMBERS.decode(_MEMBERS.decode(body)["eventValue"])
    if not isinstance(given, str):
        raise Rejected("wrong_type", "eventValue is a JSON object, as text or as it is", "eventValue")
    if not given.lstrip().startswith("{"):
        return {}, {"eventValue": given}
    inner = given.encode()
    try:
        return exact.parse(inner), _MEMBERS.decode(inner)
    except Rejected as verdict:
        raise Rejected(verdict.code, f"eventValue: {verdict.message}", "eventValue") from None


def _map_value(record: dict[str, Any], value: dict[str, Any], given: dict[str, Any], app: App) -> set[str]:
    """Fill money, order, product and quantity; the names inside eventValue that were taken."""
    taken: set[str] = set()
    amount = value.get("af_revenue")
    if amount not in (None, ""):
        record["revenue"] = _text(amount, "af_revenue").strip()
        currency = value.get("af_currency") or given.get("eventCurrency") or app.currency
        record["currency"] = _text(currency, "af_currency").strip().upper()
        taken |= {"af_revenue", "af_currency"}
    for name, field in VALUE_NAMES.items():
        if isinstance(value.get(name), str) and field not in record:
            record[field] = value[name]
            taken.add(name)
    quantity = value.get("af_quantity")
    if isinstance(quantity, str) and quantity.isascii() and quantity.isdigit() and len(quantity) < 10:
        record["quantity"] = int(quantity)
        taken.add("af_quantity")
    return taken


def _platform(given: dict[str, Any], app: App) -> str:
    if given.get("idfa") or given.get("idfv"):
        return "ios"
    return "android" if given.get("advertising_id") or given.get("oaid") else app.platform


def _event_time(text: Any) -> datetime | None:
    """`YYYY-MM-DD HH:MM:SS.sss` in UTC; an offset that is given counts."""
    if text is None or text == "":
        return None
    try:
        at = datetime.fromisoformat(str(text).strip())
    except ValueError:
        raise Rejected("invalid_timestamp", "eventTime is like 2026-03-01 09:30:00.000, in UTC", "eventTime") from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at


def _record_id(given: dict[str, Any], app: App) -> str:
    if not given.get("eventTime"):
        return str(uuid.uuid4())
    named = [app.app_id, *(given.get(name) for name in IDENTITY)]
    return "af-" + hashlib.blake2b(msgspec.json.encode(named, order="sorted"), digest_size=16).hexdigest()


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise Rejected("wrong_type", f"{name} is a text", name)
    return value
