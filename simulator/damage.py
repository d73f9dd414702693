"""Records gone wrong on their way: each kind breaks a copy of a good record in one known manner.

A damaged record is one more record with an id of its own (where its id can be read at all); the good one it was made
from is sent as well, so damage never takes anything from the truth.
"""

from __future__ import annotations

import json
from typing import Any, Final

import numpy as np

from simulator.keys import DAMAGED_ID
from simulator.text import U64, hex16_of, mix

# Kinds, and the reason a strict endpoint may be expected to give. The order is part of the world: add at the end.
DAMAGES: Final[dict[str, str]] = {
    "cut_off": "invalid_json",
    "missing_record_id": "missing_field",
    "missing_required": "missing_field",
    "wrong_type": "wrong_type",
    "unknown_app": "unknown_app",
    "unknown_record_type": "unknown_record_type",
    "bad_choice": "invalid_choice",
    "future_event": "time_out_of_bounds",
    "ancient_event": "time_out_of_bounds",
    "naive_timestamp": "naive_timestamp",
    "bad_timestamp": "invalid_timestamp",
    "server_field": "server_field",
    "lone_surrogate": "lone_surrogate",
    "duplicate_key": "duplicate_key",
    "not_an_object": "not_an_object",
    "nan_revenue": "not_finite",
    "text_revenue": "wrong_type",
    "unknown_currency": "unknown_currency",
    "currency_missing": "currency_missing",
}
KINDS: Final = tuple(DAMAGES)
_MONEY_KINDS: Final = tuple(KINDS.index(k) for k in KINDS[KINDS.index("nan_revenue") :])
_OTHER_KINDS: Final = tuple(i for i in range(len(KINDS)) if i not in _MONEY_KINDS)
# A field that only must be there for the type, to be left out.
_REQUIRED: Final = {
    "install": "install_id", "session": "install_id", "uninstall": "install_id", "event": "event_name",
    "ad_revenue": "revenue", "click": "partner", "impression": "partner", "cost": "cost_date",
    "skan_postback": "transaction_id", "consent": "install_id",
}  # fmt: skip


def draw_kinds(rng: np.random.Generator, record_types: list[str]) -> list[int]:
    """A kind for each record, by what its type can suffer: only ad revenue always has money to break."""
    roll = rng.random(len(record_types))
    out = []
    for name, x in zip(record_types, roll, strict=True):
        kinds = _MONEY_KINDS + _OTHER_KINDS if name == "ad_revenue" else _OTHER_KINDS
        out.append(kinds[int(x * len(kinds))])
    return out


def damaged_keys(keys: U64) -> U64:
    """The ids of the damaged copies of records."""
    return mix(keys, DAMAGED_ID)


def damage(line: str, kind: int, record_type: str, key: int) -> str:
    """The broken copy of a line (with its line end); `key` is the copy's own."""
    record: dict[str, Any] = json.loads(line)
    record["record_id"] = hex16_of(key)
    name = KINDS[kind]
    if name == "missing_record_id":
        del record["record_id"]
    elif name == "missing_required":
        del record[_REQUIRED[record_type]]
        record.pop("user_id", None)
    elif name == "currency_missing":
        del record["currency"]
    elif name in _VALUES:
        field, value = _VALUES[name]
        record[field] = value
    elif name == "naive_timestamp":
        record["event_at"] = record["event_at"].removesuffix("Z")
    text = json.dumps(record, separators=(",", ":"))
    if name == "cut_off":
        text = text[: len(text) * 2 // 3]
    elif name == "duplicate_key":
        text = text[:-1] + ',"platform":"web"}'
    elif name == "not_an_object":
        text = json.dumps(f"record {hex16_of(key)}")
    return text + "\n"


_VALUES: Final[dict[str, tuple[str, Any]]] = {
    "wrong_type": ("record_type", 7),
    "unknown_app": ("app_id", "puzzle.unknown"),
    "unknown_record_type": ("record_type", "sesion"),
    "bad_choice": ("platform", "symbian"),
    "future_event": ("event_at", "2199-01-01T00:00:00.000Z"),
    "ancient_event": ("event_at", "1971-01-01T00:00:00.000Z"),
    "bad_timestamp": ("event_at", "yesterday"),
    "server_field": ("received_at", "2026-01-01T00:00:00.000Z"),
    "lone_surrogate": ("user_id", "\ud800"),
    "nan_revenue": ("revenue", float("nan")),
    "text_revenue": ("revenue", "a lot"),
    "unknown_currency": ("currency", "ZZZ"),
}
