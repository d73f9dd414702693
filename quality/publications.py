"""Whether what ClickHouse shows is what gold holds (P9).

Works on the rows of `_publications` that a caller hands in, so that nothing here talks to ClickHouse.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from lakehouse.lake import Lake
from quality.outcome import InvariantResult, Severity, sample_of


def compare_publications(
    lake: Lake, publications: Iterable[Mapping[str, Any]], snapshot: Mapping[str, int]
) -> tuple[InvariantResult, InvariantResult]:
    """Rows published against rows of that gold version (critical), and version published against `snapshot` (warning).

    A publication has `mart`, `delta_version` and `rows`; `snapshot` is {table: version} of the run. Every gold table of
    the snapshot is expected to be published.
    """
    started = time.perf_counter()
    shown = {str(p["mart"]): p for p in publications}
    marts = sorted({t.removeprefix("gold/") for t in snapshot if t.startswith("gold/")} | set(shown))
    rows, versions = [], []
    for mart in marts:
        table = f"gold/{mart}"
        found = shown.get(mart)
        version = None if found is None else int(found["delta_version"])
        is_known = lake.exists(table)
        expected = lake.row_count(table, version) if is_known else None
        rows.append((mart, expected, None if found is None else int(found["rows"])))
        versions.append((mart, snapshot.get(table), version))
    return (
        _judge(
            "publications_reconcile", "critical", "every mart shows as many rows as its gold version has", rows, started
        ),
        _judge("publications_are_current", "warning", "every mart shows the version of this run", versions, started),
    )


def _judge(
    name: str,
    severity: Severity,
    why: str,
    comparisons: list[tuple[str, int | None, int | None]],
    started: float,
) -> InvariantResult:
    broken = [c for c in comparisons if c[1] != c[2]]
    first = "; ".join(f"{mart}: expected {_text(e)}, found {_text(o)}" for mart, e, o in broken[:5])
    return InvariantResult(
        name=name,
        promise="P9",
        severity=severity,
        success=bool(comparisons) and not broken,
        expected=str(sum(e or 0 for _, e, _ in comparisons)),
        observed=str(sum(o or 0 for _, _, o in comparisons)),
        detail=first if broken else (why if comparisons else "cannot be checked: no mart is built or published"),
        compared=len(comparisons),
        broken=len(broken),
        sample=sample_of(("subject", "expected", "observed"), broken),
        seconds=time.perf_counter() - started,
    )


def _text(value: int | None) -> str:
    return "none" if value is None else str(value)
