"""How long work shows itself in a terminal: what runs, how long it has run, how it ended."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.status import Status


class Steps:
    """Numbered steps with their times: a live spinner on a terminal, plain lines elsewhere (standard error)."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._number = 0
        self._started = time.monotonic()

    def begin(self, title: str) -> Step:
        """Start a step; the caller ends it."""
        self._number += 1
        return Step(self._console, f"{self._number:>2}. {title}")

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """A step that ends with its block, as failed when the block raises."""
        step = self.begin(title)
        try:
            yield step
        except BaseException:
            step.end(failed=True)
            raise
        step.end()

    @property
    def elapsed(self) -> float:
        """Seconds since this object was made."""
        return time.monotonic() - self._started


class Step:
    """One running step."""

    def __init__(self, console: Console, label: str) -> None:
        self._console = console
        self._label = label
        self._note = ""
        self._started = time.monotonic()
        self._status: Status | None = None
        if console.is_terminal:
            self._status = console.status(f"{label} …")
            self._status.start()
        else:
            console.print(f"… {label}")

    def note(self, text: str) -> None:
        """Say how far the step is; the last note stays beside the step."""
        self._note = text
        if self._status is not None:
            self._status.update(f"{self._label} … {text}")

    def end(self, *, failed: bool = False) -> None:
        """Close the step with its time."""
        if self._status is not None:
            self._status.stop()
        seconds = time.monotonic() - self._started
        mark = "[red]✗[/red]" if failed else "[green]✓[/green]"
        note = f"  [dim]{self._note}[/dim]" if self._note else ""
        self._console.print(f"{mark} {self._label}{note}  [dim]{seconds:.1f} s[/dim]")
