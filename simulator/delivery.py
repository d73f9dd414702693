"""Out of the world: to a sender, chunk by chunk, or to files. What is sent is made in `days`; how it travels is the
caller's."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lakehouse.contract import FIELDS, Kind, Origin
from simulator.blocks import Block
from simulator.days import DayBatch
from simulator.manifest import DayEntry, Manifest
from simulator.text import raw
from simulator.world import World

Format = Literal["ndjson", "parquet"]
FILE_BYTES: Final = 256 * 1024 * 1024  # a file is closed at the end of the day that reaches this


def deliver(
    world: World,
    send: Callable[[str, bytes], object],
    *,
    days: Collection[int] | None = None,
    truth: Path | None = None,
    progress: Callable[[str], None] | None = None,
    chunk_records: int = 1000,
    flush: Callable[[], None] | None = None,
) -> Manifest:
    """Send a world in chunks of NDJSON: `send(app_id, body)`, each chunk of one app, in order.

    `days` are those to send, by default all of the world. With a `truth` folder, the manifest is kept in
    `truth`/<world id> after every day, and days that stand there already are not sent again; when all days of the
    world are delivered, the truth is written beside it. A day that broke off is sent again whole: its records have the
    same ids. `progress` gets a short text now and then. A `send` that returns before its chunk is taken needs `flush`,
    which waits for all of them: it is called before a day is noted as delivered.
    """
    config = world.config
    folder = None if truth is None else truth / config.world_id
    held = None if folder is None else Manifest.load(folder)
    manifest = held or Manifest(config.world_id, config.seed, config.events, str(config.start), (), is_new=False)
    wanted = sorted(set(range(config.days) if days is None else days) - set(manifest.days))
    tell = progress or (lambda _: None)
    for number, batch in enumerate(world.stream(wanted), 1):
        digest, sent, size = hashlib.sha256(), 0, 0
        for chunk in batch.chunks(chunk_records):
            send(chunk.app_id, chunk.data)
            digest.update(chunk.data)
            sent, size = sent + chunk.records, size + len(chunk.data)
        if flush is not None:
            flush()
        manifest = manifest.with_day(_entry(world, batch, sent, size, digest.hexdigest()))
        if folder is not None:
            manifest.save(folder)
        tell(f"day {number} of {len(wanted)}, {manifest.records:,} records")
    if truth is not None and manifest.covers(range(config.days)) and (wanted or not _has_truth(folder)):
        world.truth().write(truth)
    return replace(manifest, is_new=bool(wanted))


def write_files(
    world: World,
    folder: Path,
    format: Format = "ndjson",
    *,
    days: Collection[int] | None = None,
    file_bytes: int = FILE_BYTES,
) -> list[Path]:
    """Write days to files named by their first and last day; a new file begins with a day.

    `ndjson` is the stream to the byte. `parquet` has a column per field of the contract and a row per record, copies
    included; damaged records cannot be told in columns and are left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    writer = _NdjsonFile if format == "ndjson" else _ParquetFile
    files: list[Path] = []
    current: _NdjsonFile | _ParquetFile | None = None
    for batch in world.stream(days):
        if current is None:
            current = writer(folder, world.config.world_id, batch.day)
        for block in batch.blocks():
            current.write(block)
        current.last = batch.day
        if current.size >= file_bytes:
            files.append(current.close())
            current = None
    if current is not None:
        files.append(current.close())
    return files


class _NdjsonFile:
    """A file under a hidden name until it is whole."""

    suffix = "ndjson"

    def __init__(self, folder: Path, name: str, first: int) -> None:
        self._folder, self._name, self.first, self.last, self.size = folder, name, first, first, 0
        self._temporary = folder / f".{name}-d{first:03d}.{self.suffix}"
        self._open()

    def _open(self) -> None:
        self._stream = self._temporary.open("wb")

    def write(self, block: Block) -> None:
        if block.lines is not None:
            data, starts = raw(block.lines)
            self.size += self._stream.write(data[starts[0] : starts[-1]])

    def _finish(self) -> None:
        self._stream.close()

    def close(self) -> Path:
        self._finish()
        return self._temporary.replace(self._folder / f"{self._name}-d{self.first:03d}-d{self.last:03d}.{self.suffix}")


class _ParquetFile(_NdjsonFile):
    suffix = "parquet"

    def _open(self) -> None:
        self._writer: pq.ParquetWriter | None = None

    def write(self, block: Block) -> None:
        if block.lines is None or block.is_damaged is None:
            return
        table = _columns(pc.filter(block.lines, pa.array(~block.is_damaged)))
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._temporary, table.schema, compression="zstd")
        self._writer.write_table(table)
        self.size = self._temporary.stat().st_size

    def _finish(self) -> None:
        if self._writer is not None:
            self._writer.close()


def _columns(lines: Any) -> pa.Table:
    """Good lines as columns of the contract: money as decimals, instants and dates as such, the rest as sent."""
    import polars as pl  # slow to import, and only needed for Parquet

    types = {Kind.INTEGER: pl.Int64(), Kind.BOOLEAN: pl.Boolean(), Kind.MONEY: pl.Float64()}
    fields = [f for f in FIELDS if f.origin is Origin.SENDER]
    data, starts = raw(lines)
    frame = pl.read_ndjson(
        BytesIO(data[starts[0] : starts[-1]]), schema={f.name: types.get(f.kind, pl.String()) for f in fields}
    )
    instants = [f.name for f in fields if f.kind is Kind.INSTANT]
    dates = [f.name for f in fields if f.kind is Kind.DATE]
    money = [f.name for f in fields if f.kind is Kind.MONEY]
    return frame.with_columns(
        pl.col(instants).str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="us").dt.replace_time_zone("UTC"),
        pl.col(dates).str.to_date(),
        pl.col(money).round(6).cast(pl.Decimal(18, 6)),  # exact: amounts here have less than 15 digits
    ).to_arrow()


def _entry(world: World, batch: DayBatch, sent: int, size: int, digest: str) -> DayEntry:
    counts = world.counts(batch.day)
    return DayEntry(
        day=batch.day,
        date=str(batch.date),
        records=sent,
        unique_records=counts.unique,
        copies=counts.copies,
        damaged_records=counts.damaged,
        bytes=size,
        sha256=digest,
    )


def _has_truth(folder: Path | None) -> bool:
    from simulator.truth import TABLES

    return folder is not None and all((folder / f"{name}.parquet").is_file() for name in TABLES)
