"""The rules in force for a home: the project's seeds, each replaced by the home's file of the same name, and checks.

A home keeps its own in `<home>/rules/` (setting `rules`). What a file may hold is declared in `lakehouse.rule_shapes`;
which rule applies to which conversion is decided in SQL.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Final

from lakehouse.rule_files import Column, Fault, Kind, Row, Shape
from lakehouse.rule_shapes import SHAPES

ALL: Final = "*"
# Rows for all hold from here on, so that no install is without a rule.
FIRST_DAY: Final = date(1970, 1, 1)
_ROW: Final = "row number"  # no header can hold a blank, so it meets no column
_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?")
_SHOWN: Final = 5


class RuleError(Exception):
    """Rule files are wrong; the text has a sentence for each fault."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = list(faults)
        shown = [fault.sentence for fault in faults[:_SHOWN]]
        more = len(faults) - len(shown)
        super().__init__("\n".join([*shown, *([f"... and {more} more."] if more else [])]))


def overlay_files(path: Path) -> dict[str, Path]:
    """Rule files by name without suffix: those of a folder, or the one file; nothing if there is no such folder."""
    if path.is_file():
        return {path.stem: path}
    return {file.stem: file for file in sorted(path.glob("*.csv"))}


def seed_files(dbt_project: Path) -> dict[str, Path]:
    """The project's own files by name."""
    return {file.stem: file for file in sorted((dbt_project / "seeds").glob("*.csv"))}


def rule_files(dbt_project: Path, *overlays: Path) -> dict[str, Path]:
    """The files in force by name: the project's, each replaced by that of the last overlay that has it."""
    files = seed_files(dbt_project)
    for overlay in overlays:
        files |= {name: file for name, file in overlay_files(overlay).items() if name in files}
    return files


def require_rules(dbt_project: Path, *overlays: Path) -> None:
    """RuleError unless every rule file is right."""
    if faults := check_rules(dbt_project, *overlays):
        raise RuleError(faults)


def check_rules(dbt_project: Path, *overlays: Path) -> list[Fault]:
    """Everything that is wrong with the rules in force, by file and row; empty if they may be built."""
    seeds = seed_files(dbt_project)
    faults = []
    for overlay in overlays:
        for name, file in overlay_files(overlay).items():
            if name not in seeds:
                names = ", ".join(f"{seed}.csv" for seed in seeds)
                faults.append(Fault(file.name, None, f"the project has no rules of this name; it has {names}"))
    files = rule_files(dbt_project, *overlays)
    own = {name: _read(seeds[name], None, []) for name in files if name in SHAPES}
    tables: dict[str, _Table] = {}
    for name in own:
        tables[name] = own[name] if files[name] == seeds[name] else _read(files[name], own[name].header, faults)
    known = {name: {row[table.header[0]] for row in table.rows} for name, table in own.items() if table.header}
    hours = lookback_hours(dbt_project)
    for name, table in tables.items():
        if table.is_readable:
            faults += _check_table(SHAPES[name], table, own[name], known, hours)
    rows = {name: table.rows for name, table in tables.items()}
    for name in tables:
        if (check := SHAPES[name].check) is not None and not faults:
            faults += check(rows)
    return sorted(faults, key=lambda fault: (fault.file, fault.row or 0, fault.problem))


@dataclass(slots=True)
class _Table:
    """Rows of a file as text. Not readable: its rows say nothing, and the reason is among the faults."""

    file: str
    header: list[str] = field(default_factory=list)
    rows: list[dict[str, str]] = field(default_factory=list)
    is_readable: bool = True


def _read(file: Path, header: list[str] | None, faults: list[Fault]) -> _Table:
    table = _Table(file.name)

    def fail(problem: str, row: int | None = None) -> None:
        faults.append(Fault(file.name, row, problem))
        table.is_readable = False

    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            lines = list(csv.reader(stream, strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        fail(f"it is no CSV file in UTF-8 ({error})")
        return table
    table.header = lines[0] if lines else []
    if header is not None and table.header != header:
        fail(f"the header is {','.join(table.header) or 'missing'}, and must be {','.join(header)}", 1)
        return table
    for number, cells in enumerate(lines[1:], start=2):
        if not cells:
            continue
        if len(cells) != len(table.header):
            fail(f"it has {len(cells)} values, the header has {len(table.header)}", number)
            continue
        table.rows.append(dict(zip(table.header, cells, strict=True)) | {_ROW: str(number)})
    return table


def _check_table(
    shape: Shape, table: _Table, own: _Table, known: Mapping[str, set[str]], lookback_hours: int | None
) -> list[Fault]:
    """Cells first; rows are compared only where all cells can be read."""
    faults = [
        Fault(table.file, int(row[_ROW]), problem)
        for row in table.rows
        for name in table.header
        if (problem := _cell_problem(shape.column(name), name, row[name], known, lookback_hours)) is not None
    ]
    if faults:
        return faults
    faults += _key_faults(shape, table)
    if shape.is_closed:
        faults += _closed_faults(shape, table, own)
    if not faults and "valid_from" in table.header and shape.base:
        faults += _base_faults(shape, table, known)
    return faults


def _cell_problem(
    column: Column | None, name: str, text: str, known: Mapping[str, set[str]], lookback_hours: int | None
) -> str | None:
    if column is None:
        return None
    if text == "":
        return f"{name} is empty" if column.required else None
    if text != text.strip():
        return f"{name} has blanks around {text.strip()!r}"
    if (expected := _misses_kind(column.kind, text)) is not None:
        return f"{name} is {text!r}, and must be {expected}"
    if column.choices and text not in column.choices:
        return f"{name} is {text!r}, and must be one of {', '.join(column.choices)}"
    if column.refers and text not in known.get(column.refers, set()):
        return f"{name} is {text!r}, which {column.refers}.csv does not know"
    return _misses_bounds(column, text, lookback_hours)


def _misses_kind(kind: Kind, text: str) -> str | None:
    """What the text should be; None if it is."""
    if kind is Kind.LOWER:
        return None if text == text.lower() else f"in lower case ({text.lower()!r}), as partners are stored so"
    if kind is Kind.BOOLEAN:
        return None if text in {"true", "false"} else "true or false"
    if kind is Kind.DATE:
        return None if _date(text) is not None else "a date like 2026-03-01"
    if kind is Kind.INTEGER:
        return None if re.fullmatch(r"-?\d{1,9}", text) else "a whole number"
    if kind is Kind.NUMBER:
        return None if _NUMBER.fullmatch(text) else "a number like 0.25"
    return None


def _misses_bounds(column: Column, text: str, lookback_hours: int | None) -> str | None:
    if column.least is None and column.most is None and not column.most_lookback:
        return None
    value = Decimal(text)
    if column.least is not None and value < column.least:
        return f"{column.name} is {text}, and must be at least {column.least}"
    if column.most is not None and value > column.most:
        return f"{column.name} is {text}, and must be at most {column.most}"
    if column.most_lookback and lookback_hours is not None and value > lookback_hours:
        return (
            f"{column.name} is {text}, but touches are gathered for {lookback_hours} hours only "
            "(24 x attribution_lookback_days of dbt_project.yml)"
        )
    return None


def _key_faults(shape: Shape, table: _Table) -> list[Fault]:
    """Rows that say the same thing twice, intervals that overlap or end before they begin."""
    faults = []
    for key, rows in _grouped(table.rows, [name for name in shape.key if name in table.header]).items():
        label = " ".join(key)
        if "valid_from" not in table.header:
            faults += [
                Fault(table.file, int(row[_ROW]), f"{label} is there already, in row {rows[0][_ROW]}")
                for row in rows[1:]
            ]
            continue
        for row in rows:
            until = _until(row)
            if until is not None and until <= _from(row):
                problem = f"valid_until {until} is not after valid_from {_from(row)}"
                faults.append(Fault(table.file, int(row[_ROW]), problem))
        ordered = sorted(rows, key=lambda row: (_from(row), int(row[_ROW])))
        for before, row in pairwise(ordered):
            if overlap := _overlap(before, row, label, ends="valid_until" in table.header):
                faults.append(Fault(table.file, int(row[_ROW]), overlap))
    for name in shape.unique:
        for (value,), rows in _grouped(table.rows, [name]).items():
            faults += [
                Fault(table.file, int(row[_ROW]), f"{name} {value} is that of row {rows[0][_ROW]} already")
                for row in rows[1:]
            ]
    for low, high in shape.ascending:
        faults += [
            Fault(table.file, int(row[_ROW]), f"{low} {row[low]} is not below {high} {row[high]}")
            for row in table.rows
            if Decimal(row[low]) >= Decimal(row[high])
        ]
    return faults


def _overlap(before: Row, row: Row, label: str, *, ends: bool) -> str | None:
    """`ends`: the file has valid_until. Without it a row ends where the next of its key begins."""
    start, until = _from(row), _until(before)
    if not ends:
        return f"{label} begins on {start} in row {before[_ROW]} already" if start == _from(before) else None
    if until is None:
        return f"{label} overlaps row {before[_ROW]}, which has no end: give that row valid_until {start} or earlier"
    return f"{label} overlaps row {before[_ROW]}, which holds until {until}" if start < until else None


def _closed_faults(shape: Shape, table: _Table, own: _Table) -> list[Fault]:
    name = shape.key[0]
    expected = [row[name] for row in own.rows]
    given = {row[name] for row in table.rows}
    faults = [
        Fault(table.file, int(row[_ROW]), f"{name} is {row[name]!r}, which the models do not know")
        for row in table.rows
        if row[name] not in expected
    ]
    missing = [value for value in dict.fromkeys(expected) if value not in given]
    return faults + [Fault(table.file, None, f"{name} {value} is missing; the models use it") for value in missing]


def _base_faults(shape: Shape, table: _Table, known: Mapping[str, set[str]]) -> list[Fault]:
    """Rows for all must be in force at any time: no gap before, between or behind them."""
    wild = [name for name in shape.base if name in table.header]
    other = [name for name in shape.key if name in table.header and name not in wild]
    series = _grouped([row for row in table.rows if all(row[name] == ALL for name in wild)], other)
    faults = []
    for name in other:
        column = shape.column(name)
        place = other.index(name)
        for value in sorted(known.get(column.refers, set())) if column is not None and column.refers else []:
            if not any(key[place] == value for key in series):
                problem = f"no row holds for every app: add one for {value} with {ALL} in {', '.join(wild)}"
                faults.append(Fault(table.file, None, problem))
    if not other and not series and table.rows:
        faults.append(Fault(table.file, None, f"no row holds for every app: add one with {ALL} in {', '.join(wild)}"))
    for key, rows in series.items():
        faults += _gaps(table.file, " ".join([*(ALL for _ in wild), *key]), rows, ends="valid_until" in table.header)
    return faults


def _gaps(file: str, label: str, rows: Iterable[Row], *, ends: bool) -> list[Fault]:
    ordered = sorted(rows, key=_from)
    faults = []
    if _from(ordered[0]) > FIRST_DAY:
        problem = f"{label} begins on {_from(ordered[0])}, and nothing holds before: let it begin on {FIRST_DAY}"
        faults.append(Fault(file, int(ordered[0][_ROW]), problem))
    if not ends:
        return faults
    for before, row in pairwise(ordered):
        if (until := _until(before)) is not None and until < _from(row):
            problem = f"{label} leaves a gap: nothing holds from {until} (end of row {before[_ROW]}) to {_from(row)}"
            faults.append(Fault(file, int(row[_ROW]), problem))
    if (end := _until(ordered[-1])) is not None:
        problem = f"{label} ends on {end}, and nothing holds after: leave its valid_until empty or add a row"
        faults.append(Fault(file, int(ordered[-1][_ROW]), problem))
    return faults


def _grouped(rows: Iterable[dict[str, str]], names: Sequence[str]) -> dict[tuple[str, ...], list[dict[str, str]]]:
    groups: dict[tuple[str, ...], list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        groups[tuple(row[name] for name in names)].append(row)
    return groups


def _from(row: Row) -> date:
    return date.fromisoformat(row["valid_from"])


def _until(row: Row) -> date | None:
    return _date(row.get("valid_until", ""))


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else None
    except ValueError:
        return None


def lookback_hours(dbt_project: Path) -> int | None:
    """Hours before an install for which touches are gathered; None if the project does not say.

    Read by hand, as the base install has no YAML.
    """
    text = (dbt_project / "dbt_project.yml").read_text(encoding="utf-8")
    found = re.search(r"^\s*attribution_lookback_days:\s*(\d+)", text, flags=re.MULTILINE)
    return int(found[1]) * 24 if found else None
