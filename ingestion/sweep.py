"""The quick look: all records of a request judged at once, without a loop over their fields.

It only ever says "all of these are surely good" or nothing. What is good is the business of `ingestion.validator`,
which looks at every record by itself whenever the sweep says nothing; the sweep may be stricter, never looser.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import UNSET

from ingestion import exact
from ingestion.reasons import Rejected
from ingestion.records import RECORD, RULES, Rules
from ingestion.values import BLANK, EMPTY_ID, SANE_FROM, SANE_UNTIL, micros

Groups = dict[type[msgspec.Struct], list[Any]]
_DECODER: Final = msgspec.json.Decoder(RECORD)


def sweep(
    body: bytes, count: int, apps: Container[str], low: datetime, high: datetime
) -> tuple[Groups, list[str]] | None:
    """Records by type, money in micros, and the texts of their properties; None if one may be bad.

    `body` is one record a line. Within a type the order is that of the body.
    """
    try:
        records = _DECODER.decode_lines(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if len(records) != count or not _are_common_fields_good(records, apps, low, high):
        return None
    groups: Groups = {}
    for record in records:
        kind = record.__class__
        if kind in groups:
            groups[kind].append(record)
        else:
            groups[kind] = [record]
    texts: list[str] = []
    try:
        for kind, members in groups.items():
            if not _is_group_good(members, RULES[kind]):
                return None
            _take_properties(members, texts)
    except Rejected:
        return None
    return groups, texts


def _are_common_fields_good(records: Sequence[Any], apps: Container[str], low: datetime, high: datetime) -> bool:
    for app_id in {record.app_id for record in records}:
        if app_id not in apps:
            return False
    if "" in {record.record_id.strip(EMPTY_ID) for record in records}:
        return False
    return _are_between([record.event_at for record in records], low, high) and _are_between(
        [record.sent_at for record in records], SANE_FROM, SANE_UNTIL
    )


def _is_group_good(members: Sequence[Any], rules: Rules) -> bool:
    """What records of one type need beyond what all have; turns money into micros."""
    for name in rules.required_ids:
        if "" in {getattr(record, name).strip(EMPTY_ID) for record in members}:
            return False
    for name in rules.required_texts:
        if "" in {getattr(record, name).strip(BLANK) for record in members}:
            return False
    if rules.required_any and not _has_one_each(members, rules.required_any):
        return False
    for name in rules.instants:
        # Mostly none is there.
        if not _are_between([at for record in members if (at := getattr(record, name))], SANE_FROM, SANE_UNTIL):
            return False
    for name in rules.money:
        for record in members:
            amount = getattr(record, name)
            if amount is not UNSET and amount is not None:
                if not record.currency:
                    return False
                setattr(record, name, micros(amount, name))
    return True


def _has_one_each(members: Sequence[Any], names: Sequence[str]) -> bool:
    first, *others = names
    for record in members:
        value = getattr(record, first)
        if value and value.strip(EMPTY_ID):
            continue
        if not any((value := getattr(record, name)) and value.strip(EMPTY_ID) for name in others):
            return False
    return True


def _take_properties(members: Sequence[Any], texts: list[str]) -> None:
    keep: Callable[[str], None] = texts.append
    for record in members:
        given = record.properties
        if given is not UNSET:
            text = str(given, "utf-8")
            if text[0] != "{":
                raise Rejected("wrong_type", "to be looked at by itself", "properties")
            record.properties = exact.check_properties(text)
            keep(text)


def _are_between(instants: Sequence[Any], low: datetime, high: datetime) -> bool:
    """Whether all that are there lie within the bounds; quickest where all are there, or none."""
    if not instants:
        return True
    try:
        return bool(low <= min(instants) and max(instants) <= high)
    except TypeError:
        there = [instant for instant in instants if instant]
        return not there or (low <= min(there) and max(there) <= high)
