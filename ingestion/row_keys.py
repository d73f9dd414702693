"""Record ids for files that have none: the same row gets the same id in every import.

The key is a hash of all columns, and the n-th occurrence of equal rows within the file, as real data holds legitimate
identical rows. So importing a file twice, or overlapping exports of whole rows, adds nothing after de-duplication.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import pyarrow as pa

from lakehouse import engine
from lakehouse.settings import Settings

_DIGEST_BYTES: Final = 16
_BATCH_ROWS: Final = 65_536
_SCHEMA: Final = pa.schema([pa.field("digest", pa.binary(_DIGEST_BYTES))])


def row_digest(values: Mapping[str, Any]) -> bytes:
    """Hash of all columns of a row; the order of columns does not matter, absent and blank ones are alike."""
    parts = (f"{name}\x1f{value}" for name, value in sorted(values.items()) if value not in (None, ""))
    return hashlib.blake2b("\x1e".join(parts).encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES).digest()


class Occurrences:
    """Numbers equal rows of one file. Memory grows with the distinct rows that repeat, not with the rows."""

    def __init__(self, repeated: frozenset[bytes]) -> None:
        self._repeated = repeated
        self._seen: Counter[bytes] = Counter()

    def record_id(self, digest: bytes) -> str:
        """Id of the next row with this digest."""
        number = 1
        if digest in self._repeated:
            self._seen[digest] += 1
            number = self._seen[digest]
        return f"{digest.hex()}-{number}"


def repeated_digests(settings: Settings, digests: Iterable[bytes]) -> frozenset[bytes]:
    """Digests that come more than once; counted by DuckDB, which spills what does not fit in memory."""
    failures: list[Exception] = []

    def guarded() -> Iterator[bytes]:
        # An error of the file must come out as itself, not as one of the engine that reads the stream.
        try:
            yield from digests
        except Exception as error:
            failures.append(error)

    with engine.connect(settings, layers=()) as connection:
        connection.register("digests", pa.RecordBatchReader.from_batches(_SCHEMA, _batches(guarded())))
        found = connection.sql("select digest from digests group by digest having count(*) > 1").fetchall()
    if failures:
        raise failures[0]
    return frozenset(row[0] for row in found)


def _batches(digests: Iterable[bytes]) -> Iterator[pa.RecordBatch]:
    waiting: list[bytes] = []
    for digest in digests:
        waiting.append(digest)
        if len(waiting) == _BATCH_ROWS:
            yield _batch(waiting)
            waiting.clear()
    yield _batch(waiting)


def _batch(digests: list[bytes]) -> pa.RecordBatch:
    data = [None, pa.py_buffer(b"".join(digests))]
    return pa.RecordBatch.from_arrays([pa.Array.from_buffers(_SCHEMA.types[0], len(digests), data)], schema=_SCHEMA)
