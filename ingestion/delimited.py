"""Cells of delimited text, line by line: which bytes are one row, and what to do with those that are none.

What a column is called and which line is a header is `ingestion.rows`.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from typing import IO, Final

from ingestion.reasons import Rejected

BOM: Final = b"\xef\xbb\xbf"
# A row of more bytes or lines is not a row but an unclosed quotation mark.
_MAX_ROW_BYTES: Final = 1_048_576
_MAX_ROW_LINES: Final = 100
_BATCH_BYTES: Final = 262_144
# Cells or why there are none, the raw bytes, and the number of the (first) line from 1.
Line = tuple[list[str] | Rejected, bytes, int]


class Cells:
    """Cells of the lines of a file. `width` is how many a row should have, once that is known."""

    def __init__(self, stream: IO[bytes], delimiter: str) -> None:
        self._stream = stream
        self._delimiter = None if delimiter == "whitespace" else delimiter
        self._again: deque[bytes] = deque()
        self._number = 0
        self.width = 0

    def __iter__(self) -> Iterator[Line]:
        number = 0
        while True:
            if not self._again:
                batch = self._stream.readlines(_BATCH_BYTES)
                if not batch:
                    return
                if plain := self._plain(batch):
                    yield from ((cells, raw, number + n) for n, (cells, raw) in enumerate(plain, start=1))
                    number += len(batch)
                    continue
                self._again.extend(batch)
            yield from self._one_by_one(number)
            number = self._number

    def _plain(self, batch: list[bytes]) -> list[tuple[list[str], bytes]] | None:
        """The rows of a batch if every line is one sound row, which is nearly always so; None if one needs a look."""
        if self._delimiter is None:
            return None
        raws = [line.rstrip(b"\r\n") for line in batch]
        try:
            text = b"\n".join(raws).decode()
            rows = list(csv.reader(text.split("\n"), delimiter=self._delimiter, strict=True))
        except (csv.Error, UnicodeDecodeError):
            return None
        # A row that goes on in the next line, a blank line and a byte order mark all need a look.
        if len(rows) != len(raws) or "\ufeff" in text or not all(raws) or any(map(bytes.isspace, raws)):
            return None
        return list(zip(rows, raws, strict=True))

    def _one_by_one(self, number: int) -> Iterator[Line]:
        delimiter = self._delimiter
        while self._again:
            line = self._next()
            number += 1
            self._number = number
            text = line.rstrip(b"\r\n").removeprefix(BOM)
            if not text or text.isspace():
                continue
            if delimiter is not None and b'"' in text:
                found, taken = self._quoted(line)
                if taken > 1:
                    text = b"".join(self._taken).rstrip(b"\r\n").removeprefix(BOM)
                yield found, text, number
                number += taken - 1
                self._number = number
                continue
            try:
                yield text.decode().split(delimiter), text, number
            except UnicodeDecodeError as error:
                yield not_utf8(error), text, number

    def _next(self) -> bytes:
        return self._again.popleft() if self._again else self._stream.readline()

    def _quoted(self, line: bytes) -> tuple[list[str] | Rejected, int]:
        """Cells of a row with quotation marks, which may span lines, and how many lines it is.

        A row that cannot be read costs its first line only: the lines that were taken for its rest are read again.
        """
        taken = self._taken = [line]
        size, marks = len(line), line.count(b'"')
        while True:
            verdict: list[str] | Rejected | None = None
            if len(taken) == 1 or marks % 2 == 0:
                verdict = _parse(b"".join(taken), self._delimiter or ",")
            if isinstance(verdict, list) and (len(taken) == 1 or not self.width or len(verdict) == self.width):
                return verdict, len(taken)
            if verdict is None or _is_open(verdict):
                more = self._next() if size < _MAX_ROW_BYTES and len(taken) < _MAX_ROW_LINES else b""
                if more:
                    taken.append(more)
                    size += len(more)
                    marks += more.count(b'"')
                    continue
                verdict = Rejected("invalid_row", "a quotation mark is not closed")
            elif isinstance(verdict, list):
                verdict = Rejected("invalid_row", f"the row has {len(verdict)} columns instead of {self.width}")
            self._again.extendleft(reversed(taken[1:]))
            return verdict, 1


def _parse(raw: bytes, delimiter: str) -> list[str] | Rejected:
    """Cells of one row; a reject "unexpected end of data" if it goes on in the next line."""
    try:
        text = raw.removeprefix(BOM).decode()
        (cells,) = csv.reader([text], delimiter=delimiter, strict=True)
    except csv.Error as error:
        return Rejected("invalid_row", str(error))
    except ValueError as error:
        if isinstance(error, UnicodeDecodeError):
            return not_utf8(error)
        return Rejected("invalid_row", "a quotation mark stands where none may be")
    return cells


def _is_open(verdict: list[str] | Rejected) -> bool:
    return isinstance(verdict, Rejected) and verdict.message == "unexpected end of data"


def not_utf8(error: UnicodeDecodeError) -> Rejected:
    return Rejected("invalid_utf8", f"byte {error.start} of the row is not valid UTF-8")
