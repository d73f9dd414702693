"""Numbers as people read them. None, and a ratio without a denominator, is a dash: unknown is not zero."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

DASH: Final = "–"  # noqa: RUF001 (an en dash is meant)
Number = int | float | Decimal


def ratio(numerator: Number | None, denominator: Number | None) -> float | None:
    """None unless both parts are known and the denominator is not zero."""
    if numerator is None or not denominator:
        return None
    return float(numerator) / float(denominator)


def count(value: Number | None) -> str:
    return DASH if value is None else f"{int(value):,}"


def percent(value: float | None, digits: int = 1) -> str:
    """A share as per cent."""
    return DASH if value is None else f"{value * 100:.{digits}f} %"


def usd(value: Number | None) -> str:
    """Dollars; cents only below a hundred, where they matter."""
    if value is None:
        return DASH
    amount = float(value)
    digits = 2 if abs(amount) < 100 else 0
    return f"{'-' if amount < 0 else ''}${abs(amount):,.{digits}f}"


def decimal(value: Number | None, digits: int = 3) -> str:
    return DASH if value is None else f"{float(value):.{digits}f}"


def day(value: date | datetime | None) -> str:
    if isinstance(value, datetime):
        value = value.astimezone(UTC).date()
    return DASH if value is None else value.isoformat()


def instant(value: datetime | None) -> str:
    """An instant in UTC, to the minute."""
    return DASH if value is None else value.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def compact(value: float) -> str:
    """An axis label: 1,200 as 1.2k."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.1f}".rstrip("0").rstrip(".") + unit
    return f"{value:.2f}".rstrip("0").rstrip(".") if value % 1 else f"{int(value)}"


def plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def words(code: Any) -> str:
    """A code as words: lost_to_later_touch as 'lost to later touch'."""
    return str(code).replace("_", " ")
