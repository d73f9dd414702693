"""What the checks said, kept in the Delta table `meta/quality_results`: a row per expectation or invariant and run."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

import duckdb
import pyarrow as pa

from lakehouse.lake import Lake
from quality.outcome import InvariantResult, SuiteResult
from quality.validation import table_columns

TABLE: Final = "meta/quality_results"
SCHEMA: Final = pa.schema(
    [
        pa.field("run_id", pa.string(), nullable=False, metadata={"comment": "Run that asked for the check"}),
        pa.field("checked_at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("kind", pa.string(), nullable=False, metadata={"comment": "suite or invariant"}),
        pa.field("subject", pa.string(), nullable=False, metadata={"comment": "Name of the suite or invariant"}),
        pa.field("position", pa.int64(), nullable=False, metadata={"comment": "Place within the subject"}),
        pa.field("expectation", pa.string(), nullable=False),
        pa.field("column_name", pa.string(), nullable=False),
        pa.field("severity", pa.string(), nullable=False, metadata={"comment": "critical or warning"}),
        pa.field("is_success", pa.bool_(), nullable=False),
        pa.field("why", pa.string(), nullable=False, metadata={"comment": "What the check protects, or what failed"}),
        pa.field("expected", pa.string(), nullable=False),
        pa.field("observed", pa.string(), nullable=False),
        pa.field("unexpected_count", pa.int64(), nullable=False, metadata={"comment": "Rows that broke it"}),
        pa.field("row_count", pa.int64(), nullable=False, metadata={"comment": "Rows, or comparisons, looked at"}),
        pa.field("scope", pa.string(), nullable=False),
        pa.field("sample", pa.string(), nullable=False, metadata={"comment": "Up to five failures, as JSON"}),
    ]
)


def record(
    lake: Lake, results: Iterable[SuiteResult | InvariantResult], *, run_id: str, checked_at: datetime
) -> int | None:
    """Store results under `run_id` (aware UTC `checked_at`); the table's version, None if there is nothing to store.

    Storing the same subjects of a run again replaces them, so that a repeated step leaves one answer.
    """
    rows = [row for result in results for row in _rows(result, run_id, checked_at)]
    if not rows:
        return None
    subjects = sorted({row["subject"] for row in rows})
    listed = ", ".join(_quoted(subject) for subject in subjects)
    lake.create(TABLE, SCHEMA, description="What the quality checks said, one row per expectation or invariant and run")
    written = lake.overwrite(
        TABLE,
        pa.Table.from_pylist(rows, schema=SCHEMA),
        replace_where=f"run_id = {_quoted(run_id)} and subject in ({listed})",
        metadata={"run_id": run_id},
    )
    return written.version


def latest(con: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Newest answer of every check as rows of `SCHEMA`, by kind, subject and place; empty before the first run.

    The connection must have been opened after the results were stored.
    """
    if not table_columns(con, TABLE.replace("/", ".")):
        return []
    answer = con.execute(
        f"select * from {TABLE.replace('/', '.')} "
        "qualify dense_rank() over (partition by kind, subject order by checked_at desc, run_id desc) = 1 "
        "order by kind, subject, position"
    )
    names = [column[0] for column in answer.description]
    return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]


def _rows(result: SuiteResult | InvariantResult, run_id: str, checked_at: datetime) -> Iterable[dict[str, Any]]:
    shared: dict[str, Any] = {"run_id": run_id, "checked_at": checked_at}
    if isinstance(result, InvariantResult):
        yield shared | {
            "kind": "invariant",
            "subject": result.name,
            "position": 0,
            "expectation": result.promise,
            "column_name": "",
            "severity": result.severity,
            "is_success": result.success,
            "why": result.detail,
            "expected": result.expected,
            "observed": result.observed,
            "unexpected_count": result.broken,
            "row_count": result.compared,
            "scope": "all rows",
            "sample": json.dumps(result.sample),
        }
        return
    shared |= {"kind": "suite", "subject": result.suite, "row_count": result.rows, "scope": result.scope}
    if result.problem:
        yield shared | {
            "position": 0,
            "expectation": "expect_table_to_exist",
            "column_name": "",
            "severity": result.problem_severity,
            "is_success": False,
            "why": result.problem,
            "expected": "",
            "observed": "",
            "unexpected_count": 0,
            "sample": "[]",
        }
    for position, outcome in enumerate(result.expectations):
        yield shared | {
            "position": position,
            "expectation": outcome.name,
            "column_name": outcome.column,
            "severity": outcome.severity,
            "is_success": outcome.success,
            "why": outcome.why,
            "expected": "",
            "observed": outcome.observed,
            "unexpected_count": outcome.unexpected_count,
            "sample": json.dumps(outcome.sample),
        }


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
