"""DuckDB as a compute engine over the lake: the only code that opens a DuckDB connection or writes view SQL.

The engine keeps no file of its own. Tables appear as views `layer.name` over the pinned list of data files, which is
about five times faster than the Arrow dataset and needs no extension to download.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from lakehouse.lake import LAYERS, Contents, Lake
from lakehouse.settings import Settings

# For the SQL of models: joins run in the order they are written in. An order guessed from estimates changes with the
# data, and has joined on the app alone, which squares the installs of an app.
PLAIN_JOINS: Final = "set global disabled_optimizers = 'join_order'"
# Where everything is built, the right table of a join is the one kept in memory, as written; guessed, it was often the
# larger one, for up to twice the memory and time. A later run joins a few dates to all of history.
PLAIN_JOINS_AND_SIDES: Final = "set global disabled_optimizers = 'join_order,build_side_probe_side'"

# Data files never change once written: their footers are kept, and nobody looks twice.
KEPT_FOOTERS: Final = (
    "set global parquet_metadata_cache = true; set global validate_external_file_cache = 'NO_VALIDATION'"
)

_DUCKDB_TYPES: Final = {
    pa.string(): "varchar",
    pa.large_string(): "varchar",
    pa.string_view(): "varchar",
    pa.binary(): "blob",
    pa.large_binary(): "blob",
    pa.binary_view(): "blob",
    pa.int8(): "tinyint",
    pa.int16(): "smallint",
    pa.int32(): "integer",
    pa.int64(): "bigint",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.bool_(): "boolean",
    pa.date32(): "date",
}


def connect(
    settings: Settings,
    *,
    lake: Lake | None = None,
    snapshot: Mapping[str, int] | None = None,
    layers: Sequence[str] = LAYERS,
) -> duckdb.DuckDBPyConnection:
    """An in-memory connection in UTC, bounded in memory (it spills below the home), with views of the lake's tables.

    `snapshot` pins {table: version}; a table that it does not name is pinned to its newest version.
    """
    settings.tmp_dir.mkdir(parents=True, exist_ok=True)
    connection = duckdb.connect(
        ":memory:",
        config={
            "threads": settings.threads,
            "memory_limit": settings.memory_limit,
            "temp_directory": str(settings.tmp_dir),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        },
    )
    connection.execute("set TimeZone = 'UTC'")
    connection.execute(KEPT_FOOTERS)
    create_views(connection, lake or Lake(settings.lake, settings.storage_options), snapshot=snapshot, layers=layers)
    return connection


class PinnedEngine:
    """One connection for the steps of a run: its views follow the snapshot, and those that stay are not made anew.

    Making all views opens every data file's footer, which for a long history takes seconds; a run has a dozen steps.
    """

    def __init__(self, settings: Settings, lake: Lake) -> None:
        self.connection = connect(settings, lake=lake, layers=())
        self._lake = lake
        self._shown: dict[str, int] = {}

    def show(self, snapshot: Mapping[str, int]) -> None:
        """Views of exactly the versions that `snapshot` names."""
        for table in self._shown.keys() - snapshot.keys():
            layer, _, name = table.partition("/")
            self.connection.execute(f'drop view {layer}."{name}"')
            del self._shown[table]
        for table, version in sorted(snapshot.items()):
            if self._shown.get(table) != version:
                self.connection.execute(f"create schema if not exists {table.partition('/')[0]}")
                create_view(self.connection, self._lake, table, version)
                self._shown[table] = version

    def forget(self) -> None:
        """Drop the tables and views that a step has made for itself, temporary ones too.

        A table with a comment stays: whoever wrote the comment can tell from it whether the table still fits.
        """
        made = self.connection.execute(
            "select 'table', database_name, table_name from duckdb_tables() "
            "where schema_name = 'main' and comment is null union all "
            "select 'view', database_name, view_name from duckdb_views() where schema_name = 'main' and not internal"
        ).fetchall()
        for kind, database, name in made:
            self.connection.execute(f'drop {kind} {database}.main."{name}"')

    def close(self) -> None:
        self.connection.close()


def create_views(
    connection: duckdb.DuckDBPyConnection,
    lake: Lake,
    *,
    snapshot: Mapping[str, int] | None = None,
    layers: Sequence[str] = LAYERS,
) -> dict[str, int]:
    """Make a schema per layer and a view per table; the versions the views read."""
    pinned: dict[str, int] = {}
    for layer in layers:
        connection.execute(f"create schema if not exists {layer}")
        for table in lake.tables(layer):
            version = snapshot[table] if snapshot is not None and table in snapshot else lake.version(table)
            create_view(connection, lake, table, version)
            pinned[table] = version
    return pinned


def create_view(
    connection: duckdb.DuckDBPyConnection, lake: Lake, table: str, version: int | None = None, *, schema: str = ""
) -> None:
    """Make or replace the view `layer.name` (or `schema.name`) over the files of one version."""
    create_view_of(connection, table, lake.contents(table, version), schema=schema)


def create_view_of(connection: duckdb.DuckDBPyConnection, table: str, found: Contents, *, schema: str = "") -> None:
    """The same of contents that are known already."""
    layer, _, name = table.partition("/")
    if found.is_uniform:
        sql = select_files(found.schema, found.files_typical_first, is_uniform=True)
    else:
        sql = select_files(found.schema, found.files)
    connection.execute(f'create or replace view {schema or layer}."{name}" as {sql}')


def select_files(schema: pa.Schema, files: Sequence[str], *, is_uniform: bool = False) -> str:
    """SQL that reads data files as the given columns, also when there is no file at all.

    Of `is_uniform` files each has every column, and the first one about as many rows as the mean.
    """
    if not files:
        nulls = ", ".join(f'null::{duckdb_type(f.type)} as "{f.name}"' for f in schema)
        return f"select {nulls} where false"
    listed = ", ".join(_quote(file) for file in files)
    # Partition values stand in the path only. Types are cast above, so inference from the path is switched off.
    # union_by_name reads every footer, and again for every query that names the table: a fifth of a millisecond a file.
    # Without it the optimizer takes the first file's rows times the number of files for the size of the table, and
    # picks join orders that never end when that file is small.
    return (
        f"select {select_list(schema)} from read_parquet([{listed}], hive_partitioning = true, "
        f"hive_types_autocast = false, union_by_name = {str(not is_uniform).lower()})"
    )


def select_list(schema: pa.Schema) -> str:
    """SQL list of all columns of a table, each as the type that it has in our views."""
    return ", ".join(f'"{field.name}"::{duckdb_type(field.type)} as "{field.name}"' for field in schema)


def duckdb_type(kind: pa.DataType) -> str:
    """DuckDB type that an Arrow type of a Delta table is read as; ValueError for a type no table of ours has."""
    if pa.types.is_timestamp(kind):
        return "timestamptz" if kind.tz else "timestamp"
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"{duckdb_type(kind.value_type)}[]"
    try:
        return _DUCKDB_TYPES[kind]
    except KeyError:
        raise ValueError(f"no DuckDB type for Arrow type {kind}") from None


def _quote(text: str) -> str:
    return "'" + str(Path(text) if "://" not in text else text).replace("'", "''") + "'"
