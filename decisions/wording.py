"""Numbers, times and tables as text: the same values always give the same characters."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

_CENT: Final = Decimal("0.01")
_UNITS: Final = ((86_400, "day"), (3_600, "hour"), (60, "minute"))


def money(value: Decimal | None) -> str:
    """US dollars with cents; `-` if not known yet."""
    return "-" if value is None else f"{value.quantize(_CENT, ROUND_HALF_UP):,}"


def ratio(part: Decimal | None, whole: Decimal | int | None) -> str:
    """A quotient of two sums with two decimals; `-` if it cannot be taken."""
    if part is None or not whole:
        return "-"
    return money(part / Decimal(whole))


def instant(value: datetime | None) -> str:
    """UTC to the second."""
    return "-" if value is None else f"{value:%Y-%m-%d %H:%M:%S} UTC"


def duration(seconds: int) -> str:
    """The largest unit and the next smaller one: `3 hours 5 minutes`."""
    rest = abs(seconds)
    parts: list[str] = []
    for size, name in _UNITS:
        count, rest = divmod(rest, size)
        if count and len(parts) < 2:
            parts.append(f"{count} {name}{'' if count == 1 else 's'}")
        elif parts:
            break
    if not parts:
        parts = [f"{rest} second{'' if rest == 1 else 's'}"]
    return " ".join(parts)


def table(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Lines of a table; numbers stand to the right."""
    texts = [[_cell(value) for value in row] for row in rows]
    widths = [max([len(heading), *(len(row[n]) for row in texts)]) for n, heading in enumerate(headings)]
    right = [any(_is_number(row[n]) for row in texts) for n in range(len(headings))]
    lines = [list(headings), ["-" * width for width in widths], *texts]
    return [
        "  ".join(
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    ]


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _is_number(text: str) -> bool:
    return text != "-" and text.lstrip("+-").replace(",", "").replace(".", "", 1).isdecimal()
