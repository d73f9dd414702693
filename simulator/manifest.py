"""What was delivered of a world, day by day, so that a finished delivery is recognised and a broken one resumed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

FILE: Final = "manifest.json"


@dataclass(frozen=True)
class DayEntry:
    """One delivered day. `records` counts lines, damaged ones included; `sha256` is over the NDJSON of the day."""

    day: int
    date: str
    records: int
    unique_records: int
    copies: int
    damaged_records: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """All delivered days of a world. `is_new` tells whether anything was delivered by the call that returned it."""

    world_id: str
    seed: int
    events: int
    start: str
    entries: tuple[DayEntry, ...]
    is_new: bool = True

    @property
    def days(self) -> tuple[int, ...]:
        """The delivered days, 0 = first."""
        return tuple(e.day for e in self.entries)

    @property
    def records(self) -> int:
        """All lines."""
        return sum(e.records for e in self.entries)

    @property
    def unique_records(self) -> int:
        """Records that the lake must hold once each."""
        return sum(e.unique_records for e in self.entries)

    @property
    def copies(self) -> int:
        """Records sent again."""
        return sum(e.copies for e in self.entries)

    @property
    def damaged_records(self) -> int:
        """Lines that must be refused."""
        return sum(e.damaged_records for e in self.entries)

    @property
    def bytes(self) -> int:
        """All bytes of NDJSON."""
        return sum(e.bytes for e in self.entries)

    @property
    def sha256(self) -> str:
        """Over the days' sums in order, so that it can be continued with a further day."""
        return hashlib.sha256("".join(e.sha256 for e in self.entries).encode()).hexdigest()

    def with_day(self, entry: DayEntry) -> Manifest:
        """With one day more, or again."""
        others = [e for e in self.entries if e.day != entry.day]
        entries = tuple(sorted([*others, entry], key=lambda e: e.day))
        return Manifest(self.world_id, self.seed, self.events, self.start, entries)

    def covers(self, days: Iterable[int]) -> bool:
        """True if all these days were delivered."""
        return set(days) <= set(self.days)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, with the totals."""
        totals = ("records", "unique_records", "copies", "damaged_records", "bytes", "sha256")
        plain = {k: v for k, v in asdict(self).items() if k != "is_new"}
        return {name: getattr(self, name) for name in totals} | plain

    def save(self, folder: Path) -> Path:
        """Write `folder`/manifest.json by rename."""
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f".{FILE}.{os.getpid()}"
        temporary.write_text(json.dumps(self.to_dict(), indent=1), encoding="utf-8")
        return temporary.replace(folder / FILE)

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """The manifest in a folder, None if there is none."""
        file = folder / FILE
        if not file.is_file():
            return None
        plain = json.loads(file.read_text(encoding="utf-8"))
        entries = tuple(DayEntry(**e) for e in plain["entries"])
        return cls(plain["world_id"], plain["seed"], plain["events"], plain["start"], entries, is_new=False)
