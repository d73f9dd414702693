"""Every check by name, and one look at all of them: what the command line and the Dagster checks call."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import duckdb

from quality.attribution_suites import ATTRIBUTION_SUITES
from quality.bronze_suites import BRONZE_SUITES
from quality.cost_suites import COST_SUITES
from quality.finality_suites import FINALITY_SUITES
from quality.fraud_suites import FRAUD_SUITES
from quality.growth_suites import GROWTH_SUITES
from quality.identities import INVARIANTS
from quality.invariants import check_invariant
from quality.outcome import InvariantResult, QualityReview, SuiteResult
from quality.skan_suites import SKAN_SUITES
from quality.suite import Suite
from quality.validation import Dates, validate_suite

SUITES: Final[dict[str, Suite]] = {
    suite.name: suite
    for suite in (
        *BRONZE_SUITES,
        *ATTRIBUTION_SUITES,
        *GROWTH_SUITES,
        *SKAN_SUITES,
        *COST_SUITES,
        *FRAUD_SUITES,
        *FINALITY_SUITES,
    )
}


def validate(con: duckdb.DuckDBPyConnection, suite_name: str, dates: Dates | None = None) -> SuiteResult:
    """Run a suite by name on a connection of `lakehouse.engine.connect`; KeyError if there is no such suite.

    `dates` bounds the look to partitions from first to last, both included (what a run touched).
    """
    return validate_suite(con, SUITES[suite_name], dates)


def compare(con: duckdb.DuckDBPyConnection, invariant_name: str) -> InvariantResult:
    """Check an invariant by name, always over all rows; KeyError if there is no such invariant."""
    return check_invariant(con, INVARIANTS[invariant_name])


def review(
    con: duckdb.DuckDBPyConnection,
    *,
    suites: Iterable[str] | None = None,
    invariants: Iterable[str] | None = None,
    dates: Dates | None = None,
) -> QualityReview:
    """Run the named suites and invariants, all of them when None."""
    return QualityReview(
        suites=tuple(validate(con, name, dates) for name in (SUITES if suites is None else suites)),
        invariants=tuple(compare(con, name) for name in (INVARIANTS if invariants is None else invariants)),
    )
