"""Click and impression links: from the parameters of a hit to a contract record; knows nothing of HTTP or disks.

What a parameter is called by which network, what of it is an unexpanded macro, and what is kept where. Where the person
goes from here is `ingestion.stores`; whether the link is signed is `ingestion.link_signatures`.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from ingestion.reasons import Rejected
from ingestion.user_agents import parse_user_agent
from lakehouse.contract import Field, Kind, sender_fields

MAX_PARAMETERS: Final = 200
# Names that belong to the link and not to the touch.
SIGNATURE, SIGNED, EXPIRES, FORMAT = "sig", "signed", "expires", "format"
CONTROLS: Final = frozenset({SIGNATURE, SIGNED, EXPIRES, FORMAT})
# Fields that a hit itself tells, or that a link must not choose. Address and user agent are those of the hit: what a
# link says of them is not even kept, as they may lie in bronze_network only.
_NOT_GIVEN: Final = frozenset({"app_id", "record_id", "record_type", "event_at", "sent_at", "properties"})
PRIVATE: Final = frozenset({"ip", "ip_address", "user_agent", "ua"})
# Contract field -> other names for it, as networks and other vendors' links have them; the field's own name wins.
ALIASES: Final[dict[str, tuple[str, ...]]] = {
    "gaid": ("gps_adid", "advertising_id"),
    "click_id": ("clickid",),
    "user_id": ("customer_user_id",),
    "partner": ("pid", "media_source", "utm_source"),
    "channel": ("af_channel", "utm_medium"),
    "agency": ("af_prt",),
    "campaign_id": ("af_c_id",),
    "campaign_name": ("campaign", "c", "utm_campaign"),
    "adset_id": ("af_adset_id", "adgroup_id"),
    "adset_name": ("af_adset", "adgroup_name"),
    "creative_id": ("af_ad_id", "ad_id"),
    "creative_name": ("af_ad", "utm_content"),
    "site_id": ("af_siteid", "publisher_id"),
    "sub_site_id": ("af_sub_siteid", "sub_publisher_id"),
    "keyword": ("af_keywords", "utm_term"),
    "cost_model": ("af_cost_model",),
    "cost": ("cost_value", "af_cost_value"),
    "currency": ("cost_currency", "af_cost_currency"),
    "deeplink_url": ("deep_link", "af_dp"),
}
FIELDS: Final[dict[str, Field]] = {
    f.name: f for f in sender_fields("click") if f.name not in _NOT_GIVEN and f.name not in PRIVATE
}
# Parameter -> field.
FIELD_OF: Final[dict[str, str]] = {name: name for name in FIELDS} | {
    alias: name for name, aliases in ALIASES.items() for alias in aliases
}

# A value that is nothing but a placeholder which the network did not fill: {gaid}, {{gaid}}, ${GAID}, [GAID], __GAID__,
# %%GAID%%, <gaid>, and the same encoded once more.
_MACRO: Final = re.compile(
    r"\$?\{.*\}|\[.*\]|<.*>|__\w+__|%%\w+%%|(?:\$|%24)?(?:%7b)+.*(?:%7d)+|%5b.*%5d|%3c.*%3e", re.IGNORECASE | re.DOTALL
)
_BOOLEANS: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_PLATFORMS: Final = {"iOS": "ios", "iPadOS": "ios", "Android": "android"}

Pairs = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Hit:
    """One hit of a link. `values` are the contract fields it gives, `record` the contract record as JSON."""

    click_id: str
    values: dict[str, Any]
    record: bytes


def is_macro(value: str) -> bool:
    """True if the value is an unexpanded macro."""
    return _MACRO.fullmatch(value.strip()) is not None


def read_parameters(query: str) -> Pairs:
    """The parameters of a query in order, decoded; Rejected if there are too many."""
    try:
        return parse_qsl(query, keep_blank_values=True, errors="replace", max_num_fields=MAX_PARAMETERS)
    except ValueError:
        raise Rejected("too_long", f"the link has more than {MAX_PARAMETERS} parameters") from None


def public_pairs(pairs: Iterable[tuple[str, str]]) -> Pairs:
    """The parameters that may be kept with the touch."""
    return [(name, value) for name, value in pairs if name.lower() not in PRIVATE]


def read_hit(record_type: str, app_id: str, pairs: Pairs, user_agent: str | None, received_at: datetime) -> Hit:
    """The touch of a hit: a new record each time, its time that of the hit, its click id the given one or a new one."""
    values: dict[str, Any] = {}
    for field in FIELDS.values():
        found = _first(pairs, (field.name, *ALIASES.get(field.name, ())))
        if found is not None:
            values[field.name] = _BOOLEANS.get(found.lower(), found) if field.kind is Kind.BOOLEAN else found
    click_id = values.setdefault("click_id", str(uuid.uuid4()))
    if "platform" not in values and (system := _PLATFORMS.get(parse_user_agent(user_agent or "").os_name or "")):
        values["platform"] = system
    record = values | {
        "app_id": app_id,
        "record_id": str(uuid.uuid4()),
        "record_type": record_type,
        "event_at": received_at,
    }
    if properties := _properties(pairs):
        record["properties"] = properties
    return Hit(click_id, values, msgspec.json.encode(record))


def _first(pairs: Pairs, names: tuple[str, ...]) -> str | None:
    """The first sense that a parameter of these names makes; an earlier name wins over a later one."""
    for name in names:
        for given, value in pairs:
            if given == name and (text := value.strip()) and not is_macro(text):
                return text
    return None


def _properties(pairs: Pairs) -> dict[str, Any]:
    """Every parameter that is no field; a list where the name stands there more than once, null for a macro."""
    found: dict[str, list[str | None]] = {}
    for name, value in public_pairs(pairs):
        if name and name not in FIELD_OF and name not in CONTROLS:
            found.setdefault(name, []).append(None if is_macro(value) else value)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}
