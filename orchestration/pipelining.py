"""Sending while the next chunk is being made: one request under way for each app, a few chunks waiting.

Only for programs that make what they send; the endpoint needs nothing of this.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Final, Self

_WAITING: Final = 16


class Pipeline:
    """Calls `send(app_id, body)` in a thread of the app, in order. The first error is raised by a later call."""

    def __init__(self, send: Callable[[str, bytes], object]) -> None:
        self._send = send
        self._pools: dict[str, ThreadPoolExecutor] = {}
        self._waiting: deque[Future[object]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pool in self._pools.values():
            pool.shutdown(cancel_futures=kind is not None)

    def put(self, app_id: str, body: bytes) -> None:
        """Hand over a chunk; waits while too many are on their way."""
        if app_id not in self._pools:
            self._pools[app_id] = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"sender of {app_id}")
        self._waiting.append(self._pools[app_id].submit(self._send, app_id, body))
        while len(self._waiting) > _WAITING or (self._waiting and self._waiting[0].done()):
            self._waiting.popleft().result()

    def flush(self) -> None:
        """Wait until everything handed over is acknowledged."""
        while self._waiting:
            self._waiting.popleft().result()
