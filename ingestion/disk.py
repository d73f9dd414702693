"""Room on the spool's disk: new requests are refused before the disk is full.

Landing needs room to free room when lake and spool share a disk; a spool that took the last byte could never land.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

# A look lets go of the interpreter, which under load costs a request's worth of time. Another program that writes 2 GB
# a second gets 40 MB in between; a quarter of a second let it fill the reserve.
_LOOK_AGAIN_SECONDS: Final = 0.02


class DiskGuard:
    """Free bytes of a folder's disk: looked at every few milliseconds, counted down in between."""

    def __init__(self, folder: Path, reserve: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`reserve` bytes are kept free; 0 lets the disk fill up."""
        self._folder, self._reserve, self._monotonic = folder, reserve, monotonic
        self._free = self._look()
        self._looked = monotonic()

    @property
    def is_low(self) -> bool:
        """Whether less than the reserve is free."""
        return bool(self._reserve) and self.free < self._reserve

    @property
    def free(self) -> int:
        """Free bytes as of twenty milliseconds ago at most."""
        now = self._monotonic()
        if now - self._looked >= _LOOK_AGAIN_SECONDS:
            self._looked, self._free = now, self._look()
        return self._free

    def take(self, size: int) -> None:
        """Count bytes that are about to be written, so that a fast sender does not outrun the next look."""
        self._free -= size

    def _look(self) -> int:
        status = os.statvfs(self._folder)
        return status.f_bavail * status.f_frsize
