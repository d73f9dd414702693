"""Dagster's event log in SQLite, over connections that are kept open.

The storage of Dagster makes a new SQLAlchemy engine for every single read and write: each statement is compiled anew,
and closing the last connection of a file makes SQLite fold its journal in. With some thousand events a run that was a
third of a small run's time. Here an engine and its one connection live as long as the storage, and a commit waits
for the journal only (WAL with `synchronous = NORMAL`: a power cut may take the last events of a history, never damages
it; what a run has built stands in Delta).

Overrides two private members of dagster 1.13: drop the class when the storage keeps its connections itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import StaticPool


class KeptSqliteEventLogStorage(SqliteEventLogStorage):
    """One engine with one connection for each shard; the lock of the base class lets one thread in at a time."""

    def __init__(self, base_dir: str, inst_data: Any = None) -> None:
        self._engines: dict[str, Engine] = {}
        super().__init__(base_dir, inst_data)

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> KeptSqliteEventLogStorage:
        return cls(config_value["base_dir"], inst_data)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            engine = self._engine(shard)
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.connect() as connection, connection.begin():
                yield connection

    def _engine(self, shard: str) -> Engine:
        if shard not in self._engines:
            # Runs come and go, the index stays: the shard of an older run is opened again when somebody looks at it.
            for other in [name for name in self._engines if name != INDEX_SHARD_NAME]:
                self._engines.pop(other).dispose()
            engine = create_engine(
                self.conn_string_for_shard(shard),
                poolclass=StaticPool,
                connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
            )
            event.listen(engine, "connect", _wait_for_the_journal_only)
            self._engines[shard] = engine
        return self._engines[shard]

    def dispose(self) -> None:
        """Close what is open."""
        with self._db_lock:
            while self._engines:
                self._engines.popitem()[1].dispose()
        super().dispose()


def _wait_for_the_journal_only(connection: Any, _record: Any) -> None:
    connection.execute("pragma synchronous = normal")
