"""What became of an imported file: counts, reasons and examples, as data and as text for people.

Only telling; counting is `ingestion.importer`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Final

from ingestion.reasons import RECORD_REASONS

EXAMPLES: Final = 3


@dataclass(slots=True)
class Example:
    """A rejected row: where it lies, the column and value that are to blame if one is, and why."""

    line: int | None
    position: int
    code: str
    field: str | None
    column: str | None
    value: str | None
    message: str


@dataclass(slots=True)
class ImportResult:
    """What became of a file: `rows` = `accepted` + `rejected` + `skipped`.

    `records` are the accepted records by type (a row may make several), `reports` the rows by what the mapping
    recognised them as, `reasons` the rejected rows by code with the first of them in `examples`.
    """

    file: str
    mapping: str
    is_dry_run: bool
    rows: int = 0
    accepted: int = 0
    rejected: int = 0
    skipped: int = 0
    blocks: int = 0
    records: dict[str, int] = field(default_factory=dict)
    reports: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    examples: list[Example] = field(default_factory=list)
    unknown_columns: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """The result as plain data."""
        return asdict(self)

    def lines(self) -> list[str]:
        """The result in sentences and short tables."""
        what = "would be accepted" if self.is_dry_run else "accepted"
        told = [f"{self.file}: {self.rows:,} rows, {self.accepted:,} {what}, {self.rejected:,} rejected"]
        told[0] += f", {self.skipped:,} skipped" if self.skipped else ""
        if self.reports:
            told.append(
                f"recognised as {_counts(self.reports)}" + (f" in {self.blocks} parts" if self.blocks > 1 else "")
            )
        if self.records:
            told.append(f"records: {_counts(self.records)}")
        if self.unknown_columns:
            told.append(f"columns the mapping does not know, kept in properties: {', '.join(self.unknown_columns)}")
        for code, count in self.reasons.items():
            told.append(f"{count:,} rejected as {code}: {RECORD_REASONS[code]}")
            for example in self.examples:
                if example.code == code:
                    place = f"line {example.line}" if example.line is not None else f"row {example.position}"
                    column = f", column {example.column}" if example.column else ""
                    value = f", value {example.value!r}" if example.value is not None else ""
                    told.append(f"    {place}{column}{value}: {example.message}")
        return told


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())
