"""Declared mappings: which column of a file is which field of the contract (TOML, format in `docs/ingestion.md`).

A mapping turns the values of one row into one contract record as JSON; it decides nothing about right or wrong, which
is the validator's. Reading files is `ingestion.rows`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Raw

from ingestion.reasons import Rejected
from lakehouse.contract import FIELDS, RECORD_TYPES, Field, Kind, Origin

NATIVE: Final = "native"
SHIPPED: Final = Path(__file__).with_name("mappings")
_NUMBER: Final = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?")
_TRUE: Final = frozenset({"true", "t", "1", "yes", "y"})
_FALSE: Final = frozenset({"false", "f", "0", "no", "n"})
_TIME_CACHE: Final = 16_384
_TICKS: Final = {"s": 1, "ms": 1_000, "us": 1_000_000}


class MappingError(Exception):
    """The mapping is wrong or does not fit the file; one sentence."""


class TimeRule(msgspec.Struct, forbid_unknown_fields=True):
    """How a column becomes an instant (or a date): a strptime `format`, or a `unit` of Unix time, else ISO 8601.

    `zone` is the IANA zone of values without an offset, `time_of_day` (HH:MM) the time of values without one.
    """

    column: str
    format: str | None = None
    unit: Literal["s", "ms", "us"] | None = None
    zone: str | None = None
    time_of_day: str | None = None


class RecordId(msgspec.Struct, forbid_unknown_fields=True):
    """The columns that make a row unique. Empty: all columns, and the n-th occurrence of equal rows in the file."""

    columns: tuple[str, ...] = ()


class MappingFile(msgspec.Struct, forbid_unknown_fields=True):
    """A mapping as it is declared."""

    format: Literal["csv", "parquet", "ndjson"]
    app_id: str
    record_type: str
    delimiter: str = ","
    columns: tuple[str, ...] = ()  # names when the file has no header line
    fields: dict[str, str] = {}  # contract field -> column
    constants: dict[str, Any] = {}
    times: dict[str, TimeRule] = {}
    record_id: RecordId = msgspec.field(default_factory=RecordId)


def load_mapping(name: str) -> MappingFile:
    """A shipped mapping by name, or one from a path; MappingError with one sentence if it is wrong."""
    path = SHIPPED / f"{name}.toml" if re.fullmatch(r"[a-z0-9_]+", name) else Path(name)
    try:
        mapping = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), MappingFile)
    except FileNotFoundError:
        shipped = ", ".join([NATIVE, *sorted(p.stem for p in SHIPPED.glob("*.toml"))])
        raise MappingError(f"there is no mapping {name}; shipped are {shipped}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise MappingError(f"mapping {path.name} is wrong: {error}.") from None
    _check(mapping, path.name)
    return mapping


def _check(mapping: MappingFile, name: str) -> None:
    if mapping.record_type not in RECORD_TYPES:
        raise MappingError(f"mapping {name} is wrong: {mapping.record_type} is not a record type.")
    if mapping.delimiter != "whitespace" and len(mapping.delimiter) != 1:
        raise MappingError(f"mapping {name} is wrong: delimiter is one character or `whitespace`.")
    known = {f.name: f for f in FIELDS if f.origin is Origin.SENDER and mapping.record_type in f.types}
    for field in [*mapping.fields, *mapping.constants, *mapping.times]:
        if field not in known:
            raise MappingError(f"mapping {name} is wrong: {mapping.record_type} has no field {field}.")
    for field, rule in mapping.times.items():
        if known[field].kind not in {Kind.INSTANT, Kind.DATE}:
            raise MappingError(f"mapping {name} is wrong: {field} is no time.")
        try:
            ZoneInfo(rule.zone or "UTC")
            time.fromisoformat(rule.time_of_day or "00:00")
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise MappingError(f"mapping {name} is wrong: {field}: {error}.") from None


class RowMapper:
    """A mapping ready for use."""

    def __init__(self, mapping: MappingFile) -> None:
        self._mapping = mapping
        by_name = {f.name: f for f in FIELDS}
        self._constants = {"app_id": mapping.app_id, "record_type": mapping.record_type} | mapping.constants
        self._fields = [(field, column, _converter(by_name[field])) for field, column in mapping.fields.items()]
        # Reports repeat their times, and parsing one costs more than all else of a row.
        self._times = [
            (field, rule.column, lru_cache(_TIME_CACHE)(partial(_instant, by_name[field], rule, _zone(rule))))
            for field, rule in mapping.times.items()
        ]
        used = {*mapping.fields.values(), *(rule.column for rule in mapping.times.values())}
        self.columns = frozenset(used | set(mapping.record_id.columns))
        self._used = frozenset(used)

    def to_record(self, row: Mapping[str, Any], record_id: str) -> bytes:
        """The contract record of a row, as JSON. Columns that are not mapped become properties; blanks are left out."""
        record: dict[str, Any] = {**self._constants, "record_id": record_id}
        for name, column, convert in self._fields:
            if (value := row.get(column)) is not None and value != "":
                record[name] = convert(value)
        for name, column, instant in self._times:
            if (value := row.get(column)) is not None and value != "":
                record[name] = instant(value)
        rest = {name: value for name, value in row.items() if name not in self._used and value not in (None, "")}
        if rest:
            record["properties"] = rest
        return msgspec.json.encode(record, enc_hook=str)

    def given_id(self, row: Mapping[str, Any]) -> str | None:
        """The id that the mapping's columns make; None when the rule is all columns."""
        columns = self._mapping.record_id.columns
        return "|".join(str(row.get(column, "")) for column in columns) if columns else None


def _converter(field: Field) -> Callable[[Any], Any]:
    if field.kind in {Kind.MONEY, Kind.INTEGER}:
        return _number
    if field.kind is Kind.BOOLEAN:
        return _boolean
    return lambda value: value if isinstance(value, str) else str(value)


def _number(value: Any) -> Any:
    """A number as its own text, so that no digit is lost; anything else as text, for the validator to refuse."""
    text = str(value).strip()
    return Raw(text.encode()) if _NUMBER.fullmatch(text) else text


def _boolean(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    return True if text in _TRUE else False if text in _FALSE else str(value)


def _zone(rule: TimeRule) -> ZoneInfo | None:
    return ZoneInfo(rule.zone) if rule.zone else None


def _instant(field: Field, rule: TimeRule, zone: ZoneInfo | None, value: Any) -> str:
    """ISO text of a time; without zone and offset it stays naive, for the validator to refuse."""
    try:
        moment = _moment(rule, value)
    except (ValueError, OverflowError) as error:
        raise Rejected("invalid_timestamp", f"{field.name}: {error}", field.name) from None
    if field.kind is Kind.DATE:
        return moment.date().isoformat()
    if rule.time_of_day is not None:
        moment = datetime.combine(moment.date(), time.fromisoformat(rule.time_of_day), moment.tzinfo)
    if moment.tzinfo is None and zone is not None:
        moment = moment.replace(tzinfo=zone)
    return moment.astimezone(UTC).isoformat() if moment.tzinfo is not None else moment.isoformat()


def _moment(rule: TimeRule, value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime.combine(value, time())
    text = str(value).strip()
    if rule.unit is not None:
        whole, rest = divmod(int(text), _TICKS[rule.unit])
        return datetime.fromtimestamp(whole, UTC).replace(microsecond=rest * 1_000_000 // _TICKS[rule.unit])
    if rule.format is not None:
        return datetime.strptime(text, rule.format)  # noqa: DTZ007 - the zone is the rule's
    return datetime.fromisoformat(text)
