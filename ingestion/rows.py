"""Rows of CSV, Parquet and NDJSON files as columns, chunk by chunk, with their place and raw bytes.

A file may be several exports one behind the other: a header line in the middle begins a new block with columns of its
own. A row that cannot be read comes as a `BadRow`; reading goes on behind it. What a row means is
`ingestion.row_records`.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final, cast

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Raw

from ingestion.delimited import BOM, Cells
from ingestion.mapping import MappingError, MappingFile, spelling, spellings
from ingestion.reasons import Rejected

CHUNK_ROWS: Final = 16_384
CHUNK_BYTES: Final = 16 * 1_048_576
_GZIP: Final = b"\x1f\x8b"
_OBJECT: Final = msgspec.json.Decoder(dict[str, Raw])
_ANY: Final = msgspec.json.Decoder(Any)


@dataclass(frozen=True, slots=True)
class BadRow:
    """Bytes that are no row, and why; `line` counts from 1, the header included."""

    position: int
    line: int
    raw: bytes
    verdict: Rejected


@dataclass(slots=True)
class Rows:
    """Rows of one block, column by column.

    `columns` leaves out those without a value and has null for blanks; those in `json` hold JSON text. `positions`
    count rows of the file from 0, header lines excluded, `lines` count lines from 1. `share` says how much of the file
    has been read, 0 to 1.
    """

    block: int
    names: list[str]
    columns: dict[str, pa.Array] = field(default_factory=dict)
    json: frozenset[str] = frozenset()
    positions: list[int] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    raws: Sequence[bytes] = ()
    bad: list[BadRow] = field(default_factory=list)
    share: float = 0.0

    def __len__(self) -> int:
        return len(self.positions)


def read_rows(file: Path, mapping: MappingFile, wanted: frozenset[str] | None = None) -> Iterator[Rows]:
    """Rows of a file in order, with the `wanted` columns if not all. MappingError if a required one does not exist."""
    naming = _Naming(mapping)
    if mapping.format == "parquet":
        return _parquet(file, naming)
    if mapping.format == "ndjson":
        return _ndjson(file, naming)
    return _delimited(file, mapping, naming, wanted)


def read_lines(file: Path) -> Iterator[tuple[int, int, bytes, float]]:
    """Position from 0, number from 1, text and share of the file of lines that are not blank, without their end."""
    position = 0
    with _open(file) as (stream, share):
        for number, line in enumerate(stream, start=1):
            text = line.rstrip(b"\r\n")
            if text and not text.isspace():
                yield position, number, text.removeprefix(BOM) if position == 0 else text, share()
                position += 1


class _Naming:
    """What columns are called, and which line is a header."""

    def __init__(self, mapping: MappingFile) -> None:
        self._is_exact = not mapping.aliases
        self._spellings = spellings(mapping.aliases) | {spelling(name): name for name in mapping.named_columns()}
        self.required = mapping.named_columns() if mapping.requires is None else list(mapping.requires)
        if mapping.requires is None and mapping.records:
            self.required = []
        self._quick = set(self._spellings)

    def column(self, name: str) -> str:
        """The mapping's name of a column."""
        if self._is_exact:
            return name.strip()
        reduced = spelling(name)
        return self._spellings.get(reduced, reduced)

    def columns(self, cells: Sequence[str]) -> list[str]:
        """The mapping's names of a header line; MappingError if two columns have the same."""
        names = [self.column(cell) or f"column_{place}" for place, cell in enumerate(cells, start=1)]
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise MappingError(f"the header names column {twice} twice; rename or remove one of them.")
        self._quick |= {spelling(cell) for cell in cells}
        return names

    def problem(self, names: Sequence[str]) -> str | None:
        """Why rows under these columns cannot be used; None if they can."""
        if missing := [name for name in self.required if name not in names]:
            return f"the file has no column {missing[0]}; it has {', '.join(names)}"
        return None

    def is_header(self, cells: Sequence[str]) -> bool:
        """True for a line that holds names of columns: more than half of its cells are known."""
        quick = self._quick
        # Every row comes here, so the look at its first and last cells is as short as it can be.
        for cell in (cells[0], cells[-1], *cells[1:3]):
            if cell and cell.strip(" {}").lower().replace(" ", "_") in quick:
                break
        else:
            return False
        return 2 * sum(spelling(cell) in self._quick for cell in cells) > len(cells) > 1


class _open:  # noqa: N801 - used like the built-in
    """The bytes of a file, unpacked if they are gzip, and a function that says how much has been read."""

    def __init__(self, file: Path) -> None:
        self._size = max(1, file.stat().st_size)
        self._raw = file.open("rb", buffering=262_144)

    def __enter__(self) -> tuple[IO[bytes], Any]:
        is_packed = self._raw.read(2) == _GZIP
        self._raw.seek(0)
        stream = cast("IO[bytes]", gzip.GzipFile(fileobj=self._raw)) if is_packed else self._raw
        return stream, lambda: min(1.0, self._raw.tell() / self._size)

    def __exit__(self, *_: object) -> None:
        self._raw.close()


def _delimited(file: Path, mapping: MappingFile, naming: _Naming, wanted: frozenset[str] | None) -> Iterator[Rows]:
    """Chunks of a file of cells; a chunk never spans blocks."""
    with _open(file) as (stream, share):
        source = Cells(stream, mapping.delimiter)
        lines = iter(source)
        names = list(mapping.columns)
        if not names:
            first = next(lines, None)
            if first is None:
                return
            if isinstance(first[0], Rejected):
                raise MappingError(f"the header line cannot be read: {first[0].message}.")
            names = naming.columns(first[0])
        if problem := naming.problem(names):
            raise MappingError(f"{problem}.")
        block, position, size = 0, 0, 0
        cells: list[list[str]] = []
        raws: list[bytes] = []
        chunk = Rows(block, names)
        source.width = len(names)
        with_blocks = not mapping.columns

        def finished() -> Rows:
            chunk.columns = _text_columns(chunk.names, cells, wanted)
            chunk.raws, chunk.share = raws, share()
            return chunk

        for found, raw, line in lines:
            if with_blocks and not isinstance(found, Rejected) and naming.is_header(found):
                yield finished()
                block += 1
                names = naming.columns(found)
                problem = naming.problem(names)
                chunk, cells, raws, size = Rows(block, names), [], [], 0
                source.width = len(names)
                continue
            if problem:
                found = Rejected("invalid_row", f"the columns of this part of the file are wrong: {problem}")
            elif not isinstance(found, Rejected) and len(found) != len(names):
                found = Rejected("invalid_row", f"the row has {len(found)} columns instead of {len(names)}")
            if isinstance(found, Rejected):
                chunk.bad.append(BadRow(position, line, raw, found))
            else:
                cells.append(found)
                raws.append(raw)
                chunk.positions.append(position)
                chunk.lines.append(line)
            position += 1
            size += len(raw)
            if len(cells) + len(chunk.bad) >= CHUNK_ROWS or size >= CHUNK_BYTES:
                yield finished()
                chunk, cells, raws, size = Rows(block, names), [], [], 0
        yield finished()


def _text_columns(
    names: Sequence[str], cells: Sequence[Sequence[str]], wanted: frozenset[str] | None
) -> dict[str, pa.Array]:
    if not cells:
        return {}
    columns = zip(names, zip(*cells, strict=True), strict=True)
    return {
        name: _text_column(values) for name, values in columns if (wanted is None or name in wanted) and any(values)
    }


def _text_column(values: Sequence[str]) -> pa.Array:
    """The values with blanks as null."""
    column = pa.array(values, pa.string())
    return pc.if_else(pc.equal(column, ""), None, column) if "" in values else column


def _ndjson(file: Path, naming: _Naming) -> Iterator[Rows]:
    """Objects, one a line; numbers keep their text, objects and arrays their JSON."""
    chunk, objects, raws, size = Rows(0, []), [], [], 0
    for position, line, text, share in read_lines(file):
        try:
            objects.append({naming.column(name): value for name, value in _OBJECT.decode(text).items()})
            chunk.positions.append(position)
            chunk.lines.append(line)
            raws.append(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            chunk.bad.append(BadRow(position, line, text, Rejected("invalid_json", str(error))))
        size += len(text)
        if len(objects) + len(chunk.bad) >= CHUNK_ROWS or size >= CHUNK_BYTES:
            chunk.share = share
            yield _with_objects(chunk, objects, raws)
            chunk, objects, raws, size = Rows(0, []), [], [], 0
    chunk.share = 1.0
    yield _with_objects(chunk, objects, raws)


def _with_objects(chunk: Rows, objects: Sequence[dict[str, Raw]], raws: Sequence[bytes]) -> Rows:
    nested = set()
    for name in dict.fromkeys(name for item in objects for name in item):
        values = [bytes(item[name]) if name in item else b"null" for item in objects]
        if any(value[:1] in b"{[" for value in values):
            nested.add(name)
            cells = [None if value == b"null" else value.decode() for value in values]
        else:
            cells = [_plain(value) for value in values]
        chunk.columns[name] = pa.array([cell or None for cell in cells], pa.string())
    chunk.names, chunk.json, chunk.raws = list(chunk.columns), frozenset(nested), raws
    return chunk


def _plain(value: bytes) -> str | None:
    """The text of a JSON string, number or constant; null is None."""
    if value[:1] == b'"':
        return str(_ANY.decode(value))
    return None if value == b"null" else value.decode()


class _EncodedRows(Sequence[bytes]):
    """Rows of a batch as JSON, made when they are asked for."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self._batch = batch
        self.nbytes = batch.nbytes

    def __len__(self) -> int:
        return int(self._batch.num_rows)

    def __getitem__(self, place: Any) -> Any:
        return msgspec.json.encode(self._batch.slice(place, 1).to_pylist()[0], enc_hook=str)


def _parquet(file: Path, naming: _Naming) -> Iterator[Rows]:
    import pyarrow.parquet as pq  # not needed for the endpoint, and slow to import

    position = 0
    with pq.ParquetFile(file) as parquet:
        names = naming.columns(parquet.schema_arrow.names)
        if problem := naming.problem(names):
            raise MappingError(f"{problem}.")
        total = max(1, parquet.metadata.num_rows)
        for batch in parquet.iter_batches(batch_size=CHUNK_ROWS):
            positions = list(range(position, position + batch.num_rows))
            position += batch.num_rows
            columns = {
                name: column
                for name, column in zip(names, batch.columns, strict=True)
                if column.null_count < len(column)
            }
            lines = [place + 1 for place in positions]
            yield Rows(0, names, columns, frozenset(), positions, lines, _EncodedRows(batch), share=position / total)


def _without_blanks(column: pa.Array) -> pa.Array:
    is_text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    return pc.if_else(pc.equal(column, pa.scalar("", column.type)), None, column) if is_text else column
