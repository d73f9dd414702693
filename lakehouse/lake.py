"""The Delta tables of one tenant: the only code that opens or writes a Delta table.

Tables are named `layer/name` below one root, a local folder or an object store URI. Log files are read by
`lakehouse.delta_log`. What a table means lives in
`lakehouse.contract` (bronze) and in `dbt_project/` (silver, gold); queries live in `lakehouse.engine`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import pyarrow as pa
from deltalake import ColumnProperties, CommitProperties, DeltaTable, Transaction, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from lakehouse.delta_log import added_files, batch_files, commit_file, newest_version
from lakehouse.table_shapes import SchemaChangeError, UnsupportedTableError, refuse_unsupported, require_same_schema

__all__ = ["LAYERS", "Contents", "Lake", "Merged", "SchemaChangeError", "UnsupportedTableError"]

LAYERS: Final = ("bronze", "silver", "gold", "rules", "ml", "meta")
# Layers that only `overwrite` writes, which replaces all files or keeps the schema. Others grow by columns.
_UNIFORM: Final = ("silver/", "gold/", "rules/")
_COMMIT_TRIES: Final = 8
# Bronze is written once and kept: ZSTD-1, 30 to 40 % smaller. Models are written again and again, a small file for each
# day they touch, and ZSTD is set up anew for every column of every file: Snappy writes them in half the processor time.
# Row groups as DuckDB has them, each held until it is whole: merging into 128 MiB takes 200 MB, a million rows 440.
_KEPT: Final = {"compression": "ZSTD", "compression_level": 1, "max_row_group_size": 122_880}
_REBUILT: Final = {"compression": "SNAPPY", "max_row_group_size": 122_880}
# With instants, what seldom repeats in a model: a dictionary of it would be as long as the column. Without, the largest
# models are a tenth to a sixth smaller, sooner written, and take a sixth less memory.
_ROW_IDS: Final = frozenset({"record_id", "payload_hash", "conversion_id", "touch_id", "click_id"})
# A checkpoint every 10 commits halves the time of a commit. A commit every few seconds makes tens of thousands of log
# files a day, which every opening lists: a week is kept. A platform that rested longer plans a full refresh.
_TABLE_PROPERTIES: Final = {"delta.checkpointInterval": "10", "delta.logRetentionDuration": "interval 7 days"}


@dataclass(frozen=True, slots=True)
class Contents:
    """What one version of a table consists of: Arrow schema, partition columns included, and data files.

    `is_uniform` if every file has every column.
    """

    version: int
    schema: pa.Schema
    files: list[str]
    is_uniform: bool
    _handle: DeltaTable

    @property
    def rows(self) -> int:
        """Rows by the log's statistics."""
        return int(self._handle.count())

    @property
    def files_typical_first(self) -> list[str]:
        """The files, before all others the one whose number of rows is nearest to the mean."""
        rows = pa.table(self._handle.get_add_actions())["num_records"].to_pylist()
        if None in rows or not rows:
            return self.files
        by_file = zip((_local_path(uri) for uri in self._handle.file_uris()), rows, strict=True)
        _, typical = min((abs(count * len(rows) - sum(rows)), file) for file, count in by_file)
        return [typical, *(file for file in self.files if file != typical)]

    @property
    def committed_at(self) -> datetime:
        """When this version was written, UTC."""
        return datetime.fromtimestamp(self._handle.history(1)[0]["timestamp"] / 1000, tz=UTC)


@dataclass(frozen=True, slots=True)
class Merged:
    """What compaction did: files before and after."""

    before: int
    after: int


class Lake:
    """All Delta tables below one root. Cheap to make; holds no handle open."""

    def __init__(self, root: str | Path, storage_options: Mapping[str, str] | None = None) -> None:
        self.root = str(root).rstrip("/")
        self.storage_options = dict(storage_options or {})
        self.is_local = "://" not in self.root

    def uri(self, table: str) -> str:
        """Address of a table `layer/name`."""
        layer, _, name = table.partition("/")
        if layer not in LAYERS or not name or "/" in name:
            raise ValueError(
                f"not a table name: {table!r}; expected <layer>/<name> with a layer of {', '.join(LAYERS)}"
            )
        return f"{self.root}/{table}"

    def open(self, table: str, version: int | None = None) -> DeltaTable:
        """The table at a version (newest when None). FileNotFoundError if it does not exist."""
        try:
            return DeltaTable(self.uri(table), version=version, storage_options=self.storage_options or None)
        except TableNotFoundError:
            raise FileNotFoundError(f"table {table} does not exist below {self.root}") from None

    def exists(self, table: str) -> bool:
        if self.is_local:
            return newest_version(self.uri(table)) is not None
        return bool(DeltaTable.is_deltatable(self.uri(table), storage_options=self.storage_options or None))

    def version(self, table: str) -> int:
        """Newest version. FileNotFoundError if the table does not exist."""
        newest = newest_version(self.uri(table)) if self.is_local else None
        return int(self.open(table).version()) if newest is None else newest

    def schema(self, table: str, version: int | None = None) -> pa.Schema:
        """Arrow schema, partition columns included."""
        return pa.schema(self.open(table, version).schema().to_arrow())

    def tables(self, layer: str) -> list[str]:
        """Names `layer/name` of the tables of a layer, sorted."""
        if self.is_local:
            folder = Path(self.root) / layer
            names = [p.parent.name for p in folder.glob("*/_delta_log")] if folder.is_dir() else []
        else:
            from pyarrow import fs

            filesystem, path = fs.FileSystem.from_uri(f"{self.root}/{layer}")
            infos = filesystem.get_file_info(fs.FileSelector(path, allow_not_found=True))
            names = [Path(info.path).name for info in infos if info.type is fs.FileType.Directory]
        return [f"{layer}/{name}" for name in sorted(names) if self.exists(f"{layer}/{name}")]

    def pin(self, layers: Iterable[str] = LAYERS) -> dict[str, int]:
        """Newest version of every table: the snapshot that one run works on."""
        return {table: self.version(table) for layer in layers for table in self.tables(layer)}

    def files(self, table: str, version: int | None = None) -> list[str]:
        """Paths or URIs of the data files of a version; refuses tables that files alone do not describe."""
        return self.contents(table, version).files

    def contents(self, table: str, version: int | None = None) -> Contents:
        """Schema and data files of a version (newest when None) in one look; refuses what `files` refuses."""
        return self._contents(table, self.open(table, version))

    def _contents(self, table: str, handle: DeltaTable) -> Contents:
        refuse_unsupported(table, handle)
        return Contents(
            version=int(handle.version()),
            schema=pa.schema(handle.schema().to_arrow()),
            files=sorted(_local_path(uri) for uri in handle.file_uris()),
            is_uniform=table.startswith(_UNIFORM),
            _handle=handle,
        )

    def file_count(self, table: str, partition: tuple[str, str]) -> int:
        """Data files of a partition (column, value) in the newest version."""
        column, value = partition
        return len(self.open(table).file_uris(file_pruning_predicate=[(column, "=", value)]))

    def files_added(self, table: str, after: int, until: int) -> list[str] | None:
        """Data files that commits `after` < v <= `until` brought as new data; None if that cannot be told.

        Compaction brings no new data: files that it has replaced since are named by the path that they still have.
        Told from the log's own files, so for local lakes only, and as long as log and files reach back.
        """
        if not self.is_local:
            return None
        refuse_unsupported(table, self.open(table, until))
        folder, found = Path(self.uri(table)), []
        try:
            for version in range(after + 1, until + 1):
                found += added_files(folder, version, data_change=True)
        except FileNotFoundError:
            return None
        return sorted(str(path) for path in found) if all(path.is_file() for path in found) else None

    def compact(
        self, table: str, partition: tuple[str, str], *, target_bytes: int, distinct: Sequence[str] = ()
    ) -> Merged:
        """Merge the files of a partition (column, value) that are smaller than `target_bytes`, durably.

        Rows stay what they are. The old files stay too, until `vacuum`, for whoever reads an older version.
        """
        handle = self.open(table)
        column, value = partition
        names = set(self.schema(table).names)
        metrics = handle.optimize.compact(
            partition_filters=[(column, "=", value)],
            target_size=target_bytes,
            max_concurrent_tasks=1,
            writer_properties=_writer_properties(_KEPT, [name for name in distinct if name in names]),
        )
        if metrics["numFilesAdded"]:
            self._fsync_commit(table, int(handle.version()))
        return Merged(int(metrics["numFilesRemoved"]), int(metrics["numFilesAdded"]))

    def vacuum(self, table: str, *, keep_hours: int) -> int:
        """Delete files that no version of the last `keep_hours` hours needs; how many went."""
        return len(self.open(table).vacuum(retention_hours=keep_hours, dry_run=False))

    def row_count(self, table: str, version: int | None = None) -> int:
        """Rows of a version, from the log's statistics."""
        return int(self.open(table, version).count())

    def partition_columns(self, table: str) -> list[str]:
        return list(self.open(table).metadata().partition_columns)

    def commits(self, table: str, after: int, until: int) -> list[dict[str, Any]]:
        """Commit infos of versions `after` < v <= `until`, oldest first; fewer if the log no longer reaches back."""
        entries = self.open(table, until).history(until - after) if until > after else []
        return sorted((e for e in entries if after < int(e["version"]) <= until), key=lambda e: int(e["version"]))

    def version_at(self, table: str, instant: datetime) -> int:
        """Newest version committed until an instant; 0, in which a table is made empty, if it is younger.

        FileNotFoundError if the log no longer reaches back to the instant.
        """
        commits = self.open(table).history()
        until = instant.timestamp() * 1000
        known = [int(entry["version"]) for entry in commits if int(entry["timestamp"]) <= until]
        if not known and all(int(entry["version"]) > 0 for entry in commits):
            raise FileNotFoundError(f"the log of {table} no longer reaches back to {instant.isoformat()}")
        return max(known, default=0)

    def scenario(self, name: str) -> Lake:
        """The tables of a scenario: a lake of its own below this one, which no layer of this one contains."""
        return Lake(f"{self.root}/scenarios/{name}", self.storage_options)

    def create(
        self, table: str, schema: pa.Schema, partition_by: Sequence[str] = (), description: str | None = None
    ) -> DeltaTable:
        """Make an empty table unless it exists."""
        return DeltaTable.create(
            self.uri(table),
            schema=schema,
            mode="ignore",
            partition_by=list(partition_by),
            name=table.partition("/")[2],
            description=description,
            configuration=_TABLE_PROPERTIES,
            storage_options=self.storage_options or None,
        )

    def append_once(
        self,
        table: str,
        data: pa.Table | pa.RecordBatchReader,
        *,
        writer: str,
        batch: int,
        metadata: Mapping[str, str] | None = None,
        distinct: Sequence[str] = (),
    ) -> bool:
        """Append `data` as batch number `batch` of `writer`, durably and exactly once.

        The table must exist. False if the table already has this batch (numbers grow by writer). When the call returns,
        the commit survives power loss: local files and folders are fsynced, as deltalake does not do it. `distinct`
        names columns whose values seldom repeat: a dictionary for them would cost a third of the writing time.
        """
        for attempt in range(_COMMIT_TRIES):
            handle = self.open(table)
            done = handle.transaction_version(writer)
            if done is not None and done >= batch:
                self.sync()  # an earlier try may have committed and died before its fsync
                again = f"{writer}~again"
                landed_again = handle.transaction_version(again)
                broken = self._broken_commit(table, writer, batch)
                if not broken and (landed_again is None or landed_again < batch):
                    return False
                # Power went between commit and fsync: the log has the batch, the disk has not. Its rows come again,
                # under another name, as the log will never forget the first.
                for path in broken:
                    path.unlink(missing_ok=True)
                if broken:
                    handle.repair()
                return self.append_once(table, data, writer=again, batch=batch, metadata=metadata, distinct=distinct)
            if isinstance(data, pa.RecordBatchReader):
                data = data.read_all()  # a retry needs the rows again
            try:
                write_deltalake(
                    handle,
                    data,
                    mode="append",
                    schema_mode="merge",
                    writer_properties=_writer_properties(_KEPT, distinct),
                    commit_properties=CommitProperties(
                        custom_metadata=dict(metadata or {}),
                        app_transactions=[Transaction(writer, batch)],
                        max_commit_retries=0,
                    ),
                )
            except (CommitFailedError, DeltaError) as error:
                # The commit may have been written in spite of the error: the next round looks at the log first.
                if attempt == _COMMIT_TRIES - 1 or not _is_conflict(error):
                    raise
                time.sleep(0.02 * 2**attempt)
            else:
                self._fsync_commit(table, int(handle.version()))
                return True
        raise AssertionError("unreachable")

    def overwrite(
        self,
        table: str,
        data: pa.Table | pa.RecordBatchReader,
        *,
        replace_where: str | None = None,
        partition_by: Sequence[str] = (),
        description: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Contents:
        """Replace the whole table, or the rows that match `replace_where`; what it consists of now.

        A partial replace keeps the schema: SchemaChangeError otherwise. Every row must match `replace_where`.
        """
        known = self.open(table) if self.exists(table) else None
        partial = known is not None and replace_where is not None
        if known is not None and partial:
            require_same_schema(table, pa.schema(known.schema().to_arrow()), data.schema)
        write_deltalake(
            self.uri(table) if known is None else known,
            data,
            mode="overwrite",
            predicate=replace_where if partial else None,
            schema_mode=None if partial or known is None else "overwrite",
            partition_by=list(partition_by) or None,
            name=table.partition("/")[2] if known is None else None,
            description=description if known is None else None,
            configuration=_TABLE_PROPERTIES if known is None else None,
            writer_properties=_writer_properties(_REBUILT, _of_one_row(data.schema)),
            commit_properties=CommitProperties(custom_metadata=dict(metadata or {}), max_commit_retries=_COMMIT_TRIES),
            storage_options=self.storage_options or None,
        )
        # The handle that wrote has the new version; opening the table reads the log again.
        return self._contents(table, known) if known is not None else self.contents(table)

    def sync(self) -> None:
        """Make everything written so far survive power loss (object stores do it by themselves)."""
        if self.is_local:
            os.sync()

    def _broken_commit(self, table: str, writer: str, batch: int) -> list[Path]:
        """All data files of the commit of a batch if one of them is not whole on the local disk; else none.

        Files that were merged since are sound: merging has read them.
        """
        if not self.is_local:
            return []
        current = {Path(file) for file in self.files(table)}
        kept = [(path, size) for path, size in batch_files(Path(self.uri(table)), writer, batch) if path in current]
        is_whole = all(path.is_file() and path.stat().st_size == size for path, size in kept)
        return [] if is_whole else [path for path, _ in kept]

    def _fsync_commit(self, table: str, version: int) -> None:
        if not self.is_local:
            return
        folder = Path(self.uri(table))
        log = commit_file(folder, version)
        paths = set(added_files(folder, version))
        folders = {path.parent for path in paths} | {log.parent, folder, folder.parent, folder.parent.parent}
        for path in [*sorted(paths), log, *sorted(folders)]:
            _fsync(path)


def _of_one_row(schema: pa.Schema) -> list[str]:
    return [f.name for f in schema if f.name in _ROW_IDS or pa.types.is_timestamp(f.type)]


def _writer_properties(codec: Mapping[str, Any], distinct: Sequence[str] = ()) -> WriterProperties:
    plain = ColumnProperties(dictionary_enabled=False)
    return WriterProperties(**codec, column_properties=dict.fromkeys(distinct, plain) or None)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _local_path(uri: str) -> str:
    return unquote(uri.removeprefix("file://")) if uri.startswith("file://") else uri


def _is_conflict(error: Exception) -> bool:
    return isinstance(error, CommitFailedError) or "ransaction" in str(error)
