"""How long an answer is held back when landing cannot follow: the sender slows down before a backlog grows.

Senders that wait for their answers then send as much as can land, and what they sent can be read within seconds. Those
that do not wait are stopped by the bounds of the backlog.
"""

from __future__ import annotations

from typing import Final

# A segment lands in about half a second, so one that waits for twice as long has others before it.
_UNHURRIED_SECONDS: Final = 1.0
_DELAY_PER_SECOND: Final = 0.04
_LONGEST_DELAY: Final = 0.25
# Who waits longer than this waits for a lake that is away, not for a busy one; slower senders would not help.
_AWAY_SECONDS: Final = 30.0


def delay(lag: float) -> float:
    """Seconds to hold back an answer while the oldest sealed segment has waited `lag` seconds to land."""
    if lag <= _UNHURRIED_SECONDS or lag > _AWAY_SECONDS:
        return 0.0
    return min((lag - _UNHURRIED_SECONDS) * _DELAY_PER_SECOND, _LONGEST_DELAY)
