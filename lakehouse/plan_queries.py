"""What the parts of a plan ask alike: dates of a query, dates that follow, and which columns hold ids."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Final

import duckdb

DEVICE_IDS: Final = "gaid, idfa, oaid, idfv, app_set_id, android_id"
TOUCH_IDS: Final = f"click_id, {DEVICE_IDS}, user_id"


def dates_of(connection: duckdb.DuckDBPyConnection, sql: str) -> set[date]:
    """The dates that a query of one column gives, without null."""
    rows: Iterable[tuple[date | None]] = connection.execute(sql).fetchall()
    return {row[0] for row in rows if row[0] is not None}


def following(dates: set[date], days: int) -> set[date]:
    """The dates and as many days after each."""
    return {first + timedelta(days=n) for first in dates for n in range(days + 1)}


def count(connection: duckdb.DuckDBPyConnection, relation: str) -> int:
    """Rows of a relation, which may have a where clause."""
    return int(connection.execute(f"select count(*) from {relation}").fetchall()[0][0])


def prefixed(alias: str, columns: str) -> str:
    """Columns with the alias of their table before each."""
    return ", ".join(f"{alias}.{name}" for name in columns.split(", "))
