"""Fields that only a route can know (the check of a signature, the link as it was hit), put into checked records.

A sender cannot give them: the validator refuses them. They join the canonical line after the validator passed it, and
`ingestion.tables` makes them columns like every other field.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ingestion.validator import Checked
from lakehouse.contract import FIELDS, Origin

ROUTE_FIELDS: Final = frozenset(f.name for f in FIELDS if f.origin is Origin.ROUTE)


def add_route_fields(checked: Checked, values: Mapping[str, Any]) -> None:
    """Give every accepted record of a request these fields; those that are None stay null."""
    given = {name: value for name, value in values.items() if value is not None}
    if unknown := given.keys() - ROUTE_FIELDS:
        raise ValueError(f"{min(unknown)} is not a field that a route sets")
    if not given:
        return
    tail = b"," + msgspec.json.encode(given)[1:] + b"\n"
    for section in checked.sections:
        # A canonical line is an object that holds at least its record type.
        section.payload = b"".join(line[:-1] + tail for line in section.payload.splitlines())
