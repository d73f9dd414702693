"""Rows into contract records, a chunk at a time, inside DuckDB: the rules of a mapping compiled to SQL.

A row becomes the first kind of record whose conditions hold, and those beside it; columns that no field took become
`properties`. Whether a record is right is decided by the validator. Expressions for single columns are in
`ingestion.row_values`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import duckdb
import msgspec
import pyarrow as pa

from ingestion import row_values as sql
from ingestion.mapping import FieldRule, MappingError, MappingFile, RecordRule, TimeRule, field_columns, json_text
from ingestion.reasons import Rejected
from ingestion.row_keys import Occurrences
from ingestion.row_values import Columns, quote
from ingestion.rows import Rows
from lakehouse import engine
from lakehouse.apps import App
from lakehouse.contract import FIELDS
from lakehouse.settings import Settings

_FIELDS: Final = {f.name: f for f in FIELDS}
_SKIPPED: Final = -2
_UNMATCHED: Final = -1
_CURRENCY: Final = "currency"


@dataclass(slots=True)
class RowRecord:
    """A record made from a row; `place` is the number of the row in its chunk, `rule` that of the record's kind."""

    place: int
    rule: int
    app_id: str
    line: bytes


@dataclass(slots=True)
class Converted:
    """What became of a chunk: records in the order of their rows, rows with a value that cannot be converted."""

    records: list[RowRecord] = field(default_factory=list)
    bad: dict[int, Rejected] = field(default_factory=dict)
    skipped: int = 0


class RowRecords:
    """A mapping ready for use on one file."""

    def __init__(self, settings: Settings, mapping: MappingFile, apps: Mapping[str, App], app_id: str = "") -> None:
        """`app_id` takes the place of what the mapping says. MappingError if DuckDB does not know a format of it."""
        self.rules = mapping.rules()
        self._mapping = mapping
        self._app = app_id or mapping.app_id
        self._apps = apps
        self._connection = engine.connect(settings, layers=())
        self._connection.execute(sql.MACROS)
        self._check_formats()
        self._kinds: list[int] = []
        self._present: set[int] = set()

    def close(self) -> None:
        self._connection.close()

    @property
    def has_composed_ids(self) -> bool:
        """True if ids count occurrences."""
        return any(not rule.record_id.columns for rule in self.rules)

    @property
    def key_columns(self) -> frozenset[str] | None:
        """The columns that ids and kinds are made from; None if all."""
        if any(not rule.record_id.columns and not rule.record_id.key for rule in self.rules):
            return None
        return frozenset(self._mapping.named_columns()) - set(self._mapping.json) | {
            name for rule in self.rules for name in rule.record_id.key
        }

    def keys(self, rows: Rows, block: int) -> Iterator[pa.Array]:
        """What tells occurrences apart, of all records of a chunk whose ids count them."""
        columns, _ = self._register(rows)
        for number, rule in enumerate(self.rules):
            if not rule.record_id.columns and self._has(number):
                text = f"{quote(_scope(block, number))} || {self._key(columns, rule)} || {_copies(columns, rule)}"
                found = self._run(columns, f"select {text} as k", number)
                yield found.column(0).combine_chunks().cast(pa.string())

    def convert(self, rows: Rows, block: int, occurrences: Occurrences) -> Converted:
        """The records of a chunk."""
        columns, kinds = self._register(rows)
        result = Converted(skipped=kinds.count(_SKIPPED))
        for place, kind in enumerate(kinds):
            if kind == _UNMATCHED:
                result.bad[place] = Rejected("invalid_row", "the row is of no kind that the mapping knows")
        for number, rule in enumerate(self.rules):
            if self._has(number):
                self._convert_rule(columns, number, rule, block, occurrences, result)
        if len(self.rules) > 1:
            result.records.sort(key=lambda r: (r.place, r.rule))
        if result.bad:
            result.records = [record for record in result.records if record.place not in result.bad]
        return result

    def rules_of(self, place: int) -> list[RecordRule]:
        """The kinds of records that a row of the chunk at hand may have become, its own first."""
        own = [self.rules[self._kinds[place]]] if self._kinds[place] >= 0 else []
        return own + [rule for rule in self.rules if rule.also]

    def _convert_rule(
        self, columns: Columns, number: int, rule: RecordRule, block: int, occurrences: Occurrences, result: Converted
    ) -> None:
        identity = self._key(columns, rule)
        shown = (
            f"select place, {self._app_expression(columns)} as app, {identity} as id, "
            f"{_copies(columns, rule)} as copies, "
            f"{self._problem(columns, rule)} as problem, {self._body(columns, rule)} as body"
        )
        found = self._run(columns, shown, number)
        places, apps, ids, copies, problems = (found.column(i).to_pylist() for i in range(5))
        bodies = found.column(5).cast(pa.binary()).to_pylist()
        counted, scope = not rule.record_id.columns, _scope(block, number)
        keep, count, encode = result.records.append, occurrences.number, msgspec.json.encode
        for place, app, key, copy, problem, body in zip(places, apps, ids, copies, problems, bodies, strict=True):
            if problem is not None:
                result.bad.setdefault(place, self._explain(rule, problem))
                continue
            record_id = b'"%b-%d"' % (key.encode(), count(f"{scope}{key}{copy}")) if counted else encode(key)
            keep(RowRecord(place, number, app, b'{"record_id":%b,"app_id":%b,%b}' % (record_id, encode(app), body)))

    def _register(self, rows: Rows) -> tuple[Columns, list[int]]:
        """Make a chunk known to the connection with the kind of every row; the kinds."""
        columns = Columns(rows)
        table = columns.table(rows)
        if len(self.rules) == 1 and not self.rules[0].when and not self._mapping.only:
            self._connection.register("chunk", table.append_column("kind", pa.array([0] * len(rows), pa.int32())))
            self._kinds, self._present = [0] * len(rows), {0} if len(rows) else set()
            return columns, self._kinds
        self._connection.register("chunk", table)
        mains = [(n, rule) for n, rule in enumerate(self.rules) if not rule.also]
        cases = " ".join(
            f"when {sql.holds(columns, rule.when)} then {_SKIPPED if rule.skip else n}" for n, rule in mains
        )
        kind = f"case when not ({sql.holds(columns, self._mapping.only)}) then {_SKIPPED} {cases} else {_UNMATCHED} end"
        also = [f"{sql.holds(columns, rule.when)} as also_{n}" for n, rule in enumerate(self.rules) if rule.also]
        shown = ", ".join([f"({kind})::integer as kind", *also])
        marks = self._connection.sql(f"select {shown} from chunk").to_arrow_table()
        self._connection.unregister("chunk")
        for place, name in enumerate(marks.column_names):
            table = table.append_column(name, marks.column(place))
        self._connection.register("chunk", table)
        kinds: list[int] = marks.column("kind").to_pylist()
        self._kinds = kinds
        present = set(kinds)
        self._present = {n for n, _ in mains if n in present}
        self._present |= {
            n for n, rule in enumerate(self.rules) if rule.also and any(marks.column(f"also_{n}").to_pylist())
        }
        return columns, kinds

    def _has(self, number: int) -> bool:
        return number in self._present

    def _run(self, columns: Columns, shown: str, number: int) -> pa.Table:
        wanted = f"also_{number} and kind >= 0" if self.rules[number].also else f"kind = {number}"
        values = [f"{value} as {_safe(name)}" for name, value in self._values(columns, self.rules[number]).items()]
        # Values are made once, below what is made of them: DuckDB would plan and compute each use of them again.
        query = f"{shown} from (select {', '.join(['*', *values])} from chunk where {wanted}) order by place"
        return self._connection.sql(query).to_arrow_table()

    def _app_expression(self, columns: Columns) -> str:
        if self._app:
            return quote(self._app)
        text = f"trim(coalesce({columns.text(self._mapping.app_column)}, ''))"
        cases = " ".join(
            f"when {quote(name)} then {quote(app.app_id)}"
            for app in self._apps.values()
            for name in dict.fromkeys([app.app_id, app.store_id, f"id{app.store_id}"])
            if name not in {"", "id"}
        )
        return f"case {text} {cases} else {text} end" if cases else text

    def _values(self, columns: Columns, rule: RecordRule) -> dict[str, str]:
        """Every field that is not constant as a normal value."""
        values: dict[str, str] = {}
        for name, source in rule.fields.items():
            text = columns.first(field_columns(source))
            if text == sql.NULL:
                values[name] = text
                continue
            if isinstance(source, FieldRule):
                text = sql.translated(text, source)
            values[name] = sql.normal(text, _FIELDS[name], self._mapping.decimal)
        for name, moment in rule.times.items():
            values[name] = self._moment(columns, name, moment)
        for name, alternatives in rule.amounts.items():
            amounts, currencies = [], []
            for given in alternatives:
                amount = columns.text(given.amount)
                currency = columns.text(given.currency) if given.currency else quote(given.currency_is)
                currency = f"nullif(upper(trim({currency})), '')"
                is_whole = f"{amount} is not null and {currency} is not null"
                amounts.append(f"when {is_whole} then {amount}")
                currencies.append(f"when {is_whole} then {currency}")
            rest = columns.first(given.amount for given in alternatives)
            text = f"case {' '.join(amounts)} else {rest} end"
            values[name] = sql.normal(text, _FIELDS[name], self._mapping.decimal)
            values[_CURRENCY] = f"case {' '.join(currencies)} end"
        return values

    def _moment(self, columns: Columns, name: str, rule: TimeRule) -> str:
        is_temporal = all(columns.is_temporal(source) for source in rule.sources if source in columns.names)
        text = columns.first(rule.sources)
        if text == sql.NULL:
            return text
        return sql.moment(text, rule, self._mapping.zone, _FIELDS[name], is_temporal=is_temporal)

    def _body(self, columns: Columns, rule: RecordRule) -> str:
        """The members of the JSON object behind record_id and app_id."""
        constants = {"record_type": rule.record_type} | rule.constants
        parts = [quote(f"{json_text(name)}:{json_text(value)}") for name, value in constants.items()]
        for name, value in self._values(columns, rule).items():
            if value != sql.NULL:
                parts.append(f"{quote(json_text(name) + ':')} || {sql.encoded(_safe(name), _FIELDS[name])}")
        taken = _taken(rule)
        kept = [name for name in columns.names if name not in taken]
        if rule.properties is not None:
            kept = [name for name in columns.names if name in rule.properties]
        if kept:
            objects = set(self._mapping.json)
            members = ", ".join(
                f"{quote(json_text(name) + ':')} || {columns.json(name, may_be_object=name in objects)}"
                for name in kept
            )
            parts.append(f"""'"properties":{{' || nullif(concat_ws(',', {members}), '') || '}}'""")
        return f"concat_ws(',', {', '.join(parts)})"

    def _key(self, columns: Columns, rule: RecordRule) -> str:
        """Id of a row: its unique columns, or the hash of its key."""
        identity = rule.record_id
        if identity.columns:
            texts = [columns.text(name) for name in identity.columns]
            joined = " || '|' || ".join(f"coalesce({text}, '')" for text in texts)
            return f"case when coalesce({', '.join([*texts, 'null'])}) is null then '' else {joined} end"
        values = {name: quote(str(value)) for name, value in rule.constants.items()}
        values |= {name: _safe(name) for name in self._values(columns, rule)}
        values["record_type"] = quote(rule.record_type)
        names = identity.key or sorted(columns.names)
        texts = [values[name] if identity.key and name in values else columns.text(name) for name in names]
        app = self._app_expression(columns)
        parts = ", ".join(f"{quote(name)} || chr(31) || {text}" for name, text in zip(names, texts, strict=True))
        return f"sha256(concat_ws(chr(30), {app}, {parts or 'null'}))[:32]"

    def _problem(self, columns: Columns, rule: RecordRule) -> str:
        """Name and text of the first time that cannot be read, or name of a missing field; null if there is none."""
        values = self._values(columns, rule)
        cases = [
            f"when {_safe(name) if name in values else sql.NULL} is null then {quote(name)}"
            for name in self._mapping.required
        ]
        for name, moment in rule.times.items():
            text = columns.first(moment.sources)
            if text != sql.NULL:
                told = quote(f"{name}\x1f")
                cases.insert(0, f"when {_safe(name)} is null and trim({text}) <> '' then {told} || {text}")
        return f"case {' '.join(cases)} end" if cases else sql.NULL

    def _explain(self, rule: RecordRule, problem: str) -> Rejected:
        name, is_time, text = problem.partition("\x1f")
        if not is_time:
            return Rejected("missing_field", f"{name} is required", name)
        moment = rule.times[name]
        zone = moment.zone or self._mapping.zone
        if zone is not None and moment.unit is None and _is_time(text.strip(), moment.format):
            reason = f"{text} does not exist in {zone}, where clocks go forward; check the time zone of the export"
        else:
            form = moment.format or (f"Unix time in {moment.unit}" if moment.unit else "YYYY-MM-DD HH:MM:SS")
            reason = f"{text} is no time of the form {form}"
        return Rejected("invalid_timestamp", f"{name}: {reason}", name)

    def _check_formats(self) -> None:
        for rule in self.rules:
            formats = [("try_strptime", name, moment.format) for name, moment in rule.times.items()]
            patterns = [
                ("regexp_full_match", name, source.pattern)
                for name, source in rule.fields.items()
                if isinstance(source, FieldRule)
            ]
            for function, name, text in (*formats, *patterns):
                if text is not None:
                    try:
                        self._connection.execute(f"select {function}('', ?)", [text]).fetchall()
                    except duckdb.Error as error:
                        raise MappingError(f"the mapping is wrong: {name}: {str(error).splitlines()[0]}.") from None


def _is_time(text: str, form: str | None) -> bool:
    try:
        if form:
            datetime.strptime(text, form)  # noqa: DTZ007 - asked for its form only
        else:
            datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _taken(rule: RecordRule) -> set[str]:
    """Columns that a field holds as they are, so that `properties` need not."""
    taken = {source for source in rule.fields.values() if isinstance(source, str)}
    taken |= {moment.sources[0] for moment in rule.times.values() if len(moment.sources) == 1}
    return taken | {source[0] for source in rule.fields.values() if isinstance(source, tuple) and len(source) == 1}


def _safe(field: str) -> str:
    return f"v_{field}"


def _scope(block: int, number: int) -> str:
    return f"{block}:{number}:"


def _copies(columns: Columns, rule: RecordRule) -> str:
    """What tells copies of one thing apart, so that they are not taken for its occurrences."""
    texts: Sequence[Any] = [f"coalesce({columns.text(name)}, '')" for name in rule.record_id.copies]
    return f"':' || md5({' || chr(31) || '.join(texts)})" if texts else "''"
