"""Publishing gold marts to ClickHouse: staging table, comparison with gold, switch, `_publications` last.

Readers see the old mart or the new one, whole, also when the publisher is killed at any point; the next run clears what
the killed one left. What a mart looks like is in `serving.mart`, what is compared in `serving.totals`.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lakehouse.engine import PinnedEngine
from lakehouse.lake import Lake
from lakehouse.settings import Settings
from serving.engine import Engine, connect
from serving.errors import PublishError, QueryError, ServingError
from serving.manifest import read_manifest
from serving.mart import Mart, describe
from serving.publications import Publication, read_publications, switch, table_exists, write_publications
from serving.readonly import STAGING_SUFFIX
from serving.sql import quoted
from serving.totals import checksum, clickhouse_sql, compare, duckdb_sql, totals_of

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Publication", "PublishError", "ServingError", "publish_marts"]

log = logging.getLogger(__name__)

ARROW_BATCH_ROWS: Final = 500_000
_LOCK_WAIT_S: Final = 600.0


def _utc_now() -> datetime:
    return datetime.now(UTC)


def publish_marts(
    settings: Settings,
    lake: Lake,
    snapshot: Mapping[str, int],
    marts: Sequence[str],
    *,
    run_id: str,
    manifest_path: Path | None = None,
    clock: Callable[[], datetime] = _utc_now,
) -> list[Publication]:
    """Publish gold tables (`campaign_daily` or `gold/campaign_daily`) at the versions that `snapshot` pins.

    A mart whose Delta version and shape are published already only gets a new `published_at`. PublishError at the first
    mart that does not equal gold: it is not switched in, nor are those after it; ServingError when ClickHouse fails.
    """
    names = [name.removeprefix("gold/") for name in marts]
    documents = read_manifest(manifest_path)
    for name in names:
        if f"gold/{name}" not in snapshot:
            raise ServingError(f"Mart {name} cannot be published: the run has pinned no version of gold/{name}.")
    published: list[Publication] = []
    with _publishing(settings), connect(settings) as engine, _gold(settings, lake, snapshot, names) as gold:
        _prepare(engine)
        known = read_publications(engine)
        for name in names:
            version = snapshot[f"gold/{name}"]
            mart = describe(name, lake.schema(f"gold/{name}", version), documents.get(name))
            definition = mart.definition(str(lake.open(f"gold/{name}", version).metadata().id))
            before = known.get(name)
            if before is not None and _is_current(engine, mart, before, version, definition):
                after = replace(before, published_at=clock(), is_unchanged=True)
            else:
                rows, fingerprint = _publish(engine, gold, lake, mart, version)
                after = Publication(name, version, rows, fingerprint, clock(), run_id, dict(snapshot), definition)
            known[name] = after
            published.append(after)
            if not after.is_unchanged:
                write_publications(engine, known.values())
        if any(publication.is_unchanged for publication in published):
            write_publications(engine, known.values())
    return published


@contextmanager
def _publishing(settings: Settings) -> Iterator[None]:
    """One publisher per home at a time; the lock goes with the process, so a kill leaves nothing behind."""
    settings.home.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(settings.home / ".publishing.lock", os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + _LOCK_WAIT_S
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ServingError(
                        "Another publish of this home has been running for ten minutes: wait for it or stop it."
                    ) from None
                time.sleep(0.2)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _gold(settings: Settings, lake: Lake, snapshot: Mapping[str, int], names: Sequence[str]) -> Iterator[Any]:
    """DuckDB over the pinned gold: the independent side of the comparison."""
    engine = PinnedEngine(settings, lake)
    try:
        engine.show({f"gold/{name}": snapshot[f"gold/{name}"] for name in names})
        yield engine.connection
    finally:
        engine.close()


def _prepare(engine: Engine) -> None:
    """Make the database and drop what a killed publisher may have left."""
    database = engine.database
    known = engine.rows("SELECT count() FROM system.databases WHERE name = {name:String}", {"name": database})
    if not known[0][0]:
        engine.command(f"CREATE DATABASE IF NOT EXISTS {quoted(database)}")
    leftovers = engine.rows(
        "SELECT name FROM system.tables WHERE database = {database:String} AND endsWith(name, {suffix:String})",
        {"database": database, "suffix": STAGING_SUFFIX},
    )
    for (name,) in leftovers:
        log.info("dropping %s, left by a publish that did not end", name)
        engine.command(f"DROP TABLE IF EXISTS {quoted(database)}.{quoted(name)} SYNC")


def _is_current(engine: Engine, mart: Mart, before: Publication, version: int, definition: str) -> bool:
    if before.delta_version != version or before.definition != definition or not table_exists(engine, mart.name):
        return False
    counted = engine.rows(f"SELECT count() FROM {quoted(engine.database)}.{quoted(mart.name)}")
    return int(counted[0][0]) == before.rows


def _publish(engine: Engine, gold: Any, lake: Lake, mart: Mart, version: int) -> tuple[int, str]:
    """Fill, compare and switch one mart; its rows and the checksum of its totals."""
    staging = mart.name + STAGING_SUFFIX
    engine.command(f"DROP TABLE IF EXISTS {quoted(engine.database)}.{quoted(staging)} SYNC")
    engine.command(mart.create_sql(engine.database, staging))
    totals = totals_of(mart)
    try:
        with gold.cursor() as counting, ThreadPoolExecutor(1, "gold") as beside:
            # The two sides know nothing of each other, so DuckDB adds up while ClickHouse reads the same files.
            counting.execute("set TimeZone = 'UTC'")  # a cursor is a session of its own
            summed = beside.submit(lambda: counting.execute(duckdb_sql(totals, mart)).fetchall()[0])
            _fill(engine, gold, lake, mart, version)
            expected = summed.result()
        compare(mart, totals, expected, engine.rows(clickhouse_sql(totals, engine.database, staging))[0])
    except Exception:
        engine.command(f"DROP TABLE IF EXISTS {quoted(engine.database)}.{quoted(staging)} SYNC")
        raise
    switch(engine, mart.name)
    return int(expected[0]), checksum(totals, expected)


def _fill(engine: Engine, gold: Any, lake: Lake, mart: Mart, version: int) -> None:
    staging = mart.name + STAGING_SUFFIX
    folder = lake.uri(mart.source)
    try:
        if lake.is_local and engine.sees(Path(folder)):
            engine.command(mart.insert_from_delta_sql(engine.database, staging, folder, version))
            return
        for block in _blocks(gold.sql(mart.select_gold_sql()).to_arrow_reader(ARROW_BATCH_ROWS)):
            engine.insert_arrow(staging, block)
    except QueryError as error:
        raise ServingError(
            f"Mart {mart.name} was not published: ClickHouse refused its rows ({error}); the mart published before is "
            "still served."
        ) from error


def _blocks(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Tables of some ARROW_BATCH_ROWS rows: gold comes a file at a time, and each insert costs ClickHouse a part."""
    import pyarrow as pa

    gathered: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        if batch.num_rows:
            gathered.append(batch)
            rows += batch.num_rows
        if rows >= ARROW_BATCH_ROWS:
            yield pa.Table.from_batches(gathered)
            gathered, rows = [], 0
    if gathered:
        yield pa.Table.from_batches(gathered)
