"""Upkeep of the bronze tables, done by the lane between landings: small files become large ones, old ones go.

Only how often and how far; the work itself is `lakehouse.lake`. Files are merged in steps, as a log-structured store
does, so that a record is rewritten three times at most: commits of a minute or so into files of some MiB, those of some
hours into large ones, and the rest when its day is over. So a partition holds few files however small the commits
were, and landing does not get slower with age.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from lakehouse.lake import Lake

log: Final = logging.getLogger("ingestion.upkeep")
FEW: Final = 32  # small files before they are merged
_STEPS_TO_LARGE: Final = 16  # such merges before what they made is merged in turn
MEDIUM_BYTES: Final = 8 * 1024 * 1024
LARGE_BYTES: Final = 128 * 1024 * 1024
# A run reads the files of its snapshot until it ends; the longest takes hours, not days.
_KEPT_HOURS: Final = 7 * 24


@dataclass(slots=True)
class _Partition:
    day: date
    small_files: int
    merges: int = 0


class Upkeep:
    """Counts the commits of one writer by table and tidies up when enough have come."""

    def __init__(self, lake: Lake, distinct: Sequence[str] = ()) -> None:
        self._lake, self._distinct = lake, distinct
        self._partitions: dict[str, _Partition] = {}

    def committed(self, table: str, day: date) -> None:
        """Note a commit into the partition of a day, and do what is due. Errors are logged: the next time will do."""
        known = self._partitions.get(table)
        if known is None:
            # What earlier processes left counts too, or restarts would let files pile up.
            known = self._partitions[table] = _Partition(day, self._lake.file_count(table, _of(day)) - 1)
        elif known.day != day:
            if day > known.day:
                self._merge(table, known.day, LARGE_BYTES)
                self._clean(table)
            known = self._partitions[table] = _Partition(day, 0)
        known.small_files += 1
        if known.small_files >= FEW:
            known.small_files, known.merges = 0, known.merges + 1
            self._merge(table, day, MEDIUM_BYTES if known.merges % _STEPS_TO_LARGE else LARGE_BYTES)

    def _merge(self, table: str, day: date, size: int) -> None:
        try:
            merged = self._lake.compact(table, _of(day), target_bytes=size, distinct=self._distinct)
        except Exception:  # the named boundary: another writer may have merged the same files, the store may be away
            log.warning("%s of %s was not compacted; it will be tried again", table, day, exc_info=True)
        else:
            log.info("%s of %s: %d files became %d", table, day, merged.before, merged.after)

    def _clean(self, table: str) -> None:
        try:
            self._lake.vacuum(table, keep_hours=_KEPT_HOURS)
        except Exception:  # as above
            log.warning("%s was not cleaned; it will be tried again", table, exc_info=True)


def _of(day: date) -> tuple[str, str]:
    return "ingest_date", day.isoformat()
