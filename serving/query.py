"""Questions to the published marts, read-only, for the command line and the report.

Formats the answer; who may ask what is decided in `serving.readonly` or by the server.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

from lakehouse.settings import Settings
from serving.engine import UNKNOWN_DATABASE, Engine, connect
from serving.errors import QueryError, ServingError
from serving.target import READER

__all__ = ["QueryError", "QueryResult", "ServingError", "query_rows", "run_query"]

_FORMATS: Final = {"table": "PrettySpaceNoEscapesMonoBlock", "json": "JSONEachRow"}


@dataclass(frozen=True, slots=True)
class QueryResult:
    """Column names and rows as Python values (exact decimals, aware instants)."""

    columns: list[str]
    rows: list[tuple[Any, ...]]


def run_query(settings: Settings, sql: str, fmt: Literal["table", "json"] = "table") -> str:
    """Answer of one query as a text: an aligned table, or one JSON object per row.

    Tables need no prefix: names resolve in database `marts`. ServingError with the engine's message when it is refused.
    """
    with _reading(settings) as engine:
        return engine.text(sql, _FORMATS[fmt]).rstrip("\n")


def query_rows(settings: Settings, *queries: str, parameters: Mapping[str, Any] | None = None) -> list[QueryResult]:
    """Results of several queries over one connection, in order; `parameters` are the values of `{name:Type}`."""
    with _reading(settings) as engine:
        return [QueryResult(*engine.table(sql, parameters)) for sql in queries]


@contextmanager
def _reading(settings: Settings) -> Iterator[Engine]:
    nothing = f"Nothing is published in {settings.home} yet: run `unmogrowp run` first."
    if not settings.clickhouse_dsn and not settings.clickhouse_dir.is_dir():
        raise ServingError(nothing)
    try:
        with connect(settings, username=READER) as engine:
            yield engine
    except QueryError as error:
        if error.code == UNKNOWN_DATABASE:
            raise ServingError(nothing) from None
        raise
