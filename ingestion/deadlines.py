"""How long a request may wait for its body: one timer for all requests.

`asyncio.timeout` makes and cancels a timer for each request, which takes longer than checking a small one. Here all
have the same patience, so they run out in the order in which they began, and a look now and then finds them.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Final, Self

# How late a wait may be ended, as a part of the patience.
_LOOKS: Final = 20


class Deadlines:
    """Waits of one event loop that end with TimeoutError after `seconds`, or up to a twentieth later."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._open: dict[Deadline, float] = {}  # when each began, oldest first
        self._is_looking = False

    def begin(self) -> Deadline:
        """A wait, to be used by `with` inside a task; it begins now."""
        return Deadline(self)

    def enter(self, deadline: Deadline) -> None:
        loop = asyncio.get_running_loop()
        self._open[deadline] = loop.time()
        if not self._is_looking:
            self._is_looking = True
            loop.call_later(self._seconds / _LOOKS, self._look, loop)

    def leave(self, deadline: Deadline) -> None:
        del self._open[deadline]

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        until = loop.time() - self._seconds
        for deadline, began in self._open.items():
            if began > until:
                break
            deadline.expire()
        if self._open:
            loop.call_later(self._seconds / _LOOKS, self._look, loop)
        else:
            self._is_looking = False


class Deadline:
    """One wait. It cancels its task when it runs out, and turns its own cancellation into TimeoutError."""

    __slots__ = ("_all", "_is_expired", "_task")

    def __init__(self, all_of_them: Deadlines) -> None:
        self._all = all_of_them
        self._task: asyncio.Task[Any] | None = None
        self._is_expired = False

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        self._all.enter(self)
        return self

    def expire(self) -> None:
        """End the wait of the task."""
        if not self._is_expired and self._task is not None:
            self._is_expired = True
            self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._all.leave(self)
        # Cancelled by somebody else as well: that goes on.
        if (
            self._is_expired
            and self._task is not None
            and self._task.uncancel() == 0
            and kind is asyncio.CancelledError
        ):
            raise TimeoutError from error
