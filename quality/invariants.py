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


def balance(key: str, expected: str, observed: str) -> str:
    """SQL that compares two queries giving (key columns, n) by key; a key on one side only counts 0 on the other."""
    return f"""
        select concat_ws(' ', {key}) as subject, sum(expected) as expected, sum(observed) as observed
        from (
            select {key}, coalesce(n, 0) as expected, 0 as observed from ({expected})
            union all
            select {key}, 0 as expected, coalesce(n, 0) as observed from ({observed})
        )
        group by {key}
    """


def same_keys(label: str, key: str, source: str, target: str) -> str:
    """SQL that compares keys: each of `source` is in `target` exactly once, and `target` has no other."""
    return f"""
        with keys as (
            select {key}, max(in_source) as in_source, sum(in_target) as in_target
            from (
                select {key}, 1 as in_source, 0 as in_target from {source}
                union all
                select {key}, 0 as in_source, 1 as in_target from {target}
            )
            group by {key}
        )
        select '{label}, each exactly once' as subject, coalesce(sum(in_source), 0) as expected,
               count(*) filter (in_source = 1 and in_target = 1) as observed
        from keys
        union all
        select '{label}, unknown ones' as subject, 0 as expected,
               count(*) filter (in_source = 0) as observed
        from keys
    """


def check_invariant(con: duckdb.DuckDBPyConnection, invariant: Invariant) -> InvariantResult:
    """Compare; what cannot be compared (a missing table or column, an overflow) is a failure that names it."""
    started = time.perf_counter()
    missing = [table for table in invariant.needs if not table_columns(con, table)]
    if missing:
        verb = "does" if len(missing) == 1 else "do"
        return _unchecked(invariant, f"{' and '.join(missing)} {verb} not exist", started)
    try:
        con.execute(f"create or replace temp table compared as {_with_empty_bronze(con, invariant)}")
    except (duckdb.BinderException, duckdb.DataError) as error:
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
