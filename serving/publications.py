"""The table `_publications`: which version of gold every published mart shows, and since when.

One row per mart, replaced as a whole, so a reader never needs FINAL nor sees two rows of a mart.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from lakehouse.settings import Settings
from serving.engine import UNKNOWN_DATABASE, Engine, connect
from serving.errors import QueryError
from serving.readonly import STAGING_SUFFIX
from serving.sql import literal, quoted
from serving.target import READER

TABLE: Final = "_publications"
_COLUMNS: Final = {
    "mart": ("String", "Name of the mart"),
    "delta_version": ("Int64", "Version of the gold Delta table that the mart shows"),
    "rows": ("UInt64", "Rows of the mart"),
    "checksum": ("String", "Fingerprint of the totals that were equal in gold and in ClickHouse"),
    "published_at": ("DateTime64(6, 'UTC')", "When the mart was last published or found unchanged, UTC"),
    "run_id": ("String", "Run that wrote the rows of the mart"),
    "snapshot": ("String", "JSON object {table: Delta version} that the run worked on"),
    "definition": ("String", "Fingerprint of the table's shape and of the Delta table it comes from"),
}


@dataclass(frozen=True, slots=True)
class Publication:
    """`is_unchanged` tells that nothing but `published_at` was written by the call that returned it."""

    mart: str
    delta_version: int
    rows: int
    checksum: str
    published_at: datetime
    run_id: str
    snapshot: dict[str, int]
    definition: str
    is_unchanged: bool = False


def publications(settings: Settings) -> list[Publication]:
    """What is published, by mart; empty when nothing is. ServingError when ClickHouse cannot be reached."""
    if not settings.clickhouse_dsn and not settings.clickhouse_dir.is_dir():
        return []
    with connect(settings, username=READER) as engine:
        try:
            return list(read_publications(engine).values())
        except QueryError as error:
            if error.code == UNKNOWN_DATABASE:
                return []
            raise


def read_publications(engine: Engine) -> dict[str, Publication]:
    if not table_exists(engine, TABLE):
        return {}
    columns = ", ".join(quoted(name) for name in _COLUMNS)
    rows = engine.rows(f"SELECT {columns} FROM {_name(engine, TABLE)} ORDER BY mart")
    found = (
        Publication(mart, version, count, checksum, _aware(published_at), run_id, json.loads(snapshot), definition)
        for mart, version, count, checksum, published_at, run_id, snapshot, definition in rows
    )
    return {publication.mart: publication for publication in found}


def write_publications(engine: Engine, written: Iterable[Publication]) -> None:
    """Replace the table; a kill on the way leaves the old one."""
    staging = TABLE + STAGING_SUFFIX
    engine.command(f"DROP TABLE IF EXISTS {_name(engine, staging)} SYNC")
    columns = ", ".join(f"{quoted(name)} {kind} COMMENT {literal(text)}" for name, (kind, text) in _COLUMNS.items())
    engine.command(
        f"CREATE TABLE {_name(engine, staging)} ({columns}) ENGINE = MergeTree ORDER BY mart "
        "COMMENT 'One row per mart: what it shows and how fresh it is'"
    )
    rows = [
        (
            p.mart,
            p.delta_version,
            p.rows,
            p.checksum,
            p.published_at,
            p.run_id,
            json.dumps(p.snapshot, sort_keys=True),
            p.definition,
        )
        for p in written
    ]
    if rows:
        engine.insert_rows(staging, list(_COLUMNS), rows)
    switch(engine, TABLE)


def switch(engine: Engine, table: str) -> None:
    """Put the staging table in the place of `table` at once, and drop what it replaced."""
    staging = table + STAGING_SUFFIX
    if table_exists(engine, table):
        engine.command(f"EXCHANGE TABLES {_name(engine, staging)} AND {_name(engine, table)}")
        engine.command(f"DROP TABLE {_name(engine, staging)} SYNC")
    else:
        engine.command(f"RENAME TABLE {_name(engine, staging)} TO {_name(engine, table)}")


def table_exists(engine: Engine, table: str) -> bool:
    sql = "SELECT count() FROM system.tables WHERE database = {database:String} AND name = {name:String}"
    return bool(engine.rows(sql, {"database": engine.database, "name": table})[0][0])


def _name(engine: Engine, table: str) -> str:
    return f"{quoted(engine.database)}.{quoted(table)}"


def _aware(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
