"""How much one sender may ask for: token buckets by address and key, and a budget of bytes in memory.

Everything here is bounded: an attacker with many addresses makes the limiter stricter, not larger. Who a sender is
belongs to `ingestion.gate`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

BURST_SECONDS: Final = 5.0
# Senders that are remembered one by one within a period; those beyond share one bucket.
MAX_SENDERS: Final = 65_536
# Sums of many intervals are not exact in floating point.
_ROUNDING: Final = 1e-6


class RateLimited(Exception):  # noqa: N818 - names the answer
    """Too many requests; `kind` is `address` or `key`, `seconds` until the next one is taken."""

    def __init__(self, kind: str, seconds: float) -> None:
        super().__init__(kind)
        self.kind, self.seconds = kind, seconds


class MemoryFull(Exception):  # noqa: N818 - names the answer
    """More bytes of requests are in memory than the budget allows."""


class Limiter:
    """A token bucket for each sender: `rate` tokens a second, filled up to a burst of `BURST_SECONDS`.

    Kept as the time at which a bucket is full again (GCRA), so that a sender who was silent for a burst is as good as
    unknown. Two generations of dicts forget such senders without a sweep.
    """

    def __init__(
        self, rate: float, *, max_senders: int = MAX_SENDERS, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """`rate` is in requests a second; 0 is no limit."""
        self._interval = 1 / rate if rate else 0.0
        self._burst = max(BURST_SECONDS, self._interval)
        self._max, self._monotonic = max_senders, monotonic
        self._young: dict[str, float] = {}
        self._old: dict[str, float] = {}
        self._turned = monotonic()

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def wait(self, sender: str) -> float:
        """0 and a token taken, or the seconds until the sender may come."""
        if not self._interval:
            return 0.0
        now = self._monotonic()
        if now - self._turned >= self._burst:
            # Who is in the older dict was silent for a whole burst: the bucket is full.
            self._old, self._young = (self._young if now - self._turned < 2 * self._burst else {}), {}
            self._turned = now
        full_at = self._young.get(sender)
        if full_at is None:
            if len(self._young) >= self._max:
                sender = ""  # the bucket of all that are too many
                full_at = self._young.get(sender, now)
            else:
                full_at = self._old.get(sender, now)
        full_at = max(full_at, now) + self._interval
        if full_at - now > self._burst + _ROUNDING:
            return full_at - now - self._burst
        self._young[sender] = full_at
        return 0.0


class Budget:
    """Bytes that all requests together may hold."""

    def __init__(self, limit: int) -> None:
        self.limit, self.held = limit, 0


class Hold:
    """What one request holds of a budget, given back at its end."""

    def __init__(self, budget: Budget) -> None:
        self._budget, self._held = budget, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._budget.held -= self._held
        self._held = 0

    def add(self, size: int) -> None:
        """Hold `size` bytes more; MemoryFull if the budget has not as many."""
        if self._budget.held + size > self._budget.limit:
            raise MemoryFull
        self._budget.held += size
        self._held += size
