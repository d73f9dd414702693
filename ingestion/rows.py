"""Rows of CSV, Parquet and NDJSON files, one at a time and in bounded memory, with their place and raw bytes.

A row that cannot be read comes as a `BadRow`; reading goes on behind it. What a row means is `ingestion.mapping`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Raw

from ingestion.mapping import MappingError, MappingFile
from ingestion.reasons import Rejected

_BATCH_ROWS: Final = 4_096
# A row of more bytes is not a row but an unclosed quotation mark.
_MAX_ROW_BYTES: Final = 1_048_576
_OBJECT: Final = msgspec.json.Decoder(dict[str, Raw])
_ANY: Final = msgspec.json.Decoder(Any)


@dataclass(frozen=True, slots=True)
class Row:
    """One row; `position` counts from 0, a header line excluded."""

    position: int
    values: dict[str, Any]
    raw: bytes


@dataclass(frozen=True, slots=True)
class BadRow:
    """Bytes that are no row, and why."""

    position: int
    raw: bytes
    verdict: Rejected


def read_rows(file: Path, mapping: MappingFile, needed: frozenset[str]) -> Iterator[Row | BadRow]:
    """Rows of a file. MappingError if a needed column does not exist."""
    if mapping.format == "parquet":
        return _parquet(file, needed)
    if mapping.format == "ndjson":
        return _ndjson(file)
    if mapping.delimiter == "whitespace":
        return _named(_whitespace(file), mapping, needed)
    return _named(_csv(file, mapping.delimiter), mapping, needed)


def read_lines(file: Path) -> Iterator[tuple[int, bytes]]:
    """Lines that are not blank, numbered from 0, without their end."""
    position = 0
    with file.open("rb") as stream:
        for line in stream:
            text = line.rstrip(b"\r\n")
            if text and not text.isspace():
                yield position, text.removeprefix(b"\xef\xbb\xbf") if position == 0 else text
                position += 1


def _named(
    lines: Iterator[tuple[list[str] | Rejected, bytes]], mapping: MappingFile, needed: frozenset[str]
) -> Iterator[Row | BadRow]:
    """Give cells their column names, from the header line or from the mapping."""
    names = list(mapping.columns)
    if not names:
        first = next(lines, None)
        if first is None:
            return
        if isinstance(first[0], Rejected):
            raise MappingError(f"the header line cannot be read: {first[0].message}.")
        names = [name.strip() for name in first[0]]
    _require(needed, names)
    for position, (cells, raw) in enumerate(lines):
        if isinstance(cells, Rejected):
            yield BadRow(position, raw, cells)
        elif len(cells) != len(names):
            text = f"the row has {len(cells)} columns instead of {len(names)}"
            yield BadRow(position, raw, Rejected("invalid_row", text))
        else:
            yield Row(position, dict(zip(names, cells, strict=True)), raw)


def _whitespace(file: Path) -> Iterator[tuple[list[str] | Rejected, bytes]]:
    for _, line in read_lines(file):
        try:
            yield line.decode().split(), line
        except UnicodeDecodeError as error:
            yield Rejected("invalid_utf8", f"byte {error.start} of the row is not valid UTF-8"), line


def _csv(file: Path, delimiter: str) -> Iterator[tuple[list[str] | Rejected, bytes]]:
    """Cells of a CSV file; the raw bytes of a row may span lines, inside quotation marks."""
    taken: list[bytes] = []

    def text_lines(stream: Iterator[bytes]) -> Iterator[str]:
        for line in stream:
            taken.append(line)
            if sum(map(len, taken)) > _MAX_ROW_BYTES:
                raise csv.Error("a quotation mark is not closed")
            yield line.decode("utf-8-sig" if first[0] else "utf-8")
            first[0] = False

    first = [True]
    with file.open("rb") as stream:
        while True:
            reader = csv.reader(text_lines(stream), delimiter=delimiter, strict=True)
            try:
                for cells in reader:
                    raw = b"".join(taken).rstrip(b"\r\n")
                    taken.clear()
                    if cells:
                        yield cells, raw
                return
            except (csv.Error, UnicodeDecodeError) as error:
                # The reader is lost with the row; a new one goes on with the next line.
                raw = b"".join(taken).rstrip(b"\r\n")
                taken.clear()
                is_text = isinstance(error, csv.Error)
                yield Rejected("invalid_row" if is_text else "invalid_utf8", str(error)), raw


def _ndjson(file: Path) -> Iterator[Row | BadRow]:
    """Objects, one a line; numbers keep their text, objects and arrays their JSON."""
    for position, line in read_lines(file):
        try:
            yield Row(position, {name: _plain(value) for name, value in _OBJECT.decode(line).items()}, line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            yield BadRow(position, line, Rejected("invalid_json", str(error)))


def _plain(value: Raw) -> Any:
    text = bytes(value)
    if text[:1] in b"{[":
        return value
    return text.decode() if text[:1] in b"-0123456789" else _ANY.decode(value)


def _parquet(file: Path, needed: frozenset[str]) -> Iterator[Row | BadRow]:
    import pyarrow.parquet as pq  # not needed for the endpoint, and slow to import

    position = 0
    with pq.ParquetFile(file) as parquet:
        _require(needed, parquet.schema_arrow.names)
        for batch in parquet.iter_batches(batch_size=_BATCH_ROWS):
            for values in batch.to_pylist():
                yield Row(position, values, msgspec.json.encode(values, enc_hook=str))
                position += 1


def _require(needed: frozenset[str], names: list[str]) -> None:
    if missing := sorted(needed - set(names)):
        raise MappingError(f"the file has no column {missing[0]}; it has {', '.join(names)}.")
