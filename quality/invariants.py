"""Comparing tables with each other: how an identity is written down, and how it is checked.

An invariant is SQL that lists what is compared as rows `(subject, expected, observed)`; it holds when the two agree in
every row. The identities themselves are in `identities`; what is true within one table belongs in a suite.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import duckdb

from lakehouse.contract import bronze_schemas
from lakehouse.engine import select_files
from quality.outcome import SAMPLE_SIZE, InvariantResult, Severity, as_text, sample_of
from quality.validation import table_columns


@dataclass(frozen=True, slots=True)
class Invariant:
    """`sql` gives rows (subject, expected, observed). `needs` are the tables it cannot do without.

    A bronze table that is not in `needs` counts as empty while it does not exist: nothing of that kind has come.
    """

    name: str
    promise: str
    why: str
    needs: tuple[str, ...]
    sql: str
    severity: Severity = "critical"

    @property
    def table(self) -> str:
        """The table that is judged: the last of `needs`."""
        return self.needs[-1]


def check_invariant(con: duckdb.DuckDBPyConnection, invariant: Invariant) -> InvariantResult:
    """Compare; a missing table or column is a failure that names it."""
    started = time.perf_counter()
    missing = [table for table in invariant.needs if not table_columns(con, table)]
    if missing:
        verb = "does" if len(missing) == 1 else "do"
        return _unchecked(invariant, f"{' and '.join(missing)} {verb} not exist", started)
    try:
        con.execute(f"create or replace temp table compared as {_with_empty_bronze(con, invariant)}")
    except duckdb.BinderException as error:
        return _unchecked(invariant, str(error).splitlines()[0].removeprefix("Binder Error: "), started)
    differ = "expected is distinct from observed"
    [row] = con.execute(
        f"select count(*), count(*) filter ({differ}), sum(expected), sum(observed) from compared"
    ).fetchall()
    broken_rows = con.execute(
        f"select subject, expected, observed from compared where {differ} order by subject limit {SAMPLE_SIZE}"
    ).fetchall()
    con.execute("drop table compared")
    compared, broken, expected, observed = row
    first = "; ".join(f"{s}: expected {_number(e)}, found {_number(o)}" for s, e, o in broken_rows)
    return InvariantResult(
        name=invariant.name,
        promise=invariant.promise,
        severity=invariant.severity,
        success=broken == 0,
        expected=_number(expected),
        observed=_number(observed),
        detail=first if broken else (invariant.why if compared else "nothing to compare yet"),
        compared=compared,
        broken=broken,
        sample=sample_of(("subject", "expected", "observed"), broken_rows),
        seconds=time.perf_counter() - started,
    )


def _number(value: object) -> str:
    return as_text(value) or "0"


def _unchecked(invariant: Invariant, reason: str, started: float) -> InvariantResult:
    return InvariantResult(
        name=invariant.name,
        promise=invariant.promise,
        severity=invariant.severity,
        success=False,
        expected="",
        observed="",
        detail=f"cannot be checked: {reason}",
        seconds=time.perf_counter() - started,
    )


def _with_empty_bronze(con: duckdb.DuckDBPyConnection, invariant: Invariant) -> str:
    sql = invariant.sql
    for key, schema in bronze_schemas().items():
        table = key.replace("/", ".")
        if table in sql and not table_columns(con, table):
            sql = sql.replace(table, f"({select_files(schema, [])})")
    return sql
