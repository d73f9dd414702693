"""A file of the home that may change while the endpoint runs: read again when it does, the last good state kept.

What stands in the file, and what is wrong with it, is for whoever reads it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, TypeVar

from lakehouse.settings import SettingError

log: Final = logging.getLogger("ingestion.watched_file")
_LOOK_AGAIN_SECONDS: Final = 1.0
T = TypeVar("T")


class WatchedFile(Generic[T]):
    """What `load` makes of a file, as of at most a second ago."""

    def __init__(
        self, file: Path, load: Callable[[], T], *, what: str, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Read it now; whatever `load` raises if it is wrong. `what` names the content in the log ("keys")."""
        self._file, self._load, self._what, self._monotonic = file, load, what, monotonic
        self._stamp = self._stat()  # before reading: a change while it is read is seen at the next look
        self._value = load()
        self._looked = monotonic()

    @property
    def value(self) -> T:
        """The newest state that could be read. A wrong file is said once in the log and changes nothing."""
        now = self._monotonic()
        if now - self._looked >= _LOOK_AGAIN_SECONDS:
            self._looked = now
            stamp = self._stat()
            if stamp != self._stamp:
                self._stamp = stamp
                try:
                    self._value = self._load()
                except (SettingError, OSError) as error:
                    log.error("the old %s stay in force: %s", self._what, error)
        return self._value

    def _stat(self) -> tuple[int, int, int, int] | None:
        try:
            status = self._file.stat()
        except OSError:  # it is away, or a folder on its way is; reading says what that means
            return None
        return status.st_mtime_ns, status.st_ino, status.st_size, status.st_mode
