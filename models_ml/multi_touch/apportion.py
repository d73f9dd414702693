"""Splitting a whole number of units exactly, so that what channels get adds up to what there was."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import floor


def apportion(units: int, weights: Sequence[float]) -> list[int]:
    """`units` (of any sign) in proportion to `weights`: each rounded down, what is left by largest remainder.

    Of equal remainders the earlier weight comes first. ValueError if no weight is positive or one is negative.
    """
    exact = [Fraction(weight) for weight in weights]
    total = sum(exact)
    if total <= 0 or min(exact) < 0:
        raise ValueError("units can only be split by weights that are not negative and not all zero")
    parts = [units * weight / total for weight in exact]
    whole = [floor(part) for part in parts]
    by_remainder = sorted(range(len(parts)), key=lambda n: (whole[n] - parts[n], n))
    for n in by_remainder[: units - sum(whole)]:
        whole[n] += 1
    return whole
