"""What DuckDB would do with a model's query, without doing it: which tables it joins on which keys.

Joins run in the order in which a model writes them (`lakehouse.dbt_plugin`), so a plan does not change with the data.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import duckdb

from lakehouse.dbt_plugin import create_apps_table, create_empty_views
from lakehouse.engine import PLAIN_JOINS, duckdb_type
from tests.dbt.world import Home

# Tables with one row per app, beside rules, which have a few: a join with them multiplies little.
_ONE_ROW_PER_APP = {"apps", "int_watermarks"}


class Planner:
    """Empty tables with the columns of a built lake."""

    def __init__(self, home: Home) -> None:
        self._connection = duckdb.connect()
        self._connection.execute(PLAIN_JOINS)
        for layer in ("bronze", "silver", "gold", "rules", "ml"):
            self._connection.execute(f"create schema {layer}")
            for table in home.lake.tables(layer):
                columns = ", ".join(f'"{field.name}" {duckdb_type(field.type)}' for field in home.lake.schema(table))
                self._connection.execute(f"create table {table.replace('/', '.')} ({columns})")
        create_empty_views(self._connection, dict.fromkeys(home.lake.tables("bronze") + home.lake.tables("ml"), 0))
        create_apps_table(self._connection, home.settings)

    def joins_on_the_app_alone(self, query: str) -> list[str]:
        """The inputs of every join by the app and no other key that has many rows per app on both sides."""
        [(_, text)] = self._connection.execute(f"explain (format json) {query}").fetchall()
        found = []
        for join in _operators(json.loads(text)):
            conditions = join["extra_info"].get("Conditions", [])
            listed = [conditions] if isinstance(conditions, str) else conditions
            if join["name"].strip() == "HASH_JOIN" and all(one.startswith("app_id = ") for one in listed):
                sides = [_tables(child) for child in join["children"]]
                if not any(_is_small(side) for side in sides):
                    found.append(" with ".join(", ".join(sorted(side)) for side in sides))
        return found

    def close(self) -> None:
        self._connection.close()


def _is_small(tables: set[str]) -> bool:
    return all(table in _ONE_ROW_PER_APP or table.startswith("rule_") or table == "EMPTY_RESULT" for table in tables)


def _operators(operators: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for operator in operators:
        yield operator
        yield from _operators(operator["children"])


def _tables(operator: dict[str, Any]) -> set[str]:
    scans = [one for one in _operators([operator]) if not one["children"]]
    return {str(one["extra_info"].get("Table", one["name"])).rpartition(".")[2] for one in scans}
