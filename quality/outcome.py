"""What a check says: plain values that Dagster metadata, the results table and the report can hold.

No check is run here. `severity` is `critical` (what reads the table must wait) or `warning` (a person should look).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Any, Final, Literal

Severity = Literal["critical", "warning"]
SAMPLE_SIZE: Final = 5


@dataclass(frozen=True, slots=True)
class ExpectationOutcome:
    """One expectation of a suite. `unexpected_count` counts table rows; `sample` holds up to five of them, in part."""

    name: str
    column: str
    severity: Severity
    success: bool
    why: str
    observed: str = ""
    unexpected_count: int = 0
    sample: tuple[dict[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class SuiteResult:
    """A suite on one table. `rows` were looked at, all of `scope`; `problem` says why nothing could be looked at."""

    suite: str
    table: str
    rows: int
    scope: str
    expectations: tuple[ExpectationOutcome, ...] = ()
    problem: str = ""
    problem_severity: Severity = "critical"
    seconds: float = field(default=0.0, compare=False)

    @property
    def success(self) -> bool:
        return not self.problem and all(e.success for e in self.expectations)

    @property
    def severity(self) -> Severity | None:
        """Worst severity among what failed; None when all is well."""
        failed = [e.severity for e in self.expectations if not e.success]
        return worst([*failed, self.problem_severity] if self.problem else failed)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"success": self.success, "severity": self.severity}


@dataclass(frozen=True, slots=True)
class InvariantResult:
    """An identity between tables. `expected` and `observed` are the sums over all compared rows, as text."""

    name: str
    promise: str
    severity: Severity
    success: bool
    expected: str
    observed: str
    detail: str
    compared: int = 0
    broken: int = 0
    sample: tuple[dict[str, str], ...] = ()
    seconds: float = field(default=0.0, compare=False)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class QualityReview:
    """All suites and invariants of one look at the lake."""

    suites: tuple[SuiteResult, ...]
    invariants: tuple[InvariantResult, ...]

    @property
    def success(self) -> bool:
        return self.severity is None

    @property
    def severity(self) -> Severity | None:
        failed = [i.severity for i in self.invariants if not i.success]
        return worst(failed + [s.severity for s in self.suites if s.severity is not None])


def worst(severities: Iterable[Severity]) -> Severity | None:
    """The worst of the severities; None if there is none."""
    found = set(severities)
    if not found:
        return None
    return "critical" if "critical" in found else "warning"


def as_text(value: Any) -> str:
    """A value as people read it; instants and dates in ISO 8601."""
    if value is None:
        return ""
    if isinstance(value, datetime) and value.tzinfo is None:
        value = value.date()  # instants are aware; pandas makes a naive one of a date
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def sample_of(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> tuple[dict[str, str], ...]:
    """Up to `SAMPLE_SIZE` rows as text by column."""
    found: list[dict[str, str]] = []
    for row in rows:
        if len(found) == SAMPLE_SIZE:
            break
        found.append({name: as_text(value) for name, value in zip(columns, row, strict=True)})
    return tuple(found)
