"""Accepted records of a request in canonical form, by bronze table. What is accepted is `ingestion.validator`."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class Section(msgspec.Struct, array_like=True, gc=False):
    """Accepted records of one bronze table in canonical form, one JSON object a line."""

    table: int  # index into lakehouse.contract.RECORD_TABLES
    count: int
    payload: bytes


class Parts:
    """Sections of the blocks of a request, joined by table."""

    def __init__(self) -> None:
        self._by_table: dict[int, list[Section]] = {}

    def add(self, sections: Sequence[Section]) -> None:
        for section in sections:
            self._by_table.setdefault(section.table, []).append(section)

    def sections(self) -> list[Section]:
        return [
            members[0]
            if len(members) == 1
            else Section(table, sum(m.count for m in members), b"".join([m.payload for m in members]))
            for table, members in sorted(self._by_table.items())
        ]
