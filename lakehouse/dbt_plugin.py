"""The dbt-duckdb plugin: what dbt sees of the lake, and how a model becomes a Delta table.

On connecting it makes, once and before any model runs, the views `bronze|silver|gold|rules|ml.<table>` over the pinned
versions, `bronze_new.<table>` over the files that arrived since the consumed versions of the plan, `config.apps`, and
`config.rule_files`: which file each seed is read from.
Its `store` streams a query into a Delta table; the SQL side is `dbt_project/macros/materializations/`. Which dates a
run builds is decided in `lakehouse.plan`, not here.

Variables: `UNMOGROWP_SNAPSHOT` {table: version} (newest versions when absent), `UNMOGROWP_PLAN`, `UNMOGROWP_RUN_ID`;
with `UNMOGROWP_SCENARIO` (a name) everything is written beside the current tables, which are read as they are pinned.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa
from dbt.adapters.duckdb.plugins import BasePlugin
from dbt_common.exceptions import DbtRuntimeError

from lakehouse.apps import load_apps
from lakehouse.contract import bronze_schemas
from lakehouse.engine import (
    KEPT_FOOTERS,
    PLAIN_JOINS,
    PLAIN_JOINS_AND_SIDES,
    create_view_of,
    create_views,
    select_files,
    select_list,
)
from lakehouse.lake import Contents, Lake, SchemaChangeError, UnsupportedTableError
from lakehouse.plan import create_new_views, new_files
from lakehouse.predictions import PREDICTION_SCHEMAS
from lakehouse.processes import die_with_parent
from lakehouse.rules import check_rules, rule_files, seed_files
from lakehouse.settings import SettingError, Settings, load_settings

_LAYERS: Final = ("bronze", "silver", "gold", "rules", "ml")
_BATCH_ROWS: Final = 100_000
# What models write stays in memory for their readers, up to a quarter of DuckDB's memory, a table up to an eighth, if
# its files are small: with larger ones the whole build is 7 % slower and takes 1.2 GB more.
_KEPT_SHARE: Final = 4
_KEPT_FILE_BYTES: Final = 2**20
_log = logging.getLogger(__name__)


class ContractBreachError(Exception):
    """A column that the model's contract calls not_null holds a null."""


class Plugin(BasePlugin):  # type: ignore[misc]
    """One instance per dbt process; `store` is called from several threads at once."""

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        """Read the settings; a wrong one stops dbt with its sentence."""
        if os.environ.get("DAGSTER_DBT_CLI") == "true":
            die_with_parent()  # a killed run must not go on writing while the next one starts
        try:
            self._settings = dbt_settings(dict(os.environ), Path.cwd())
        except SettingError as error:
            raise DbtRuntimeError(str(error)) from None
        self._lake = Lake(self._settings.lake, self._settings.storage_options)
        scenario = os.environ.get("UNMOGROWP_SCENARIO")
        self._target = self._lake.scenario(scenario) if scenario else self._lake
        self._snapshot: dict[str, int] = {}
        self._room = Room(self._settings.memory_bytes // _KEPT_SHARE)
        self._connection: duckdb.DuckDBPyConnection | None = None

    def update_connection_config(self, creds: Any, config: dict[str, Any]) -> None:
        """Bound DuckDB by the settings of the home, also when dbt is called by hand."""
        self._settings.tmp_dir.mkdir(parents=True, exist_ok=True)
        config.update(
            threads=self._settings.threads,
            memory_limit=self._settings.memory_limit,
            temp_directory=str(self._settings.tmp_dir),
            autoinstall_known_extensions=False,
            autoload_known_extensions=False,
        )

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        """Make all views. A read-only connection (a second look at a kept database) is left as it is."""
        if conn.execute("select current_setting('access_mode')").fetchall()[0][0] == "read_only":
            return
        self._connection = conn
        self.configure_cursor(conn)
        conn.execute(KEPT_FOOTERS)
        plan = json.loads(os.environ.get("UNMOGROWP_PLAN") or "{}")
        is_partial = plan.get("mode") == "incremental"
        conn.execute(PLAIN_JOINS if is_partial else PLAIN_JOINS_AND_SIDES)
        pinned = json.loads(os.environ.get("UNMOGROWP_SNAPSHOT") or "null")
        try:
            self._snapshot = create_views(conn, self._lake, snapshot=pinned, layers=_LAYERS)
            create_empty_views(conn, self._snapshot)
            create_apps_table(conn, self._settings)
            create_rule_files_table(conn, self._settings)
            if is_partial:
                self._create_new_views(conn, plan.get("consumed", {}))
        except (UnsupportedTableError, SettingError) as error:
            raise DbtRuntimeError(str(error)) from error
        if pinned is None:
            # Printed, so that whoever calls dbt by hand knows which world the numbers come from.
            _log.warning("no snapshot given: reading the newest versions %s", json.dumps(self._snapshot))

    def configure_cursor(self, cursor: Any) -> None:
        cursor.execute("set TimeZone = 'UTC'")

    def store(self, target_config: Any) -> None:
        """Run `config.sql` on a cursor of its own and replace a table, or the rows of `config.replace_where`, with it.

        Nothing is committed unless the whole query succeeds. `config.rows` and `config.version` are filled in.
        """
        order = target_config.config
        table: str = target_config.location.path
        if self._connection is None:
            raise DbtRuntimeError(f"{table}: the database was opened read-only")
        cursor = self._connection.cursor()
        try:
            self.configure_cursor(cursor)
            keep = 0 if order["replace_where"] else self._room.per_table
            stream = cursor.sql(order["sql"]).to_arrow_reader(_BATCH_ROWS)
            checked = CheckedStream(stream, table, order["not_null"], keep_bytes=keep)
            try:
                written = self._target.overwrite(
                    table,
                    checked.reader,
                    replace_where=order["replace_where"],
                    partition_by=order["partition_by"],
                    description=order["description"],
                    metadata=self._metadata(order["replace_where"]),
                )
            except Exception as error:
                raise checked.breach or error from None
            order["rows"], order["version"] = checked.rows, written.version
            self._show(cursor, table, written, checked.kept)
        except (duckdb.Error, ContractBreachError, SchemaChangeError, UnsupportedTableError) as error:
            raise DbtRuntimeError(f"{table}: {error}") from error
        finally:
            cursor.close()

    def _show(self, cursor: duckdb.DuckDBPyConnection, table: str, written: Contents, kept: pa.Table | None) -> None:
        """What later models read: the rows just written while they are in memory anyway, or a view of the files."""
        layer, _, name = table.partition("/")
        if kept is None or not self._room.take(kept.nbytes, len(written.files)):
            create_view_of(cursor, table, written)
            return
        cursor.register("kept", kept)
        columns = select_list(written.schema)
        cursor.execute("begin")
        cursor.execute(f'drop view if exists {layer}."{name}"')
        cursor.execute(f'create or replace table {layer}."{name}" as select {columns} from kept')
        cursor.execute("commit")
        cursor.unregister("kept")

    def _metadata(self, replaced: str | None) -> dict[str, str]:
        bronze = {table: version for table, version in self._snapshot.items() if table.startswith(("bronze/", "ml/"))}
        run = os.environ.get("UNMOGROWP_RUN_ID")
        return {"snapshot": json.dumps(bronze, sort_keys=True), "replaced": replaced or "all"} | (
            {"run_id": run} if run else {}
        )

    def _create_new_views(self, conn: duckdb.DuckDBPyConnection, consumed: Mapping[str, int]) -> None:
        new = {t: new_files(self._lake, t, consumed.get(t), self._snapshot.get(t)) for t in bronze_schemas()}
        create_new_views(conn, self._lake, new, self._snapshot)


class Room:
    """How much of what was written may stay in memory for the models that read it; DuckDB spills beyond its limit.

    A table of hundreds of small daily files takes longer to open than to read, and a dozen models and tests read it.
    One of larger files costs less to read again than to copy.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.per_table = limit_bytes // 2
        self._left = limit_bytes
        self._lock = threading.Lock()

    def take(self, size: int, files: int) -> bool:
        """Whether `size` bytes of a table of `files` files are to stay and still have room; they are counted if so."""
        if size > files * _KEPT_FILE_BYTES:
            return False
        with self._lock:
            if size > self._left:
                return False
            self._left -= size
            return True


class CheckedStream:
    """A record batch reader that counts rows and remembers the first null in a column that must have none.

    `kept` has all rows afterwards, unless they are more than `keep_bytes`.
    """

    def __init__(self, source: pa.RecordBatchReader, table: str, not_null: list[str], *, keep_bytes: int = 0) -> None:
        self._source = source
        self._table = table
        self._not_null = not_null
        self._keep_bytes = keep_bytes
        self._batches_kept: list[pa.RecordBatch] | None = [] if keep_bytes else None
        self.rows = 0
        self.breach: ContractBreachError | None = None
        self.reader = pa.RecordBatchReader.from_batches(source.schema, self._batches())

    def _batches(self) -> Iterator[pa.RecordBatch]:
        for batch in self._source:
            for name in self._not_null:
                if nulls := batch.column(name).null_count:
                    self.breach = ContractBreachError(
                        f"column {name} is null in {nulls} of {batch.num_rows} rows, its contract says not_null"
                    )
                    raise self.breach
            self.rows += batch.num_rows
            self._keep(batch)
            yield batch

    def _keep(self, batch: pa.RecordBatch) -> None:
        if self._batches_kept is None:
            return
        self._keep_bytes -= batch.nbytes
        if self._keep_bytes < 0:
            self._batches_kept = None
        else:
            self._batches_kept.append(batch)

    @property
    def kept(self) -> pa.Table | None:
        """All rows, None if they were too many."""
        if self._batches_kept is None:
            return None
        return pa.Table.from_batches(self._batches_kept, self._source.schema)


def dbt_settings(environ: dict[str, str], folder: Path) -> Settings:
    """Settings as dbt needs them: called inside `dbt_project/`, the default home is beside that folder."""
    if not environ.get("UNMOGROWP_HOME") and (folder / "dbt_project.yml").is_file():
        environ["UNMOGROWP_HOME"] = str(folder.resolve().parent / ".unmogrowp")
    return load_settings(environ)


def create_empty_views(conn: duckdb.DuckDBPyConnection, existing: Mapping[str, int]) -> None:
    """Empty views of the bronze and prediction tables that do not exist yet, so that an empty lake builds."""
    for table, schema in (bronze_schemas() | PREDICTION_SCHEMAS).items():
        if table not in existing:
            layer, _, name = table.partition("/")
            conn.execute(f'create or replace view {layer}."{name}" as {select_files(schema, [])}')


def create_apps_table(conn: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """`config.apps`: what rules need to know of each app of the home."""
    conn.execute("create schema if not exists config")
    conn.execute(
        "create or replace table config.apps (app_id varchar, platform varchar, time_zone varchar, currency varchar,"
        " implied_installs boolean)"
    )
    for app in sorted(load_apps(settings).apps.values(), key=lambda app: app.app_id):
        conn.execute(
            "insert into config.apps values (?, ?, ?, ?, ?)",
            [app.app_id, app.platform, app.time_zone, app.currency, app.implied_installs],
        )


def create_rule_files_table(conn: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """`config.rule_files`: for every seed the home's file that replaces it (or null), and what is wrong with the rules.

    A wrong file stops its seed, so it also stops a build that was started by hand; a file that replaces no seed stops
    all of them, as nobody would notice that it is not read.
    """
    conn.execute("create schema if not exists config")
    conn.execute("create or replace table config.rule_files (name varchar, path varchar, problem varchar)")
    seeds = seed_files(settings.dbt_project)
    faults = check_rules(settings.dbt_project, settings.rules_dir)
    astray = [fault for fault in faults if fault.file.removesuffix(".csv") not in seeds]
    for name, file in rule_files(settings.dbt_project, settings.rules_dir).items():
        wrong = [fault.sentence for fault in faults if fault.file == file.name or fault in astray]
        path = None if file == seeds[name] else str(file)
        conn.execute("insert into config.rule_files values (?, ?, ?)", [name, path, " ".join(wrong) or None])
