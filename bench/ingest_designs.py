"""The designs behind `docs/adr/0003-spool-and-landing.md`, beside what lost: `python -m bench.ingest_designs`.

Each row is CPU time per record (of all threads), the least of five rounds, as wall time swings with what else runs.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from bench.ingest_load import APP, events
from ingestion import tables
from ingestion.frames import Frame, Request, encode_frame, read_frames
from ingestion.records import RECORD
from ingestion.spool import Spool
from ingestion.validator import Sender, Validator
from lakehouse import engine
from lakehouse.contract import FIELDS, RECORD_TABLES, Kind
from lakehouse.contract import Origin as FieldOrigin
from lakehouse.lake import Lake
from lakehouse.settings import load_settings

_RECORDS: Final = 50_000
_ROUNDS: Final = 5
_NOW: Final = datetime(2026, 3, 2, tzinfo=UTC)
_TABLE: Final = 1  # bronze_app_events


def run() -> list[dict[str, Any]]:
    """Rows {name, value, unit}."""
    with tempfile.TemporaryDirectory(prefix="unmogrowp-designs-") as folder:
        settings = load_settings({"UNMOGROWP_HOME": folder, "UNMOGROWP_SALT": "x" * 40})
        lines = events(_RECORDS)
        bodies = [lines[start : start + 1_000] for start in range(0, _RECORDS, 1_000)]
        validator, sender = Validator(settings), Sender({APP})
        checked = [validator.check(body, sender, _NOW) for body in bodies]
        request = Request(APP, "/v1/events", "s2s", "q", 1_772_409_600_000_000, 1)
        frames = [f for c in checked for f in read_frames(encode_frame(request, c)) if isinstance(f, Frame)]
        door = _door(validator, sender, bodies)
        landing = _landing(settings, frames)
        spool = _spool(Path(folder))
    return [*door, *landing, *spool]


def _door(validator: Validator, sender: Sender, bodies: list[list[bytes]]) -> list[dict[str, Any]]:
    decode = msgspec.json.Decoder(RECORD).decode
    untyped = msgspec.json.Decoder().decode
    return [
        _row("door: decode only (limit)", _RECORDS, lambda: [[decode(line) for line in body] for body in bodies]),
        _row("door: decode to dicts", _RECORDS, lambda: [[untyped(line) for line in body] for body in bodies]),
        _row("door: check and encode (kept)", _RECORDS, lambda: [validator.check(b, sender, _NOW) for b in bodies]),
    ]


def _landing(settings: Any, frames: list[Frame]) -> list[dict[str, Any]]:
    table = RECORD_TABLES[_TABLE]
    slices = [s for frame in frames for s in frame.sections if s.table == _TABLE]
    count = sum(s.count for s in slices)
    payload = b"".join(s.payload for s in slices)
    sent = [f for f in FIELDS if f.types & frozenset(table.record_types) and f.origin is FieldOrigin.SENDER]
    schema = pa.schema([pa.field(f.name, f.arrow_type) for f in sent])
    options = pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error")
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    with engine.connect(settings, layers=()) as connection:
        rows = tables.record_rows(connection, _TABLE, frames)
        assert rows is not None
        stored, _ = tables.split_network(table, rows)
        lake = Lake(settings.lake)
        lake.create(table.key, table.schema, partition_by=("ingest_date",))
        batches = iter(range(1, 1_000))

        def append(distinct: list[str]) -> None:
            lake.append_once(table.key, stored, writer="w", batch=next(batches), distinct=distinct)

        def decode_kept() -> None:
            tables.record_rows(connection, _TABLE, frames)

        def arrow_reader() -> None:
            pj.read_json(pa.BufferReader(payload), parse_options=options)

        def python_columns() -> None:
            decoded = [decode(line) for line in payload.split(b"\n") if line]
            for field in sent:
                values = [record.get(field.name) for record in decoded]
                kind = pa.string() if field.kind in {Kind.INSTANT, Kind.DATE} else field.arrow_type
                pa.array(values, kind).cast(field.arrow_type)

        def trimmed_in_sql() -> None:
            ids = [f.column for f in table.fields if f.kind in {Kind.ID, Kind.DEVICE_ID}]
            chosen = ", ".join(f"case when trim({c}, '0- ') <> '' then trim({c}) end as {c}" for c in ids)
            connection.register("stored", stored)
            connection.sql(f"select {chosen} from stored").to_arrow_table()

        def trimmed_in_arrow() -> None:
            for field in table.fields:
                column = stored.column(field.column)
                if field.kind in {Kind.ID, Kind.DEVICE_ID} and column.null_count < count:
                    pc.ascii_trim(pc.ascii_trim(column, characters=" "), characters="0- ")

        distinct = [name for name in tables.DISTINCT if name in stored.column_names]
        return [
            _row(
                "landing: DuckDB json_transform + Arrow kernels (kept)",
                count,
                lambda: tables.record_rows(connection, _TABLE, frames),
            ),
            _row(
                "landing: pyarrow.json, explicit schema",
                count,
                lambda: pj.read_json(pa.BufferReader(payload), parse_options=options),
            ),
            _row("landing: msgspec, Python columns, Arrow", count, python_columns),
            _row("landing: trim ids in DuckDB SQL", count, trimmed_in_sql),
            _row("landing: trim ids in Arrow kernels (kept)", count, trimmed_in_arrow),
            _row("landing: append, dictionaries for all columns", count, lambda: append([])),
            _row("landing: append, none for ids (kept)", count, lambda: append(distinct)),
        ]


def _spool(folder: Path) -> list[dict[str, Any]]:
    """Frames made durable a second by 64 writers that each wait for theirs."""
    frame = b"x" * 500
    result = []
    for name, share in (("spool: one fdatasync for all that wait (kept)", True), ("spool: one fdatasync each", False)):
        done = [0]
        deadline = time.monotonic() + 2.0
        if share:
            spool = Spool(
                folder / "spool",
                kind="bench",
                segment_bytes=1 << 30,
                segment_seconds=3_600,
                backlog_bytes=1 << 30,
                notify=_wake,
            )
            spool.start()
            threads = [threading.Thread(target=_write_shared, args=(spool, frame, deadline, done)) for _ in range(64)]
        else:
            descriptor = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            lock = threading.Lock()
            arguments = (descriptor, lock, frame, deadline, done)
            threads = [threading.Thread(target=_write_alone, args=arguments) for _ in range(64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if share:
            spool.close()
            spool.release()
        result.append({"name": name, "value": done[0] / 2.0, "unit": "frames/s"})
    return result


def _write_shared(spool: Spool, frame: bytes, deadline: float, done: list[int]) -> None:
    while time.monotonic() < deadline:
        event = threading.Event()
        spool.append(frame, event)
        event.wait()
        done[0] += 1


def _wake(tokens: list[Any], error: OSError | None) -> None:
    for token in tokens:
        token.set()


def _write_alone(descriptor: int, lock: threading.Lock, frame: bytes, deadline: float, done: list[int]) -> None:
    while time.monotonic() < deadline:
        with lock:
            os.write(descriptor, frame)
            os.fdatasync(descriptor)
        done[0] += 1


def _row(name: str, count: int, work: Callable[[], object]) -> dict[str, Any]:
    times = []
    for _ in range(_ROUNDS):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return {"name": name, "value": min(times) * 1e6 / count, "unit": "µs CPU/record"}


if __name__ == "__main__":
    for row in run():
        sys.stdout.write(f"{row['name']:<56} {row['value']:>10,.2f} {row['unit']}\n")
