"""The terms in which a rule file is declared, and what may be wrong with one.

The declarations themselves are in `lakehouse.rule_shapes`, checking files against them in `lakehouse.rules`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class Kind(StrEnum):
    """What a cell may be."""

    TEXT = "text"
    LOWER = "lower"  # text in lower case, as staging writes it
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"  # true or false
    DATE = "date"  # YYYY-MM-DD


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `refers` is the file whose first column knows the value; `most_lookback` bounds hours by the
    look-back of the project (`attribution_lookback_days` x 24)."""

    name: str
    kind: Kind = Kind.TEXT
    required: bool = True
    choices: tuple[str, ...] = ()
    refers: str = ""
    least: Decimal | None = None
    most: Decimal | None = None
    most_lookback: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong. `row` counts as a spreadsheet does, 1 is the header; None if it is about the file."""

    file: str
    row: int | None
    problem: str

    @property
    def sentence(self) -> str:
        place = self.file if self.row is None else f"{self.file}, row {self.row}"
        return f"{place}: {self.problem}."


Row = Mapping[str, str]
# A check beyond single cells and intervals; gets the rows of all rule files by file name, without the suffix.
Check = Callable[[Mapping[str, Sequence[Row]]], list[Fault]]


@dataclass(frozen=True, slots=True)
class Shape:
    """One rule file `<name>.csv`.

    `key` tells its rows apart; with `valid_from` it may repeat as long as the intervals [valid_from, valid_until) do
    not overlap. `base` are columns in which `*` makes a row the one for all: those rows may leave no gap in time, and
    there must be one for each value of the columns of the key that refer to another file. `is_closed`: the SQL knows
    exactly the keys of the project's file. `ascending` are pairs of columns, the first less than the second.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    base: tuple[str, ...] = ()
    is_closed: bool = False
    unique: tuple[str, ...] = ()
    ascending: tuple[tuple[str, str], ...] = ()
    check: Check | None = None

    def column(self, name: str) -> Column | None:
        return next((column for column in self.columns if column.name == name), None)
