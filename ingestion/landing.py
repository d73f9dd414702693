"""The landing lane: sealed segments become Delta commits, one at a time, each exactly once.

A segment's number is the batch number of its writer. It lands in several tables whose commits are not atomic together:
each is checked by itself, and the segment is deleted when all have it. Whatever fails is tried again, with growing
pauses, for ever; the spool holds the records meanwhile. Rows are made in `ingestion.tables`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from queue import SimpleQueue
from typing import Final, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from ingestion import tables
from ingestion.frames import Damage, Frame, Request, read_frames
from ingestion.lander import OnCommitted, OnLanded
from ingestion.reasons import Rejected, reject
from ingestion.upkeep import Upkeep
from lakehouse import engine
from lakehouse.contract import RECORD_TABLES, bronze_schemas
from lakehouse.lake import Lake
from lakehouse.settings import Settings

log: Final = logging.getLogger("ingestion.landing")
EVENT_DATES: Final = "unmogrowp.event_dates"
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 10.0


class Segments(Protocol):
    """What landing needs of a spool: sealed segments by batch number."""

    @property
    def writer(self) -> str: ...

    def path(self, batch: int) -> Path: ...

    def set_aside(self, batch: int, damage: Damage) -> None: ...

    def landed(self, batch: int) -> None: ...


class Lane:
    """One thread that lands the sealed segments of one spool."""

    def __init__(
        self,
        settings: Settings,
        *,
        on_landed: OnLanded = lambda *_: None,
        on_committed: OnCommitted = lambda *_: None,
        on_failed: Callable[[int], None] = lambda failures: None,
    ) -> None:
        self._lake = Lake(settings.lake, settings.storage_options)
        self._settings = settings
        self._on_landed, self._on_committed, self._on_failed = on_landed, on_committed, on_failed
        self._queue: SimpleQueue[int | None] = SimpleQueue()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="landing", daemon=True)
        self._upkeep = Upkeep(self._lake, tables.DISTINCT)
        self._connection = engine.connect(settings, lake=self._lake, layers=())
        self.spool: Segments | None = None
        self.failures = 0  # in a row; 0 when landing works

    def prepare(self) -> None:
        """Make the bronze tables that do not exist yet."""
        for table, schema in bronze_schemas().items():
            if self._lake.exists(table):
                continue
            try:
                self._lake.create(table, schema, partition_by=("ingest_date",))
            except Exception:
                if not self._lake.exists(table):  # an import that starts at the same moment may have made it
                    raise

    def start(self, spool: Segments) -> None:
        self.spool = spool
        self._thread.start()

    def enqueue(self, batch: int) -> None:
        self._queue.put(batch)

    def stop(self, seconds: float) -> bool:
        """Land all that was enqueued and end; False if it did not work in time (the spool keeps the rest)."""
        self._queue.put(None)
        self._thread.join(seconds)
        self._stopping.set()
        ended = not self._thread.is_alive()
        if ended:
            self._connection.close()
        return ended

    def _run(self) -> None:
        while (batch := self._queue.get()) is not None:
            while not self._stopping.is_set():
                try:
                    self._land(batch)
                except Exception:
                    # The named boundary: whatever went wrong, the segment is kept and tried again.
                    pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**self.failures)
                    self.failures += 1
                    self._on_failed(self.failures)
                    log.exception("batch %d did not land; next try in %.1f s", batch, pause)
                    self._stopping.wait(pause)
                else:
                    self.failures = 0
                    break

    def _land(self, batch: int) -> None:
        assert self.spool is not None
        started = time.perf_counter()
        data = self.spool.path(batch).read_bytes()
        frames: list[Frame] = []
        received_at = self.spool.path(batch).stat().st_mtime_ns // 1_000
        for item in read_frames(data):
            if isinstance(item, Damage):
                self.spool.set_aside(batch, item)
                item = _damaged_frame(item, received_at)
            frames.append(item)
        counts: dict[str, int] = {}
        days: dict[str, date] = {}
        for table, rows in self._rows(frames, batch):
            dates = tables.event_dates(rows)
            metadata = {EVENT_DATES: dates} if dates else None
            began = time.perf_counter()
            is_new = self._lake.append_once(
                table,
                rows,
                writer=self.spool.writer,
                batch=batch,
                metadata=metadata,
                distinct=[name for name in tables.DISTINCT if name in rows.column_names],
            )
            files = len(pc.unique(rows.column("ingest_date"))) if is_new else 0
            self._on_committed(table, files, time.perf_counter() - began)
            counts[table] = rows.num_rows
            days[table] = pc.max(rows.column("ingest_date")).as_py()
        self.spool.landed(batch)
        self._on_landed(batch, counts, time.perf_counter() - started)
        for table, day in days.items():
            self._upkeep.committed(table, day)

    def _rows(self, frames: list[Frame], batch: int) -> list[tuple[str, pa.Table]]:
        assert self.spool is not None
        result: list[tuple[str, pa.Table]] = []
        network: list[pa.Table] = []
        for index, table in enumerate(RECORD_TABLES):
            rows = tables.record_rows(self._connection, index, frames)
            if rows is not None:
                stored, told = tables.split_network(table, rows)
                result.append((table.key, stored))
                network += [told] if told is not None and told.num_rows else []
        if network:
            result.append(("bronze/bronze_network", pa.concat_tables(network)))
        rejects = tables.reject_rows(self._connection, frames)
        if rejects is not None:
            result.append(("bronze/bronze_rejects", rejects))
        receipts = tables.receipt_rows(self._connection, frames, writer=self.spool.writer, batch=batch)
        result.append(("bronze/bronze_receipts", receipts))
        return result


def _damaged_frame(damage: Damage, received_at: int) -> Frame:
    """Damaged bytes as a request of one reject, so that received = accepted + rejected holds for them too."""
    verdict = Rejected("spool_corrupt", f"{len(damage.raw)} bytes at {damage.offset} of the segment are damaged")
    request = Request(None, "spool", "sdk", f"damage-{damage.offset}", received_at, len(damage.raw))
    return Frame(request, 0, [], [reject(0, damage.raw, verdict)])
