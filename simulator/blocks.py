"""A block: some tens of thousands of records of one app, made text, with copies and damage, in order of arrival.

What the truth needs to know of a block is counted here too, in the same place for passes with and without text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lakehouse.contract import RECORD_TYPES
from simulator.damage import damage, damaged_keys, draw_kinds
from simulator.parts import TAIL_BEGIN, TAIL_END, TAIL_LENGTH, Part, no_keys
from simulator.plan import DAMAGE_SHARE, DUPLICATE_SHARE
from simulator.text import DAY_MS, I64, U64, Bools, Text, concat, from_strings, instants, take

PURCHASE, INVALID, AD = 0, 1, 2  # kinds of money


@dataclass(frozen=True)
class Copies:
    """Records that were sent again: keys, types (places in RECORD_TYPES) and how."""

    keys: U64
    types: NDArray[np.int8]
    is_sent_later: Bools  # the copy has a later sent_at; else it is the same to the byte
    is_next_day: Bools


@dataclass(frozen=True)
class Damaged:
    """Damaged records: keys, the types they were made from, and kinds (places in damage.KINDS)."""

    keys: U64
    types: NDArray[np.int8]
    kinds: NDArray[np.int8]


@dataclass(frozen=True)
class Earned:
    """Money of new records: whose (plain person keys), how much in micros, currency, kind, and the day it happened
    (days since 1970)."""

    people: U64
    micros: I64
    currency: NDArray[np.int8]
    kind: NDArray[np.int8]
    event_day: NDArray[np.int32]


@dataclass(frozen=True)
class Facts:
    """What is true of a block. `sent` counts lines by type without damaged ones, `unique` new records by type."""

    app: int
    sent: I64
    unique: I64
    copies: Copies
    damaged: Damaged
    earned: Earned


@dataclass(frozen=True)
class Block:
    """Lines in order of arrival, which of them are damaged (both None in a pass without text), and their facts."""

    lines: Text | None
    is_damaged: Bools | None
    facts: Facts


def seal(rng: np.random.Generator, app: int, parts: Sequence[Part], with_text: bool) -> Block:
    """Put parts together: choose what is sent twice and what breaks, order all by arrival."""
    parts = [p for p in parts if len(p)]
    sizes = np.array([len(p) for p in parts], dtype=np.int64)
    codes = np.array([RECORD_TYPES.index(p.record_type) for p in parts], dtype=np.int8)
    new = np.repeat(np.array([p.is_new for p in parts], dtype=bool), sizes)
    types = np.repeat(codes, sizes)
    keys = np.concatenate([p.keys for p in parts]) if parts else no_keys()
    sent = np.concatenate([p.sent_ms for p in parts]) if parts else np.zeros(0, dtype=np.int64)
    rows = len(keys)

    again = np.sort(rng.integers(0, rows, rng.binomial(rows, DUPLICATE_SHARE))) if rows else np.zeros(0, dtype=np.int64)
    later = rng.random(len(again)) < 0.4
    wait = (30_000 + rng.exponential(40 * 60_000, len(again))).astype(np.int64)
    broken = np.sort(rng.integers(0, rows, rng.binomial(rows, DAMAGE_SHARE))) if rows else again
    names = [RECORD_TYPES[t] for t in types[broken]]
    kinds = draw_kinds(rng, names)
    facts = Facts(
        app=app,
        sent=_count(types) + _count(types[again]),
        unique=_count(types[new]),
        copies=Copies(
            keys=np.concatenate([keys[again], keys[~new]]),
            types=np.concatenate([types[again], types[~new]]),
            is_sent_later=np.concatenate([later, np.ones(int((~new).sum()), dtype=bool)]),
            is_next_day=np.repeat([False, True], [len(again), int((~new).sum())]),
        ),
        damaged=Damaged(damaged_keys(keys[broken]), types[broken], np.array(kinds, dtype=np.int8)),
        earned=_earned(parts),
    )
    if not with_text or not rows:
        return Block(None, None, facts)

    arrived = np.concatenate([sent, sent[again] + wait, sent[broken] + 50])
    lines = concat([p.lines() for p in parts])
    repeats = [
        line if not late else line[:-TAIL_LENGTH] + "".join((TAIL_BEGIN, stated, TAIL_END))
        for line, late, stated in zip(
            take(lines, again).to_pylist(), later, instants(sent[again] + wait).to_pylist(), strict=True
        )
    ]
    spoilt = [
        damage(line, kind, name, int(key))
        for line, kind, name, key in zip(take(lines, broken).to_pylist(), kinds, names, facts.damaged.keys, strict=True)
    ]
    order = np.argsort(arrived, kind="stable")
    return Block(take(concat([lines, from_strings(repeats + spoilt)]), order), order >= rows + len(again), facts)


def _count(types: NDArray[np.int8]) -> I64:
    return np.bincount(types, minlength=len(RECORD_TYPES)).astype(np.int64)


def _earned(parts: Sequence[Part]) -> Earned:
    columns: list[tuple[U64, I64, NDArray[np.int8], NDArray[np.int8], NDArray[np.int32]]] = [
        (
            p.money.people,
            p.money.micros,
            p.money.currency.astype(np.int8),
            np.where(p.record_type == "ad_revenue", AD, np.where(p.money.is_valid, PURCHASE, INVALID)).astype(np.int8),
            (p.at_ms // DAY_MS).astype(np.int32),
        )
        for p in parts
        if p.money is not None and p.is_new
    ]
    if not columns:
        tiny = np.zeros(0, dtype=np.int8)
        return Earned(no_keys(), np.zeros(0, dtype=np.int64), tiny, tiny, np.zeros(0, dtype=np.int32))
    people, micros, currency, kind, day = zip(*columns, strict=True)
    return Earned(*(np.concatenate(c) for c in (people, micros, currency, kind, day)))
