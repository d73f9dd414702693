"""The compiled SQL of the attribution models over a small world, in a DuckDB in memory: dbt once, then only queries.

Here belongs how rows get into the models and out of them; what they must be is in `reference.py`.
"""

from __future__ import annotations

import csv
import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa
import yaml

from lakehouse.contract import bronze_schemas
from tests.dbt.rulebook import Record, World
from tests.dbt.runner import PROJECT

MARTS = ("attributed_events", "attributed_installs")
_REFERENCE = re.compile(r'"memory"\."(?:silver|gold)"\."(\w+)"')
_INPUTS = {"touches": "bronze_touchpoints", "events": "bronze_app_events", "consents": "bronze_consents"}
_RULES = {
    "windows": "rule_attribution_windows",
    "policies": "rule_policies",
    "partners": "rule_partners",
    "rates": "fx_rates",
}


class Models:
    """The models by name, run in the order in which they read each other. One world at a time."""

    def __init__(self, sql: Mapping[str, str]) -> None:
        self.sql = dict(sql)
        self._connection = duckdb.connect(config={"threads": 1})
        self._connection.execute("set TimeZone = 'UTC'")
        self._connection.execute("create schema bronze; create schema silver; create schema gold;")
        self._connection.execute("create schema rules; create schema config")
        self._connection.execute("set search_path = 'gold,silver'")
        self._connection.execute(
            "create table config.apps (app_id varchar, platform varchar, time_zone varchar, currency varchar,"
            " implied_installs boolean)"
        )
        for table, schema in bronze_schemas().items():
            self._fill(table.replace("/", "."), schema.empty_table(), is_new=True)
        for seed in described_seeds():
            self._load_seed(seed["name"], seed["config"]["column_types"])
        self._order = order_of(self.sql)

    def run(self, world: World) -> None:
        """Put the world in and build every model."""
        for name, table in _INPUTS.items():
            schema = bronze_schemas()[f"bronze/{table}"]
            rows = [bronze_row(record) for record in getattr(world, name)]
            columns = [pa.array([row.get(f.name) for row in rows], f.type) for f in schema]
            self._fill(f"bronze.{table}", pa.Table.from_arrays(columns, schema=schema), is_new=True)
        for name, table in _RULES.items():
            lines = [dataclasses.asdict(line) for line in getattr(world.rules, name)]
            self._fill(f"rules.{table}", pa.Table.from_pylist(lines))
        self._fill("config.apps", pa.Table.from_pylist([dataclasses.asdict(app) for app in world.apps]))
        for name in self._order:
            layer = "gold" if name.startswith("attribut") else "silver"
            self._connection.execute(f"create or replace table {layer}.{name} as {self.sql[name]}")

    def rows(self, table: str, columns: Sequence[str]) -> list[tuple[Any, ...]]:
        """Rows of a built model, in no order; instants in UTC."""
        found: list[tuple[Any, ...]] = self._connection.execute(f"select {', '.join(columns)} from {table}").fetchall()
        return found

    def close(self) -> None:
        self._connection.close()

    def _fill(self, table: str, rows: pa.Table, *, is_new: bool = False) -> None:
        self._connection.register("incoming", rows)
        if is_new:
            self._connection.execute(f"create or replace table {table} as select * from incoming")
        else:
            self._connection.execute(f"delete from {table}")
            self._connection.execute(f"insert into {table} by name select * from incoming")
        self._connection.unregister("incoming")

    def _load_seed(self, name: str, types: Mapping[str, str]) -> None:
        self._connection.execute(f"create table rules.{name} ({', '.join(f'{c} {t}' for c, t in types.items())})")
        with (PROJECT / "seeds" / f"{name}.csv").open(encoding="utf-8", newline="") as lines:
            rows = [{column: text or None for column, text in row.items()} for row in csv.DictReader(lines)]
        for row in rows:
            self._connection.execute(
                f"insert into rules.{name} ({', '.join(row)}) values ({', '.join('?' * len(row))})", list(row.values())
            )


def described_seeds() -> list[dict[str, Any]]:
    files = sorted((PROJECT / "seeds").glob("_*.yml"))
    seeds = [seed for file in files for seed in yaml.safe_load(file.read_text(encoding="utf-8"))["seeds"]]
    return [seed for seed in seeds if "column_types" in seed.get("config", {})]


def order_of(sql: Mapping[str, str]) -> list[str]:
    """The models so that each comes after those it reads."""
    placed: list[str] = []

    def place(name: str) -> None:
        for other in sorted(set(_REFERENCE.findall(sql[name]))):
            if other not in placed:
                place(other)
        placed.append(name)

    for name in sorted(sql):
        if name not in placed:
            place(name)
    return placed


def bronze_row(record: Record) -> dict[str, Any]:
    """The record as ingestion lands it."""
    return dataclasses.asdict(record) | {
        "event_date": record.day,
        "ingest_date": record.received_at.date(),
        "is_event_at_missing": False,
        "source": "sdk",
        "properties": "{}",
    }
