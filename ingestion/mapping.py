"""Declared mappings: which column of a file is which field of the contract (TOML, format in `docs/importing.md`).

Here is what a mapping may say and whether it makes sense; it decides nothing about right or wrong records, which is
the validator's. Reading files is `ingestion.rows`, turning rows into records `ingestion.row_records`.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from datetime import time
from pathlib import Path
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from lakehouse.contract import FIELDS, RECORD_TYPES, Kind, sender_fields

CLAIMS: Final = "claims"  # the environment of records that only claim
NATIVE: Final = "native"
SHIPPED: Final = Path(__file__).with_name("mappings")
_KINDS: Final = {f.name: f.kind for f in FIELDS}


class MappingError(Exception):
    """The mapping is wrong or does not fit the file; one sentence."""


class Condition(msgspec.Struct, forbid_unknown_fields=True):
    """What a column must hold: one of `is`, none of `is_not` (case does not matter), or anything at all (`given`)."""

    column: str
    is_: tuple[str, ...] | None = msgspec.field(default=None, name="is")
    is_not: tuple[str, ...] | None = None
    given: bool | None = None


class FieldRule(msgspec.Struct, forbid_unknown_fields=True):
    """The first of `columns` that is not blank, translated.

    `values` replaces values (case does not matter), `otherwise` those it does not name ("" leaves the field out), and
    a value that does not match `pattern` leaves the field out.
    """

    columns: tuple[str, ...]
    values: dict[str, str] = {}
    otherwise: str | None = None
    pattern: str | None = None


class TimeRule(msgspec.Struct, forbid_unknown_fields=True):
    """How a column becomes an instant (or a date): a strptime `format`, or a `unit` of Unix time, else ISO 8601.

    The first of `columns` that is not blank, `column` before them. `zone` is the IANA zone of values without an
    offset (default: that of the mapping), `time_of_day` (HH:MM) the time of values without one.
    """

    column: str = ""
    columns: tuple[str, ...] = ()
    format: str | None = None
    unit: Literal["s", "ms", "us"] | None = None
    zone: str | None = None
    time_of_day: str | None = None

    @property
    def sources(self) -> tuple[str, ...]:
        """The columns in their order."""
        return (self.column, *self.columns) if self.column else self.columns


class Amount(msgspec.Struct, forbid_unknown_fields=True):
    """An amount and its currency, in a column or the same for all."""

    amount: str
    currency: str = ""
    currency_is: str = ""


class RecordId(msgspec.Struct, forbid_unknown_fields=True):
    """What makes a row unique.

    `columns`: their values are unique. `key`: fields or columns that say what happened; the id is their hash and the
    number of the occurrence among rows of the file that are equal in them and in `copies`. Neither: all columns are
    the key.
    """

    columns: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()


class RecordRule(msgspec.Struct, forbid_unknown_fields=True):
    """One kind of record that a row may become. A row is the first whose `when` holds, and every `also` beside it.

    Rows of a kind that is `skip` make no record. `leave_out` are fields that the mapping gives to all records and that
    do not hold for this kind. `properties` are the columns kept there; default: all that no field took.
    """

    record_type: str
    report: str = ""
    also: bool = False
    skip: bool = False
    leave_out: tuple[str, ...] = ()
    properties: tuple[str, ...] | None = None
    when: tuple[Condition, ...] = ()
    fields: dict[str, str | tuple[str, ...] | FieldRule] = {}
    constants: dict[str, Any] = {}
    times: dict[str, TimeRule] = {}
    amounts: dict[str, tuple[Amount, ...]] = {}
    record_id: RecordId = msgspec.field(default_factory=RecordId)

    @property
    def label(self) -> str:
        """What reports call these records."""
        return self.report or self.record_type


class MappingFile(msgspec.Struct, forbid_unknown_fields=True):
    """A mapping as it is declared."""

    format: Literal["csv", "parquet", "ndjson"]
    app_id: str = ""
    app_column: str = ""  # holds an app_id or store_id of apps.toml
    record_type: str = ""  # one kind of record; otherwise `records`
    delimiter: str = ","
    decimal: Literal[".", ","] = "."
    zone: str | None = None  # of times without offset
    columns: tuple[str, ...] = ()  # names when the file has no header line
    aliases: dict[str, tuple[str, ...]] = {}  # column -> other spellings of it
    requires: tuple[str, ...] | None = None  # columns a file must have; default: all that are named
    required: tuple[str, ...] = ()  # fields a record must have, beside those of the contract
    json: tuple[str, ...] = ()  # columns whose JSON objects stay objects in `properties`
    only: tuple[Condition, ...] = ()  # other rows are skipped
    fields: dict[str, str | tuple[str, ...] | FieldRule] = {}
    constants: dict[str, Any] = {}
    times: dict[str, TimeRule] = {}
    amounts: dict[str, tuple[Amount, ...]] = {}
    record_id: RecordId = msgspec.field(default_factory=RecordId)
    records: tuple[RecordRule, ...] = ()

    def rules(self) -> list[RecordRule]:
        """The kinds of records, each with what the mapping says for all: its own word counts before the common one."""
        if not self.records:
            fields, constants, times, amounts = self._common(self.record_type)
            return [
                RecordRule(
                    self.record_type,
                    fields=fields,
                    constants=constants,
                    times=times,
                    amounts=amounts,
                    record_id=self.record_id,
                )
            ]
        rules = []
        for rule in self.records:
            said = {*rule.leave_out, *rule.fields, *rule.constants, *rule.times, *rule.amounts}
            fields, constants, times, amounts = (
                {name: value for name, value in shared.items() if name not in said}
                for shared in self._common(rule.record_type)
            )
            rules.append(
                msgspec.structs.replace(
                    rule,
                    fields=fields | rule.fields,
                    constants=constants | rule.constants,
                    times=times | rule.times,
                    amounts=amounts | rule.amounts,
                )
            )
        return rules

    def named_columns(self) -> list[str]:
        """Every column the mapping speaks of, in order."""
        found: dict[str, None] = dict.fromkeys([self.app_column, *self.json, *_of_conditions(self.only)])
        for rule in self.rules():
            found |= dict.fromkeys([*_of_conditions(rule.when), *(rule.properties or ())])
            for sources in rule.fields.values():
                found |= dict.fromkeys(field_columns(sources))
            for moment in rule.times.values():
                found |= dict.fromkeys(moment.sources)
            for alternatives in rule.amounts.values():
                found |= dict.fromkeys(name for a in alternatives for name in (a.amount, a.currency))
            fields = {"record_type", "currency", *rule.fields, *rule.constants, *rule.times, *rule.amounts}
            keyed = (*rule.record_id.columns, *rule.record_id.key, *rule.record_id.copies)
            found |= dict.fromkeys(name for name in keyed if name not in fields)
        found.pop("", None)
        return list(found)

    def _common(self, record_type: str) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any], dict[str, Any]]:
        if not self.records:
            return self.fields, self.constants, self.times, self.amounts
        names = {f.name for f in sender_fields(record_type)}
        fields, constants, times, amounts = (
            {name: value for name, value in part.items() if name in names}
            for part in (self.fields, self.constants, self.times, self.amounts)
        )
        return fields, constants, times, amounts


def as_claims(mapping: MappingFile) -> MappingFile:
    """The mapping that keeps what a vendor says of installs as claims: compared with ours, counted nowhere.

    Only installs become records; their ids are others than those of the same rows imported as installs.
    """
    installs = [rule for rule in mapping.rules() if rule.record_type == "install"]
    if not installs or not all(rule.record_id.key for rule in installs):
        raise MappingError("claims are made of installs whose record_id has a key; the mapping makes none.")
    rules = []
    for rule in mapping.records or mapping.rules():
        if rule.record_type == "install":
            claimed = msgspec.structs.replace(rule.record_id, key=("environment", *rule.record_id.key))
            constants = rule.constants | {"environment": CLAIMS}
            rules.append(msgspec.structs.replace(rule, constants=constants, record_id=claimed))
        elif not rule.also:
            rules.append(msgspec.structs.replace(rule, skip=True))
    return msgspec.structs.replace(mapping, records=tuple(rules), record_type="")


def field_columns(rule: str | tuple[str, ...] | FieldRule) -> tuple[str, ...]:
    """The columns a field is taken from, in their order."""
    if isinstance(rule, str):
        return (rule,)
    return rule.columns if isinstance(rule, FieldRule) else rule


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
    try:
        _check(mapping)
    except ValueError as error:
        raise MappingError(f"mapping {path.name} is wrong: {error}.") from None
    return mapping


def check_zone(name: str) -> None:
    """ValueError if this is not an IANA time zone."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"No time zone found with key {name}") from None


def _check(mapping: MappingFile) -> None:
    if bool(mapping.record_type) == bool(mapping.records):
        raise ValueError("it needs either `record_type` or `[[records]]`")
    if mapping.app_id and mapping.app_column:
        raise ValueError("it needs one of `app_id` and `app_column`, not both")
    if mapping.delimiter != "whitespace" and len(mapping.delimiter) != 1:
        raise ValueError("delimiter is one character or `whitespace`")
    if mapping.zone is not None:
        check_zone(mapping.zone)
    rules = mapping.rules()
    _check_common(mapping, {f.name for rule in mapping.records for f in sender_fields(rule.record_type)})
    for name in mapping.required:
        if name not in _KINDS:
            raise ValueError(f"required: there is no field {name}")
    for place, rule in enumerate(rules, start=1):
        prefix = f"records {place}: " if mapping.records else ""
        try:
            _check_rule(rule)
        except ValueError as error:
            raise ValueError(f"{prefix}{error}") from None
    for condition in (*mapping.only, *(c for rule in rules for c in rule.when)):
        _check_condition(condition)
    if mapping.records and all(rule.also for rule in rules):
        raise ValueError("records: one of them must not be `also`")
    spellings = [name for names in mapping.aliases.values() for name in names]
    if twice := sorted({name for name in spellings if spellings.count(name) > 1}):
        raise ValueError(f"aliases: {twice[0]} stands for two columns")


def _check_common(mapping: MappingFile, names: set[str]) -> None:
    if not mapping.records:
        return
    for name in (*mapping.fields, *mapping.constants, *mapping.times, *mapping.amounts):
        if name not in names:
            raise ValueError(f"none of its records has a field {name}")
    if mapping.record_id != RecordId():
        raise ValueError("record_id belongs to each of `[[records]]`")


def _check_rule(rule: RecordRule) -> None:
    if rule.record_type not in RECORD_TYPES:
        raise ValueError(f"{rule.record_type} is not a record type")
    known = {f.name for f in sender_fields(rule.record_type)} - {"app_id", "record_id", "record_type", "properties"}
    for name in rule.leave_out:
        if name not in known:
            raise ValueError(f"leave_out: {rule.record_type} has no field {name}")
    given = [*rule.fields, *rule.constants, *rule.times, *rule.amounts]
    for name in given:
        if name not in known:
            raise ValueError(f"{rule.record_type} has no field {name}")
        if given.count(name) > 1:
            raise ValueError(f"{name} is mapped twice")
    for name, source in rule.fields.items():
        _check_field(name, source)
    for name, moment in rule.times.items():
        _check_time(name, moment)
    for name, alternatives in rule.amounts.items():
        if _KINDS[name] is not Kind.MONEY:
            raise ValueError(f"amounts.{name} is no amount of money")
        if not alternatives or any(bool(a.currency) == bool(a.currency_is) for a in alternatives):
            raise ValueError(f"amounts.{name} needs `amount` and one of `currency` and `currency_is`")
    if rule.amounts and ("currency" in {*rule.fields, *rule.constants} or len(rule.amounts) > 1):
        raise ValueError("currency is given by one entry of amounts and cannot be mapped again")
    identity = rule.record_id
    if identity.columns and (identity.key or identity.copies):
        raise ValueError("record_id has either `columns` or `key`")
    if identity.copies and not identity.key:
        raise ValueError("record_id.copies needs record_id.key")


def _check_field(name: str, rule: str | tuple[str, ...] | FieldRule) -> None:
    if not field_columns(rule):
        raise ValueError(f"fields.{name} names no column")
    if _KINDS[name] in {Kind.INSTANT, Kind.DATE}:
        raise ValueError(f"fields.{name} is a time and belongs under [times.{name}]")
    if isinstance(rule, FieldRule) and rule.otherwise is not None and not rule.values:
        raise ValueError(f"fields.{name}.otherwise needs fields.{name}.values")
    if isinstance(rule, FieldRule) and rule.pattern is not None:
        try:
            re.compile(rule.pattern)
        except re.error as error:
            raise ValueError(f"fields.{name}.pattern: {error}") from None


def _check_time(name: str, rule: TimeRule) -> None:
    if _KINDS[name] not in {Kind.INSTANT, Kind.DATE}:
        raise ValueError(f"{name} is no time")
    if not rule.sources:
        raise ValueError(f"times.{name} names no column")
    if rule.format is not None and rule.unit is not None:
        raise ValueError(f"times.{name} has either `format` or `unit`")
    try:
        if rule.zone is not None:
            check_zone(rule.zone)
        time.fromisoformat(rule.time_of_day or "00:00")
    except ValueError as error:
        raise ValueError(f"times.{name}: {error}") from None


def _check_condition(condition: Condition) -> None:
    said = [condition.is_ is not None, condition.is_not is not None, condition.given is not None]
    if sum(said) != 1:
        raise ValueError(f"the condition on {condition.column} needs one of `is`, `is_not` and `given`")


def _of_conditions(conditions: Iterable[Condition]) -> list[str]:
    return [condition.column for condition in conditions]


def json_text(value: Any) -> str:
    """JSON of a constant of a mapping."""
    return json.dumps(value, default=str)


def spelling(name: str) -> str:
    """A column name without what its spellings differ in: case, blanks and signs."""
    return re.sub(r"[^0-9a-z]+", "_", name.lower()).strip("_")


def spellings(mapping: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Every accepted spelling, reduced, and the column it stands for."""
    found = {spelling(other): name for name, others in mapping.items() for other in others}
    return found | {spelling(name): name for name in mapping}
