"""Where the records of an import come from: a file through a mapping, or NDJSON of contract records as they are.

Both give chunks of one app, with what is needed to tell people which row, column and value is meant. Checking and
storing them is `ingestion.importer`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from ingestion.import_report import ImportResult
from ingestion.mapping import MappingError, MappingFile, as_claims, check_zone, field_columns, load_mapping
from ingestion.reasons import Reject, Rejected, reject
from ingestion.row_keys import Occurrences, repeated_keys
from ingestion.row_records import RowRecord, RowRecords
from ingestion.rows import Rows, read_lines, read_rows
from lakehouse.apps import load_apps
from lakehouse.settings import Settings

PROGRESS_SECONDS: Final = 0.5
FRAME_ROWS: Final = 2_000
_VALUE_LENGTH: Final = 120


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What the caller says beside the mapping.

    `app_id` takes the place of the app of the mapping or of its column, `zone` (IANA) that of the zone of its times.
    With `is_one_export` the parts of the file (each begins with a header line) are parts of one export, so equal rows
    of different parts are rows of their own, and not the same rows exported twice. With `as_claims` the installs of
    the file are kept as what a vendor says, to be compared; they count nowhere, and other rows are skipped.
    """

    app_id: str = ""
    zone: str = ""
    is_one_export: bool = False
    as_claims: bool = False


@dataclass(slots=True)
class Chunk:
    """Records of one app on their way to the validator, in the order of their rows, and rows that made none.

    `rows` says for every line which row it came from; rows are numbered as in `raws`, `positions` and `lines`.
    """

    records: list[bytes] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    raws: Sequence[bytes] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    rejects: list[tuple[Reject, int]] = field(default_factory=list)  # with the line
    skipped: int = 0
    share: float = 0.0
    source: Rows | None = None


class MappedFile:
    """The records of a file through a mapping."""

    def __init__(
        self,
        settings: Settings,
        path: Path,
        mapping: str,
        options: ImportOptions,
        result: ImportResult,
        progress: Callable[[str], None],
    ) -> None:
        self._settings, self._path, self._result = settings, path, result
        self._options, self._progress = options, progress
        self._mapping = _declared(mapping, options)
        apps = self._apps = load_apps(settings).apps
        app_id = options.app_id or self._mapping.app_id
        if app_id and app_id not in apps:
            raise MappingError(f"app {app_id} is not registered; add it with `unmogrowp app`.")
        if not app_id and not self._mapping.app_column:
            raise MappingError("the mapping names no app; say which app with `--app`.")
        self._records = RowRecords(settings, self._mapping, apps, app_id)

    def close(self) -> None:
        self._records.close()

    def chunks(self, *, count_occurrences: bool) -> Iterator[tuple[str, Chunk]]:
        """Chunks by app; ids are told apart by their occurrence only if asked, which reads the file twice."""
        occurrences = Occurrences(frozenset())
        if count_occurrences and self._records.has_composed_ids:
            keys = (
                key
                for rows in self._read("looked at", self._records.key_columns)
                for key in self._records.keys(rows, self._block(rows))
            )
            occurrences = Occurrences(repeated_keys(self._settings, keys))
        known = set(self._mapping.named_columns()) | set(self._mapping.aliases)
        for rows in self._read(""):
            self._result.blocks = rows.block + 1
            unknown = self._result.unknown_columns
            unknown += [name for name in rows.names if name not in known and name not in unknown]
            converted = self._records.convert(rows, self._block(rows), occurrences)
            early = [(_refused(bad.position, bad.line, bad.raw, bad.verdict), bad.line) for bad in rows.bad]
            early += [
                (_refused(rows.positions[place], rows.lines[place], rows.raws[place], verdict), rows.lines[place])
                for place, verdict in converted.bad.items()
            ]
            yield from self._by_app(rows, converted.records, early, converted.skipped)

    def _by_app(
        self, rows: Rows, records: Sequence[RowRecord], early: list[tuple[Reject, int]], skipped: int
    ) -> Iterator[tuple[str, Chunk]]:
        waiting: dict[str, Chunk] = {}
        for record in records:
            app_id = record.app_id if record.app_id in self._apps else ""
            chunk = waiting.get(app_id)
            if chunk is None:
                chunk = waiting[app_id] = self._empty(rows)
            chunk.records.append(record.line)
            chunk.rows.append(record.place)
            chunk.labels.append(self._records.rules[record.rule].label)
        if early or skipped:
            app_id = next(iter(waiting), self._options.app_id or self._mapping.app_id)
            chunk = waiting.setdefault(app_id, self._empty(rows))
            chunk.rejects, chunk.skipped = early, skipped
        yield from waiting.items()

    def _empty(self, rows: Rows) -> Chunk:
        return Chunk(raws=rows.raws, positions=rows.positions, lines=rows.lines, share=rows.share, source=rows)

    def _read(self, doing: str, wanted: frozenset[str] | None = None) -> Iterator[Rows]:
        told = time.monotonic()
        count = 0
        for rows in read_rows(self._path, self._mapping, wanted):
            count += len(rows)
            if doing and time.monotonic() - told > PROGRESS_SECONDS:
                told = time.monotonic()
                self._progress(f"{rows.share:.0%} of the file {doing}, {count:,} rows")
            yield rows

    def _block(self, rows: Rows) -> int:
        return 0 if self._options.is_one_export else rows.block

    def blame(self, refused: Reject, rows: Rows | None) -> tuple[str | None, str | None]:
        """Column and value of the row that made the field which was refused."""
        if rows is None or refused.field is None or refused.position not in rows.positions:
            return None, None
        place = rows.positions.index(refused.position)
        for rule in self._records.rules_of(place):
            sources: list[str] = []
            if refused.field in rule.fields:
                sources = list(field_columns(rule.fields[refused.field]))
            elif refused.field in rule.times:
                sources = list(rule.times[refused.field].sources)
            else:
                for name, alternatives in rule.amounts.items():
                    if refused.field in {name, "currency"}:
                        sources = [a.amount if refused.field == name else a.currency for a in alternatives]
            for source in sources:
                if source in rows.columns and (value := rows.columns[source][place].as_py()) not in (None, ""):
                    return source, str(value)[:_VALUE_LENGTH]
            if sources:
                return sources[0], None
        if refused.field == "app_id":
            column = self._mapping.app_column
            value = rows.columns[column][place].as_py() if column in rows.columns else None
            return column or None, value
        return None, None

    def told(self, labels: Counter[str]) -> tuple[dict[str, int], dict[str, int]]:
        """Rows by what they were recognised as, and records by type."""
        records: Counter[str] = Counter()
        for rule in {rule.label: rule for rule in self._records.rules}.values():
            records[rule.record_type] += labels[rule.label]
        mains = dict.fromkeys(rule.label for rule in self._records.rules if not rule.also)
        return {label: labels[label] for label in mains if labels[label]}, dict(sorted((+records).items()))


def _refused(position: int, line: int, raw: bytes, verdict: Rejected) -> Reject:
    return reject(position, raw, Rejected(verdict.code, f"line {line}: {verdict.message}", verdict.field))


class _Envelope(msgspec.Struct):
    app_id: str = ""
    record_type: str = ""


class NativeFile:
    """Contract records by app; a record whose app cannot be read or is not registered goes to the app ""."""

    def __init__(self, settings: Settings, path: Path) -> None:
        self._path = path
        self._known = load_apps(settings).apps

    def close(self) -> None:
        pass

    def chunks(self, *, count_occurrences: bool) -> Iterator[tuple[str, Chunk]]:
        decode = msgspec.json.Decoder(_Envelope).decode
        waiting: dict[str, Chunk] = {}
        for position, number, line, share in read_lines(self._path):
            try:
                envelope = decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                envelope = _Envelope()
            app_id = envelope.app_id if envelope.app_id in self._known else ""
            chunk = waiting.get(app_id)
            if chunk is None:
                chunk = waiting[app_id] = Chunk()
            chunk.rows.append(len(chunk.records))
            chunk.records.append(line)
            chunk.labels.append(envelope.record_type)
            chunk.positions.append(position)
            chunk.lines.append(number)
            if len(chunk.records) >= FRAME_ROWS:
                chunk.share = share
                yield app_id, _with_raws(waiting.pop(app_id))
        for app_id, chunk in waiting.items():
            yield app_id, _with_raws(chunk)

    def blame(self, refused: Reject, rows: Rows | None) -> tuple[str | None, str | None]:
        return refused.field, None

    def told(self, labels: Counter[str]) -> tuple[dict[str, int], dict[str, int]]:
        return {}, dict(sorted(labels.items()))


def _with_raws(chunk: Chunk) -> Chunk:
    chunk.raws = chunk.records
    return chunk


def _declared(name: str, options: ImportOptions) -> MappingFile:
    mapping = load_mapping(name)
    if options.as_claims:
        mapping = as_claims(mapping)
    if options.zone:
        try:
            check_zone(options.zone)
        except ValueError as error:
            raise MappingError(f"the time zone is wrong: {error}.") from None
        mapping = msgspec.structs.replace(mapping, zone=options.zone)
    return mapping
