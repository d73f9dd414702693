"""What becomes of single columns, as DuckDB expressions: numbers, truth values, ids, times, translations.

Only text of SQL is made here, and no rule of the contract is decided: what cannot be converted stays as it is for the
validator to refuse, or becomes null where `ingestion.row_records` asks why. Which column is which field is there too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import pyarrow as pa

from ingestion.mapping import Condition, FieldRule, TimeRule
from ingestion.rows import Rows
from lakehouse.contract import Field, Kind

NULL: Final = "null::varchar"
_NUMBER: Final = r"-?(0|[1-9]\d*)(\.\d+)?"
_COMMA_NUMBER: Final = r"-?(\d{1,3}(\.\d{3})+|\d+)(,\d+)?"
_TRUE: Final = ("true", "t", "1", "yes", "y")
_FALSE: Final = ("false", "f", "0", "no", "n")
_ISO: Final = r"\d{4}-\d{1,2}-\d{1,2}([ T]\d{1,2}:\d{2}(:\d{2}(\.\d{1,9})?)?( ?(Z|z|UTC|[+-]\d{2}(:?\d{2})?))?)?"
_OFFSET: Final = r":\d{2}(\.\d+)? ?(Z|z|UTC|[+-]\d{2}(:?\d{2})?)$"
_TICKS: Final = {"s": 1_000_000, "ms": 1_000, "us": 1}
_MOST_MICROS: Final = 100_000_000_000_000_000  # year 5138: beyond what is accepted, and far from an overflow
_IDS: Final = frozenset({Kind.ID, Kind.DEVICE_ID})

# `moment_in(naive, zone)`: the instant of a local time. Of two (clocks go back) the earlier, of none (clocks go
# forward) null. DuckDB itself takes the later one and shifts the missing one; the offset three hours before tells them.
MACROS: Final = """
create or replace temp macro moment_before(naive, zone, taken) as
    timezone('UTC', naive - (timezone(zone, taken - interval 3 hour) - timezone('UTC', taken - interval 3 hour)));
create or replace temp macro moment_checked(naive, zone, taken, before) as
    case when timezone(zone, before) = naive then least(taken, before)
         when timezone(zone, taken) = naive then taken end;
create or replace temp macro moment_in(naive, zone) as
    moment_checked(naive, zone, timezone(zone, naive), moment_before(naive, zone, timezone(zone, naive)));
"""


def quote(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


class Columns:
    """The columns of a chunk as SQL: each by a safe name, absent ones as null."""

    def __init__(self, rows: Rows) -> None:
        self.names = list(rows.columns)
        self._safe = {name: f"c{place}" for place, name in enumerate(self.names)}
        self._types = {name: column.type for name, column in rows.columns.items()}
        self._json = rows.json

    def table(self, rows: Rows) -> pa.Table:
        """The chunk under the safe names, with `place`, the number of the row in the chunk."""
        arrays = [pa.array(range(len(rows)), pa.int32()), *rows.columns.values()]
        return pa.Table.from_arrays(arrays, names=["place", *(self._safe[name] for name in self.names)])

    def text(self, name: str) -> str:
        """The value as text."""
        if name not in self._safe:
            return NULL
        safe, kind = self._safe[name], self._types[name]
        if name in self._json:
            return f"({safe}::json ->> '$')"
        if pa.types.is_nested(kind):
            return f"to_json({safe})::varchar"
        return safe if self._is_text(name) else f"{safe}::varchar"

    def json(self, name: str, *, may_be_object: bool) -> str:
        """The value as JSON text; a text that is a JSON object stays one if it may."""
        safe = self._safe[name]
        if name in self._json:
            return safe
        if may_be_object and self._is_text(name):
            is_object = f"ltrim({safe})[1] = '{{' and json_valid({safe})"
            return f"case when {is_object} then json({safe})::varchar else to_json({safe})::varchar end"
        return f"to_json({safe})::varchar"

    def is_temporal(self, name: str) -> bool:
        """True if the file itself says that the column is a time."""
        return name in self._types and pa.types.is_temporal(self._types[name])

    def first(self, names: Iterable[str]) -> str:
        """The first of several columns that is not blank, as text."""
        present = [self.text(name) for name in names if name in self._safe]
        return present[0] if len(present) == 1 else f"coalesce({', '.join(present)})" if present else NULL

    def _is_text(self, name: str) -> bool:
        kind = self._types[name]
        return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def holds(columns: Columns, conditions: Sequence[Condition]) -> str:
    """A condition that is never null."""
    return " and ".join(_holds(columns, c) for c in conditions) or "true"


def _holds(columns: Columns, condition: Condition) -> str:
    text = columns.text(condition.column)
    if condition.given is not None:
        return f"(trim(coalesce({text}, '')) <> '') = {str(condition.given).lower()}"
    values = condition.is_ if condition.is_ is not None else condition.is_not or ()
    listed = ", ".join(quote(value.strip().lower()) for value in values)
    word = "in" if condition.is_ is not None else "not in"
    return f"lower(trim(coalesce({text}, ''))) {word} ({listed})"


def translated(text: str, rule: FieldRule) -> str:
    """A value through the table and the pattern of its rule."""
    if rule.values:
        cases = " ".join(f"when {quote(k.lower())} then {quote(v)}" for k, v in rule.values.items())
        otherwise = text if rule.otherwise is None else f"case when {text} is not null then {quote(rule.otherwise)} end"
        text = f"nullif(case lower(trim({text})) {cases} else {otherwise} end, '')"
    if rule.pattern is not None:
        text = f"case when regexp_full_match(trim({text}), {quote(rule.pattern)}) then {text} end"
    return text


def number(text: str, decimal: str) -> str:
    """A number in its shortest form; anything else as it is."""
    plain = f"trim({text})"
    if decimal == ",":
        digits = f"replace(replace({plain}, '.', ''), ',', '.')"
        # The validator would take 1.5 as it stands, so what has no decimal comma is made unreadable for it.
        other = f"{text} || ' (a decimal comma is expected)'"
        return f"case when regexp_full_match({plain}, '{_COMMA_NUMBER}') then {_shortest(digits)} else {other} end"
    return f"case when regexp_full_match({plain}, '{_NUMBER}') then {_shortest(plain)} else {text} end"


def _shortest(digits: str) -> str:
    return f"case when contains({digits}, '.') then rtrim(rtrim({digits}, '0'), '.') else {digits} end"


def normal(text: str, field: Field, decimal: str) -> str:
    """The value of a field that is no time, in the form ids are made from."""
    if field.kind in {Kind.MONEY, Kind.INTEGER}:
        return number(text, decimal)
    if field.kind is Kind.BOOLEAN:
        true, false = (", ".join(map(quote, words)) for words in (_TRUE, _FALSE))
        return (
            f"case when lower(trim({text})) in ({true}) then 'true' "
            f"when lower(trim({text})) in ({false}) then 'false' else {text} end"
        )
    if field.kind in _IDS:
        kept = f"lower(trim({text}))" if field.kind is Kind.DEVICE_ID else f"trim({text})"
        return f"case when trim({text}, ' 0-\t') <> '' then {kept} end"
    return text


def encoded(value: str, field: Field) -> str:
    """JSON text of a normal value."""
    if field.kind in {Kind.MONEY, Kind.INTEGER}:
        return f"case when regexp_full_match({value}, '{_NUMBER}') then {value} else to_json({value})::varchar end"
    if field.kind is Kind.BOOLEAN:
        return f"case when {value} in ('true', 'false') then {value} else to_json({value})::varchar end"
    return f"to_json({value})::varchar"


def moment(text: str, rule: TimeRule, zone: str | None, field: Field, *, is_temporal: bool) -> str:
    """Text of an instant in UTC, or of a date; null if there is none, naive text if nothing says the zone."""
    plain = f"trim({text})"
    zone = rule.zone or zone
    aware = ""
    if rule.unit is not None and not is_temporal:
        ticks = f"try_cast(case when regexp_full_match({plain}, '-?\\d{{1,18}}') then {plain} end as bigint)"
        factor = _TICKS[rule.unit]
        naive = f"make_timestamp(case when abs({ticks}) <= {_MOST_MICROS // factor} then {ticks} * {factor} end)"
        zone = "UTC"
    elif rule.format is not None and not is_temporal:
        naive = f"try_strptime({plain}, {quote(rule.format)})"
        if "%z" in rule.format or "%Z" in rule.format:
            naive, zone = f"{naive}::timestamp", "UTC"
    else:
        naive = f"case when regexp_full_match({plain}, '{_ISO}') then try_cast({plain} as timestamp) end"
        if rule.time_of_day is None:
            instant = f"try_cast({plain} as timestamptz)::timestamp::varchar || 'Z'"
            aware = f"when regexp_matches({plain}, '{_OFFSET}') then {instant}"
    if field.kind is Kind.DATE:
        return f"({naive})::date::varchar"
    if rule.time_of_day is not None:
        naive = f"({naive})::date + time {quote(rule.time_of_day)}"
    if zone is None:
        local = f"({naive})::varchar"
    elif zone == "UTC":
        local = f"({naive})::varchar || 'Z'"
    else:
        local = f"moment_in({naive}, {quote(zone)})::timestamp::varchar || 'Z'"
    return f"case {aware} else {local} end" if aware else local
