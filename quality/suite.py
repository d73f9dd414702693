"""How a suite is written down: a table, the columns it looks at, and what is expected of them.

The suites themselves are in `bronze_suites`, `attribution_suites`, `growth_suites` and `fraud_suites`; `validation`
runs them.
Great Expectations is not imported here, so that a list of all checks costs nothing.

A suite sees *groups*, not rows: DuckDB evaluates `columns` on every row of the scope and groups equal results, with
their number beside them. So every row is covered, and a table of a hundred million rows still becomes a frame of some
thousand. A column should therefore be coarse: a code, a date, or a condition (`"amount < 0"`) rather than an id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from quality.outcome import Severity

KEY_COPIES: Final = "rows_with_this_key"


@dataclass(frozen=True, slots=True)
class Expectation:
    """An expectation class of Great Expectations (`kind`), its column and options, and why it must hold."""

    kind: str
    column: str
    why: str
    severity: Severity = "critical"
    options: Mapping[str, Any] = field(default_factory=dict)
    on_totals: bool = False


@dataclass(frozen=True, slots=True)
class Suite:
    """What must be true of one table.

    `columns` maps a name to DuckDB SQL evaluated per row of `table` (`layer.name`); `totals` to aggregates over the
    whole scope. `date_column` bounds a run to the dates it touched. A missing table fails with `missing_severity`.
    """

    name: str
    table: str
    columns: Mapping[str, str]
    expectations: tuple[Expectation, ...]
    date_column: str
    totals: Mapping[str, str] = field(default_factory=dict)
    missing_severity: Severity = "critical"


def plain(*names: str) -> dict[str, str]:
    """Columns taken as they are."""
    return {name: f'"{name}"' for name in names}


def key(*names: str) -> dict[str, str]:
    """A column with the number of rows that share a row's key; `is_unique` expects 1."""
    listed = ", ".join(f'"{name}"' for name in names)
    return {KEY_COPIES: f"count(*) over (partition by {listed})"}


def is_unique(why: str, severity: Severity = "critical") -> Expectation:
    return Expectation("ExpectColumnValuesToBeBetween", KEY_COPIES, why, severity, {"min_value": 1, "max_value": 1})


def is_filled(column: str, why: str, severity: Severity = "critical") -> Expectation:
    return Expectation("ExpectColumnValuesToNotBeNull", column, why, severity)


def is_one_of(column: str, values: Iterable[Any], why: str, severity: Severity = "critical") -> Expectation:
    """Nulls pass; add `is_filled` where they must not."""
    return Expectation("ExpectColumnValuesToBeInSet", column, why, severity, {"value_set": list(values)})


def is_between(
    column: str,
    low: float | None,
    high: float | None,
    why: str,
    severity: Severity = "critical",
    *,
    on_totals: bool = False,
) -> Expectation:
    options = {"min_value": low, "max_value": high}
    return Expectation("ExpectColumnValuesToBeBetween", column, why, severity, options, on_totals)


def is_like(column: str, regex: str, why: str, severity: Severity = "critical") -> Expectation:
    return Expectation("ExpectColumnValuesToMatchRegex", column, why, severity, {"regex": regex})


def never(column: str, why: str, severity: Severity = "critical") -> Expectation:
    """A condition that holds on no row; an unknown (null) one passes."""
    return Expectation("ExpectColumnValuesToBeInSet", column, why, severity, {"value_set": [False]})


def has_rows(why: str, severity: Severity = "warning") -> Expectation:
    return Expectation("ExpectTableRowCountToBeBetween", "", why, severity, {"min_value": 1})


def _never_all(conditions: dict[str, tuple[str, str, Severity]]) -> tuple[dict[str, str], tuple[Expectation, ...]]:
    columns = {name: sql for name, (sql, _, _) in conditions.items()}
    return columns, tuple(never(name, why, severity) for name, (_, why, severity) in conditions.items())


def mart(
    name: str,
    grain: tuple[str, ...],
    date_column: str,
    conditions: dict[str, tuple[str, str, Severity]],
    *expectations: Expectation,
    columns: dict[str, str] | None = None,
    totals: dict[str, str] | None = None,
    missing_severity: Severity = "critical",
    may_be_empty: bool = False,
) -> Suite:
    """The suite of a mart: its grain, conditions {name: (SQL, why, severity)} that hold on no row, and expectations.

    `may_be_empty`: no rows are no reason to look, as with postbacks of a publisher without an iOS app.
    """
    asked, nevers = _never_all(conditions)
    return Suite(
        name=name,
        table=f"gold.{name}",
        columns=plain("app_id") | (columns or {}) | key(*grain) | asked,
        expectations=(
            *(() if may_be_empty else (has_rows("an empty mart answers no question"),)),
            is_unique(f"one row per {' x '.join(grain)}"),
            is_filled("app_id", "a row belongs to an app"),
            *expectations,
            *nevers,
        ),
        date_column=date_column,
        totals=totals or {},
        missing_severity=missing_severity,
    )
