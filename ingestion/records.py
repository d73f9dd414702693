"""The contract as msgspec structs: one type per record type, made from `lakehouse.contract`, and what to check of each.

Only shapes and bounds that the decoder can enforce in C are here; rules that need more are `ingestion.validator`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, Union

import msgspec
from msgspec import UNSET, Meta, UnsetType

from lakehouse.contract import (
    FIELDS,
    RECORD_TABLES,
    RECORD_TYPES,
    REQUIRED_ANY,
    Field,
    Kind,
    Origin,
    sender_fields,
)
from lakehouse.currencies import CURRENCIES

_INT64: Final = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
_INSTANT: Final = Annotated[datetime, Meta(tz=True)]
_TEXTS: Final = frozenset({Kind.TEXT, Kind.ID, Kind.DEVICE_ID, Kind.CODE})
_IDS: Final = frozenset({Kind.ID, Kind.DEVICE_ID})
# Checked for every record without a look at its rules.
_EVERYWHERE: Final = frozenset({"app_id", "record_id", "event_at", "sent_at"})
_PLAIN: Final[dict[Kind, Any]] = {
    Kind.INSTANT: _INSTANT,
    Kind.DATE: date,
    Kind.MONEY: Decimal,
    Kind.INTEGER: _INT64,
    Kind.BOOLEAN: bool,
}


@dataclass(frozen=True, slots=True)
class Rules:
    """What is left to check of a decoded record, by record type."""

    record_type: str
    table: int  # index into RECORD_TABLES
    names: frozenset[str]  # every key a sender may use
    required_ids: tuple[str, ...]  # beside app_id and record_id
    required_texts: tuple[str, ...]
    required_any: tuple[str, ...]
    instants: tuple[str, ...]  # beside event_at and sent_at
    money: tuple[str, ...]
    has_address: bool

    @property
    def has_more(self) -> bool:
        """True if there is more to check than what every record has."""
        return bool(self.required_ids or self.required_texts or self.required_any or self.instants or self.money)


SERVER_FIELDS: Final = frozenset(f.name for f in FIELDS if f.origin is not Origin.SENDER)


def wire_type(field: Field) -> Any:
    """Type of a field on the wire, without null."""
    if field.name == "currency":
        return Literal[tuple(sorted(CURRENCIES))]
    if field.kind in _TEXTS:
        return Annotated[str, Meta(max_length=field.max_length)]
    if field.kind is Kind.ENUM:
        return Literal[field.choices]
    return _PLAIN[field.kind]


def _struct(record_type: str) -> type[msgspec.Struct]:
    required: list[tuple[str, Any]] = []
    optional: list[tuple[str, Any, Any]] = []
    for field in sender_fields(record_type):
        if field.name == "record_type":
            continue  # the tag
        if record_type in field.required:
            required.append((field.name, wire_type(field)))
        elif field.kind is Kind.JSON:
            optional.append((field.name, msgspec.Raw, UNSET))  # kept verbatim; Raw cannot be in a union
        else:
            optional.append((field.name, Union[wire_type(field), None, UnsetType], UNSET))  # noqa: UP007 - built at run time
    name = "".join(part.title() for part in record_type.split("_"))
    fields: list[Any] = [*required, *optional]
    return msgspec.defstruct(name, fields, tag_field="record_type", tag=record_type, kw_only=True, gc=False)


def _rules(record_type: str) -> Rules:
    fields = sender_fields(record_type)
    required = [f for f in fields if record_type in f.required]
    return Rules(
        record_type=record_type,
        table=next(i for i, table in enumerate(RECORD_TABLES) if record_type in table.record_types),
        names=frozenset(f.name for f in fields),
        required_ids=tuple(f.name for f in required if f.kind in _IDS and f.name not in _EVERYWHERE),
        required_texts=tuple(f.name for f in required if f.kind in _TEXTS - _IDS),
        required_any=REQUIRED_ANY.get(record_type, ()),
        instants=tuple(f.name for f in fields if f.kind is Kind.INSTANT and f.name not in _EVERYWHERE),
        money=tuple(f.name for f in fields if f.kind is Kind.MONEY),
        has_address="ip" in {f.name for f in fields},
    )


STRUCTS: Final[dict[str, type[msgspec.Struct]]] = {name: _struct(name) for name in RECORD_TYPES}
RULES: Final[dict[type[msgspec.Struct], Rules]] = {STRUCTS[name]: _rules(name) for name in RECORD_TYPES}
RECORD: Final[Any] = Union[tuple(STRUCTS.values())]  # noqa: UP007 - built at run time


def record_decoder() -> Callable[[bytes], Any]:
    """Decode one JSON record into its struct; raises msgspec.DecodeError (and UnicodeDecodeError, RecursionError)."""
    return msgspec.json.Decoder(RECORD).decode
