"""Where the report gets its facts: a function that answers SQL, and data of other parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypedDict

from lakehouse.settings import Settings
from serving.engine import connect
from serving.target import READER

# One query in, its rows as {column: value} out.
Query = Callable[[str], list[dict[str, Any]]]


class Extras(TypedDict, total=False):
    """What the marts do not hold; every part may be missing, and the report then says so.

    quality: rows of `quality.history.latest`. rejects: rows (app_id, reason_code, rejects). cdnow: the benchmark as a
    mapping with `rows` and `bars`. run_id: the run that made the marts.
    """

    quality: Sequence[Mapping[str, Any]]
    rejects: Sequence[Mapping[str, Any]]
    cdnow: Mapping[str, Any]
    run_id: str


@contextmanager
def published(settings: Settings) -> Iterator[Query]:
    """Read-only access to the published marts over one connection. ServingError when ClickHouse cannot be reached."""
    with connect(settings, username=READER) as engine:

        def query(sql: str) -> list[dict[str, Any]]:
            names, rows = engine.table(sql)
            return [dict(zip(names, row, strict=True)) for row in rows]

        yield query
