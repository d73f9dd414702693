"""Names and texts in SQL. No statements; those stand where they are used."""

from __future__ import annotations

from serving.errors import ServingError


def quoted(name: str, mark: str = "`") -> str:
    """A name in SQL; names come from our own models, so one with a quote in it is a mistake."""
    if mark in name or "\\" in name:
        raise ServingError(f"{name!r} cannot be the name of a table or column.")
    return f"{mark}{name}{mark}"


def literal(text: str) -> str:
    """A text in ClickHouse SQL."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\0", "\\0")
    return f"'{escaped}'"
