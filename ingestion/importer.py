"""The file importer: rows of a file take the same way as requests, through the validator and a spool of their own.

What a column means is declared in a mapping; `native` takes NDJSON of contract records as they are. Memory is bounded
by chunks, whatever the size of the file.
"""

from __future__ import annotations

import hashlib
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from ingestion.frames import Request, encode_frame
from ingestion.import_report import EXAMPLES, Example, ImportResult
from ingestion.import_sources import FRAME_ROWS, PROGRESS_SECONDS, Chunk, ImportOptions, MappedFile, NativeFile
from ingestion.landing import Lane
from ingestion.mapping import NATIVE, MappingError
from ingestion.reasons import Reject
from ingestion.rows import Rows
from ingestion.spool import Spool, SpoolFull, SpoolLocked
from ingestion.validator import Checked, Sender, Validator
from lakehouse.apps import load_apps
from lakehouse.settings import Settings

ROUTE: Final = "import"
_SEGMENT_SECONDS: Final = 5.0
_LEAST_BACKLOG: Final = 64 * 1_048_576
_LAND_SECONDS: Final = 3_600.0
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class ImportFailed(Exception):  # noqa: N818 - reads as what happened
    """The file could not be imported; one sentence. What was accepted before stays, and importing again is safe."""


def import_file(
    settings: Settings,
    path: Path,
    mapping: str,
    *,
    dry_run: bool = False,
    options: ImportOptions | None = None,
    progress: Callable[[str], None] = lambda text: None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> ImportResult:
    """Import a file and return when its records are in bronze; with `dry_run`, only say what would become of it.

    `mapping` is `native`, the name of a shipped mapping or the path of a TOML file. ImportFailed with one sentence if
    the mapping is wrong, the file cannot be read, its app is not registered or another import runs on this home.
    """
    result = ImportResult(path.name, mapping, dry_run)
    options = options or ImportOptions()
    try:
        if mapping == NATIVE and options.as_claims:
            raise MappingError(
                "records that are imported as they are say themselves what they are; leave --claims out."
            )
        if mapping == NATIVE:
            source: NativeFile | MappedFile = NativeFile(settings, path)
        else:
            source = MappedFile(settings, path, mapping, options, result, progress)
        try:
            chunks = source.chunks(count_occurrences=not dry_run)
            sink = _Counting() if dry_run else _Storing(settings)
            try:
                _run(settings, source, chunks, sink, result, progress, clock)
            finally:
                sink.close()
        finally:
            source.close()
    except (MappingError, SpoolLocked) as error:
        raise ImportFailed(str(error)) from None
    except (EOFError, zlib.error):
        raise ImportFailed(f"{path.name} cannot be read to its end: the compressed file is damaged.") from None
    except OSError as error:
        raise ImportFailed(f"{path.name} cannot be imported: {error.strerror or error}.") from error
    progress(_counts(result))
    return result


def _counts(result: ImportResult) -> str:
    skipped = f", {result.skipped:,} skipped" if result.skipped else ""
    return f"{result.accepted:,} accepted, {result.rejected:,} rejected{skipped}"


def _run(
    settings: Settings,
    source: NativeFile | MappedFile,
    chunks: Iterator[tuple[str, Chunk]],
    sink: _Counting | _Storing,
    result: ImportResult,
    progress: Callable[[str], None],
    clock: Callable[[], datetime],
) -> None:
    validator = Validator(settings)
    known = load_apps(settings).apps
    import_id = f"import-{hashlib.blake2b(result.file.encode(), digest_size=6).hexdigest()}"
    tally = _Tally(result, source)
    told = time.monotonic()
    number = 0
    for app_id, chunk in chunks:
        sender = Sender(known.keys() & {app_id}, known)
        for part in _parts(chunk):
            now = clock()
            checked = _check(validator, part, sender, now)
            size = sum(len(chunk.raws[row]) for row in dict.fromkeys(part.rows)) + sum(
                r.raw_length for r, _ in part.rejects
            )
            tally.add(part, checked)
            micros = (now - _EPOCH) // timedelta(microseconds=1)
            sink.put(Request(app_id or None, ROUTE, "import", f"{import_id}-{number:x}", micros, size), checked)
            number += 1
        if time.monotonic() - told > PROGRESS_SECONDS:
            told = time.monotonic()
            progress(f"{chunk.share:.0%} of the file, {result.rows:,} rows, {result.rejected:,} rejected")
    tally.finish()


def _parts(chunk: Chunk) -> Iterator[Chunk]:
    """The chunk in frames of bounded size; the records of a row stay together."""
    start = 0
    while True:
        end = min(start + FRAME_ROWS, len(chunk.records))
        while end < len(chunk.records) and chunk.rows[end] == chunk.rows[end - 1]:
            end += 1
        part = Chunk(
            chunk.records[start:end], chunk.rows[start:end], chunk.labels[start:end], chunk.raws, chunk.positions,
            chunk.lines, [] if start else chunk.rejects, 0 if start else chunk.skipped, chunk.share, chunk.source,
        )  # fmt: skip
        yield part
        start = end
        if start >= len(chunk.records):
            return


def _check(validator: Validator, part: Chunk, sender: Sender, now: datetime) -> Checked:
    """Check the records of a part; a row counts as a whole, so one refused record takes those beside it with it."""
    rejected: dict[int, Reject] = {}
    records, rows = part.records, part.rows
    while True:
        raws = [part.raws[row] for row in rows]
        checked = validator.check(records, sender, now, raws=raws, positions=rows)
        for refused in checked.rejects:
            rejected.setdefault(refused.position, refused)
        keep = [place for place, row in enumerate(rows) if row not in rejected]
        if len(keep) == checked.accepted:
            break
        records, rows = [records[place] for place in keep], [rows[place] for place in keep]
    for row, refused in rejected.items():
        refused.position = part.positions[row]
        refused.message = f"line {part.lines[row]}: {refused.message}"
    rows_of = {refused.position: row for row, refused in rejected.items()}
    part.labels = [label for label, row in zip(part.labels, part.rows, strict=True) if row not in rejected]
    part.rows = [row for row in part.rows if row not in rejected]
    early = [refused for refused, _ in part.rejects]
    checked.rejects = sorted([*rejected.values(), *early], key=lambda r: r.position)
    part.rejects = [(r, part.lines[rows_of[r.position]]) for r in rejected.values()] + part.rejects
    return checked


class _Tally:
    """Counts into the result, and picks the examples."""

    def __init__(self, result: ImportResult, source: NativeFile | MappedFile) -> None:
        self._result, self._source = result, source
        self._reasons: Counter[str] = Counter()
        self._labels: Counter[str] = Counter()

    def add(self, part: Chunk, checked: Checked) -> None:
        result = self._result
        accepted = len(set(part.rows))
        result.accepted += accepted
        result.rejected += len(checked.rejects)
        result.skipped += part.skipped
        result.rows += accepted + len(checked.rejects) + part.skipped
        self._labels.update(part.labels)
        for refused, line in part.rejects:
            self._reasons[refused.code] += 1
            if self._reasons[refused.code] <= EXAMPLES:
                result.examples.append(self._example(refused, line, part.source))

    def _example(self, refused: Reject, line: int, rows: Rows | None) -> Example:
        column, value = self._source.blame(refused, rows)
        message = refused.message.removeprefix(f"line {line}: ")
        return Example(line, refused.position, refused.code, refused.field, column, value, message)

    def finish(self) -> None:
        result = self._result
        result.reasons = dict(sorted(self._reasons.items()))
        result.reports, result.records = self._source.told(self._labels)
        result.examples.sort(key=lambda e: (e.code, e.position))


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
            backlog_bytes=max(4 * settings.ingest_segment_bytes, _LEAST_BACKLOG),
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
