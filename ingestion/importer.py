"""The file importer: rows of a file take the same way as requests, through the validator and a spool of their own.

What a column means is declared in a mapping; `native` takes NDJSON of contract records as they are. Memory is bounded
by chunks, whatever the size of the file.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec

from ingestion.frames import Request, encode_frame
from ingestion.landing import Lane
from ingestion.mapping import NATIVE, MappingError, RowMapper, load_mapping
from ingestion.reasons import Reject, Rejected, reject
from ingestion.row_keys import Occurrences, repeated_digests, row_digest
from ingestion.rows import BadRow, read_lines, read_rows
from ingestion.spool import Spool, SpoolFull, SpoolLocked
from ingestion.validator import Checked, Sender, Validator
from lakehouse.apps import load_apps
from lakehouse.settings import Settings

ROUTE: Final = "import"
_CHUNK_ROWS: Final = 2_000
_EXAMPLES: Final = 5
_SEGMENT_SECONDS: Final = 5.0
_LAND_SECONDS: Final = 3_600.0
_PROGRESS_SECONDS: Final = 0.5
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class ImportFailed(Exception):  # noqa: N818 - reads as what happened
    """The file could not be imported; one sentence. What was accepted before stays, and importing again is safe."""


@dataclass(slots=True)
class ImportResult:
    """What became of a file: `rows` = `accepted` + `rejected`; reasons by code, with the first few rejects."""

    file: str
    mapping: str
    is_dry_run: bool
    rows: int = 0
    accepted: int = 0
    rejected: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    examples: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class _Chunk:
    """Records on their way to the validator, of one app."""

    lines: list[bytes] = field(default_factory=list)
    raws: list[bytes] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)


def import_file(
    settings: Settings,
    path: Path,
    mapping: str,
    *,
    dry_run: bool = False,
    progress: Callable[[str], None] = lambda text: None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> ImportResult:
    """Import a file and return when its records are in bronze; with `dry_run`, only say what would become of it.

    `mapping` is `native`, the name of a shipped mapping or the path of a TOML file. ImportFailed with one sentence if
    the mapping is wrong, the file cannot be read, its app is not registered or another import runs on this home.
    """
    result = ImportResult(path.name, mapping, dry_run)
    try:
        chunks = _native_chunks(settings, path) if mapping == NATIVE else _mapped_chunks(settings, path, mapping)
        sink = _Counting() if dry_run else _Storing(settings)
        try:
            _run(settings, chunks, sink, result, progress, clock)
        finally:
            sink.close()
    except (MappingError, SpoolLocked) as error:
        raise ImportFailed(str(error)) from None
    except OSError as error:
        raise ImportFailed(f"{path.name} cannot be imported: {error.strerror or error}.") from error
    progress(f"{result.accepted:,} accepted, {result.rejected:,} rejected")
    return result


def _run(
    settings: Settings,
    chunks: Iterator[tuple[str, _Chunk]],
    sink: _Counting | _Storing,
    result: ImportResult,
    progress: Callable[[str], None],
    clock: Callable[[], datetime],
) -> None:
    validator = Validator(settings)
    known = load_apps(settings).apps
    import_id = f"import-{hashlib.blake2b(result.file.encode(), digest_size=6).hexdigest()}"
    reasons: Counter[str] = Counter()
    told = time.monotonic()
    for number, (app_id, chunk) in enumerate(chunks):
        now = clock()
        sender = Sender(known.keys() & {app_id}, known)
        checked = validator.check(chunk.lines, sender, now, raws=chunk.raws, positions=chunk.positions)
        checked.rejects = sorted([*checked.rejects, *chunk.rejects], key=lambda r: r.position)
        size = sum(map(len, chunk.raws)) + sum(r.raw_length for r in chunk.rejects)
        micros = (now - _EPOCH) // timedelta(microseconds=1)
        sink.put(Request(app_id or None, ROUTE, "import", f"{import_id}-{number:x}", micros, size), checked)
        result.accepted += checked.accepted
        result.rejected += len(checked.rejects)
        result.rows = result.accepted + result.rejected
        reasons.update(r.code for r in checked.rejects)
        room = _EXAMPLES - len(result.examples)
        result.examples += [
            {"position": r.position, "code": r.code, "field": r.field, "message": r.message}
            for r in checked.rejects[: max(0, room)]
        ]
        if time.monotonic() - told > _PROGRESS_SECONDS:
            told = time.monotonic()
            progress(f"{result.rows:,} rows, {result.rejected:,} rejected")
    result.reasons = dict(sorted(reasons.items()))


def _mapped_chunks(settings: Settings, path: Path, name: str) -> Iterator[tuple[str, _Chunk]]:
    mapping = load_mapping(name)
    if mapping.app_id not in load_apps(settings).apps:
        raise MappingError(f"app {mapping.app_id} is not registered; add it with `unmogrowp app`.")
    mapper = RowMapper(mapping)
    occurrences = Occurrences(frozenset())
    if not mapping.record_id.columns:
        rows = read_rows(path, mapping, mapper.columns)
        occurrences = Occurrences(
            repeated_digests(settings, (row_digest(row.values) for row in rows if not isinstance(row, BadRow)))
        )
    chunk = _Chunk()
    for row in read_rows(path, mapping, mapper.columns):
        try:
            if isinstance(row, BadRow):
                raise row.verdict
            record_id = mapper.given_id(row.values) or occurrences.record_id(row_digest(row.values))
            chunk.lines.append(mapper.to_record(row.values, record_id))
            chunk.raws.append(row.raw)
            chunk.positions.append(row.position)
        except Rejected as verdict:
            chunk.rejects.append(reject(row.position, row.raw, verdict))
        if len(chunk.lines) + len(chunk.rejects) >= _CHUNK_ROWS:
            yield mapping.app_id, chunk
            chunk = _Chunk()
    if chunk.lines or chunk.rejects:
        yield mapping.app_id, chunk


class _Envelope(msgspec.Struct):
    app_id: str = ""


def _native_chunks(settings: Settings, path: Path) -> Iterator[tuple[str, _Chunk]]:
    """Contract records by app; a record whose app cannot be read or is not registered goes to the app ""."""
    decode = msgspec.json.Decoder(_Envelope).decode
    known = load_apps(settings).apps
    waiting: dict[str, _Chunk] = {}
    for position, line in read_lines(path):
        try:
            app_id = decode(line).app_id
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            app_id = ""
        app_id = app_id if app_id in known else ""
        chunk = waiting.setdefault(app_id, _Chunk())
        chunk.lines.append(line)
        chunk.raws.append(line)
        chunk.positions.append(position)
        if len(chunk.lines) >= _CHUNK_ROWS:
            yield app_id, waiting.pop(app_id)
    yield from waiting.items()


class _Counting:
    """Where a dry run sends its frames."""

    def put(self, request: Request, checked: Checked) -> None:
        pass

    def close(self) -> None:
        pass


class _Storing:
    """The spool and the lane of imports."""

    def __init__(self, settings: Settings) -> None:
        self._lane = Lane(settings)
        self._lane.prepare()
        self._error: OSError | None = None
        self._spool = Spool(
            settings.spool_dir / "import",
            kind="import",
            segment_bytes=settings.ingest_segment_bytes,
            segment_seconds=_SEGMENT_SECONDS,
            backlog_bytes=4 * settings.ingest_segment_bytes,
            notify=self._notify,
            on_sealed=self._lane.enqueue,
        )
        self._lane.start(self._spool)
        self._spool.start()

    def put(self, request: Request, checked: Checked) -> None:
        """Queue a frame; waits while too much waits to land."""
        frame = encode_frame(request, checked)
        while True:
            if self._error is not None:
                raise self._error
            try:
                self._spool.append(frame, None)
            except SpoolFull:
                time.sleep(0.05)
            else:
                return

    def close(self) -> None:
        """Land everything; ImportFailed if that does not work."""
        self._spool.close()
        landed = self._lane.stop(_LAND_SECONDS)
        self._spool.release()
        if self._error is not None:
            raise self._error
        if not landed:
            raise ImportFailed("the records are in the spool but could not be landed; import again later.")

    def _notify(self, tokens: list[Any], error: OSError | None) -> None:
        self._error = self._error or error
