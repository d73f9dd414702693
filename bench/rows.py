"""The shape of a result: what every section returns, prints and writes."""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]


def row(name: str, value: float, unit: str, limit_name: str | None = None, limit: float | None = None) -> Row:
    """A figure, beside its limit if it has one; a limit of nothing gives no ratio."""
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "limit_name": limit_name,
        "limit_value": limit,
        "ratio": value / limit if limit else None,
    }
