"""Record ids for rows that have none: the same row gets the same id in every import.

The id is a hash of the columns that say what happened (the key) and the number of the occurrence of that key within
one export, as real data holds legitimate identical rows. So importing a file twice, or overlapping exports that are
cut between two keys, adds nothing and loses nothing: every export that holds a key holds all of its rows. The limit
and the way around it are in `docs/importing.md`. The hash itself is made in `ingestion.row_records`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

import pyarrow as pa

from lakehouse import engine
from lakehouse.settings import Settings

_SCHEMA: Final = pa.schema([pa.field("key", pa.string())])


class Occurrences:
    """Numbers equal keys of one file. Memory grows with the distinct keys that repeat, not with the rows."""

    def __init__(self, repeated: frozenset[str]) -> None:
        self._repeated = repeated
        self._seen: Counter[str] = Counter()

    def number(self, key: str) -> int:
        """How many rows had this key so far, this one included."""
        if key not in self._repeated:
            return 1
        self._seen[key] += 1
        return self._seen[key]


def repeated_keys(settings: Settings, keys: Iterable[pa.Array]) -> frozenset[str]:
    """Keys that come more than once; counted by DuckDB, which spills what does not fit in memory."""
    failures: list[Exception] = []

    def guarded() -> Iterator[pa.RecordBatch]:
        # An error of the file must come out as itself, not as one of the engine that reads the stream.
        try:
            for array in keys:
                yield pa.RecordBatch.from_arrays([array], schema=_SCHEMA)
        except Exception as error:
            failures.append(error)

    with engine.connect(settings, layers=()) as connection:
        connection.execute("set enable_progress_bar = false")  # the import tells its progress itself
        connection.register("keys", pa.RecordBatchReader.from_batches(_SCHEMA, guarded()))
        found = connection.sql("select key from keys group by key having count(*) > 1").fetchall()
    if failures:
        raise failures[0]
    return frozenset(row[0] for row in found)
