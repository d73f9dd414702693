"""A part: records of one type before they are put in order, with what the truth must know of them.

`Part.lines` makes the JSON only when it is asked for: a pass that only counts never makes text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from simulator.market import Market
from simulator.text import I64, U64, Bools, Text, hex16, instants

TAIL_BEGIN: Final = ',"sent_at":"'
TAIL_END: Final = '"}\n'
TAIL_LENGTH: Final = len(TAIL_BEGIN) + len("2026-01-01T00:00:00.000Z") + len(TAIL_END)


@dataclass(frozen=True)
class Money:
    """Revenue of the rows of a part, in micros of `currency` (rows of `places.CURRENCIES`); `people` are plain keys."""

    micros: I64
    currency: I64
    is_valid: Bools
    people: U64


@dataclass(frozen=True)
class Part:
    """Columns of equal length. `is_new` is False for records that an earlier day has sent already."""

    record_type: str
    keys: U64
    at_ms: I64
    sent_ms: I64
    lines: Callable[[], Text]
    money: Money | None = None
    is_new: bool = True

    def __len__(self) -> int:
        return len(self.keys)


def head(market: Market, record_type: str, keys: U64, at_ms: I64) -> tuple[Text | str, ...]:
    """The beginning of every record, as pieces to join: app, id, type, platform and time."""
    app = market.app
    return (
        f'{{"app_id":"{app.app_id}","record_id":"',
        hex16(keys),
        f'","record_type":"{record_type}","platform":"{app.platform}","event_at":"',
        instants(at_ms),
        '"',
    )


def tail(sent_ms: I64) -> tuple[Text | str, ...]:
    """The end of every record and of its line, as pieces to join; always TAIL_LENGTH bytes."""
    return (TAIL_BEGIN, instants(sent_ms), TAIL_END)


def no_keys() -> U64:
    """No keys at all."""
    return np.zeros(0, dtype=np.uint64)
