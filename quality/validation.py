"""Running a suite with Great Expectations: the only module that imports it.

It opens no table: it gets a DuckDB connection with the lake's views (`lakehouse.engine.connect`), so that a check sees
the same pinned versions as the run it belongs to. Results are values of `outcome`; storing them is `history`'s work.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterable, Mapping
from datetime import date
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import duckdb

from quality.outcome import SAMPLE_SIZE, ExpectationOutcome, Severity, SuiteResult, as_text, sample_of
from quality.suite import Expectation, Suite

if TYPE_CHECKING:
    import pandas as pd

# More groups than this mean that a suite groups by something too fine; it then sees the rarest and says so.
GROUP_LIMIT: Final = 200_000
_WEIGHT: Final = "row_count"

Dates = tuple[date, date]


def validate_suite(con: duckdb.DuckDBPyConnection, suite: Suite, dates: Dates | None = None) -> SuiteResult:
    """Run one suite on all rows, or on those with `date_column` between `dates` (both included).

    A table or a column that does not exist is a failure that names it, not an error and not a pass.
    """
    started = time.perf_counter()
    scope = "all rows" if dates is None else f"{suite.date_column} {dates[0]} to {dates[1]}"
    present = table_columns(con, suite.table)
    if not present or (dates is not None and suite.date_column not in present):
        lack = f"column {suite.date_column} of {suite.table}" if present else f"table {suite.table}"
        return _unchecked(suite, scope, f"{lack} does not exist", suite.missing_severity, started)
    rows = "" if dates is None else f" where \"{suite.date_column}\" between '{dates[0]}' and '{dates[1]}'"
    source = f"(select * from {suite.table}{rows})"
    columns, lost = _bindable(con, suite.table, suite.columns)
    totals, lost_totals = _bindable(con, suite.table, suite.totals)
    lost |= lost_totals
    try:
        groups = con.execute(_grouped(source, columns)).df()
        row = con.execute(f"select {_select_list(totals)}, 1 as {_WEIGHT} from {source}").df() if totals else None
    except duckdb.DataError as error:
        return _unchecked(suite, scope, f"cannot be checked: {str(error).splitlines()[0]}", "critical", started)
    found: dict[int, ExpectationOutcome] = {}
    wanted = list(enumerate(suite.expectations))
    found |= {place: _lost(e, lost[e.column]) for place, e in wanted if e.column in lost}
    found |= _run([(p, e) for p, e in wanted if p not in found and not e.on_totals], groups)
    if row is not None:
        found |= _run([(p, e) for p, e in wanted if p not in found], row)
    if len(groups) == GROUP_LIMIT:
        scope += f", rarest {GROUP_LIMIT:,} groups"
    return SuiteResult(
        suite.name,
        suite.table,
        rows=int(groups[_WEIGHT].sum()),
        scope=scope,
        expectations=tuple(found[place] for place, _ in wanted),
        seconds=time.perf_counter() - started,
    )


def _unchecked(suite: Suite, scope: str, problem: str, severity: Severity, started: float) -> SuiteResult:
    return SuiteResult(
        suite.name,
        suite.table,
        rows=0,
        scope=scope,
        problem=problem,
        problem_severity=severity,
        seconds=time.perf_counter() - started,
    )


def table_columns(con: duckdb.DuckDBPyConnection, table: str) -> list[str]:
    """Column names of `layer.name`; empty if there is no such table."""
    schema, _, name = table.partition(".")
    found = con.execute(
        "select column_name from duckdb_columns() where schema_name = ? and table_name = ? order by column_index",
        [schema, name],
    ).fetchall()
    return [str(column) for (column,) in found]


def _bindable(
    con: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """The columns that DuckDB can evaluate, and for the others what is wrong."""
    try:
        if columns:
            con.execute(f"explain select {_select_list(columns)} from {table}")
        return dict(columns), {}
    except duckdb.BinderException:
        pass  # one of them is wrong; which one is found by asking for each alone
    good, lost = {}, {}
    for name, sql in columns.items():
        try:
            con.execute(f"explain select {sql} from {table}")
        except duckdb.BinderException as error:
            lost[name] = str(error).splitlines()[0].removeprefix("Binder Error: ")
        else:
            good[name] = sql
    return good, lost


def _grouped(source: str, columns: Mapping[str, str]) -> str:
    if not columns:
        return f"select count(*) as {_WEIGHT} from {source} having count(*) > 0"
    names = ", ".join(f'"{name}"' for name in columns)
    return (
        f"select {names}, count(*) as {_WEIGHT} from (select {_select_list(columns)} from {source}) "
        f"group by all order by {_WEIGHT}, {names} limit {GROUP_LIMIT}"
    )


def _select_list(columns: Mapping[str, str]) -> str:
    return ", ".join(f'{sql} as "{name}"' for name, sql in columns.items())


def _run(wanted: list[tuple[int, Expectation]], frame: pd.DataFrame) -> dict[int, ExpectationOutcome]:
    """Outcome of each expectation on a frame of groups, by its place in the suite."""
    if not wanted:
        return {}
    # Most expectations hold, and asking only whether they do takes half the time; the others are asked for their rows.
    answers = _ask(wanted, frame, {"result_format": "BOOLEAN_ONLY"})
    failed = [(place, e) for place, e in wanted if not answers[place].success]
    if failed:
        form = {"result_format": "COMPLETE", "unexpected_index_column_names": list(frame.columns)}
        answers |= _ask(failed, frame, form)
    return {place: _outcome(e, answers[place]) for place, e in wanted}


def _ask(wanted: list[tuple[int, Expectation]], frame: pd.DataFrame, result_format: dict[str, Any]) -> dict[int, Any]:
    gx = _great_expectations()
    built = [
        getattr(gx.expectations, e.kind)(
            **({"column": e.column} if e.column else {}), **e.options, severity=e.severity, meta={"place": place}
        )
        for place, e in wanted
    ]
    batch = gx.frames.get_batch(batch_parameters={"dataframe": frame})
    result = batch.validate(gx.suite(name="suite", expectations=built), result_format=result_format)
    return {r.expectation_config.meta["place"]: r for r in result.results}


def _outcome(expectation: Expectation, answer: Any) -> ExpectationOutcome:
    result = answer.result
    groups: list[dict[str, Any]] = result.get("unexpected_index_list") or []
    count = sum(int(group[_WEIGHT]) for group in groups)
    if answer.success:
        observed = "as expected"
    elif not result:
        observed = _exception_text(answer.exception_info)
    elif "observed_value" in result:
        observed = as_text(result["observed_value"])
    elif expectation.options.get("value_set") == [False]:
        observed = f"{count:,} rows"
    else:
        values = sorted({as_text(group[expectation.column]) or "null" for group in groups})
        observed = ", ".join(values[:SAMPLE_SIZE]) + (", ..." if len(values) > SAMPLE_SIZE else "")
    names = list(groups[0]) if groups else []
    return ExpectationOutcome(
        name=_snake(expectation.kind),
        column=expectation.column,
        severity=expectation.severity,
        success=bool(answer.success),
        why=expectation.why,
        observed=observed,
        unexpected_count=0 if answer.success else count,
        sample=() if answer.success else sample_of(names, ([g[n] for n in names] for g in groups)),
    )


def _lost(expectation: Expectation, reason: str) -> ExpectationOutcome:
    return ExpectationOutcome(
        name=_snake(expectation.kind),
        column=expectation.column,
        severity=expectation.severity,
        success=False,
        why=expectation.why,
        observed=f"cannot be evaluated: {reason}",
    )


def _exception_text(info: Mapping[str, Any]) -> str:
    """First message of Great Expectations' nested exception info."""
    entries: Iterable[Any] = [info] if "exception_message" in info else info.values()
    messages = [str(e["exception_message"]) for e in entries if e.get("exception_message")]
    return f"cannot be evaluated: {messages[0] if messages else info}"


def _snake(kind: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind).lower()


@cache
def _great_expectations() -> SimpleNamespace:
    """Great Expectations with one in-memory context per process; the import costs seconds, so it happens once."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations
    import great_expectations.expectations as expectations
    from great_expectations.data_context.types.base import ProgressBarsConfig

    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    context = great_expectations.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("lake").add_dataframe_asset("groups")
    return SimpleNamespace(
        expectations=expectations,
        suite=great_expectations.ExpectationSuite,
        frames=asset.add_batch_definition_whole_dataframe("all"),
    )
