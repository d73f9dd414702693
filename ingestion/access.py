"""Who may send: the write key of a request, and the app it stands for.

Keys come as `Authorization: Bearer`, as Basic user name (Segment clients) or as `X-Write-Key`. The registry is read
again when `apps.toml` changes, so that keys can be added and withdrawn without a restart.
"""

from __future__ import annotations

import base64
import binascii
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from lakehouse.apps import APPS_FILE, App, AppRegistry, WriteKey, load_apps
from lakehouse.settings import SettingError, Settings

log: Final = logging.getLogger("ingestion.access")
_LOOK_AGAIN_SECONDS: Final = 1.0


class Denied(Exception):  # noqa: N818 - names the answer
    """`unauthorized` (no such key), `forbidden` (not this route) or `origin_forbidden` (not from this web page)."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Grant:
    """A valid key in its stored form, and its app."""

    app: App
    key: WriteKey


class Keys:
    """The registry of a home, kept fresh."""

    def __init__(self, settings: Settings, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._settings, self._monotonic = settings, monotonic
        self._stamp: tuple[int, int] | None = self._stat()
        self._registry = load_apps(settings)
        self._looked = monotonic()

    @property
    def registry(self) -> AppRegistry:
        """The registry as of at most a second ago; a broken file keeps the last good one."""
        now = self._monotonic()
        if now - self._looked >= _LOOK_AGAIN_SECONDS:
            self._looked = now
            stamp = self._stat()
            if stamp != self._stamp:
                self._stamp = stamp
                try:
                    self._registry = load_apps(self._settings)
                except SettingError as error:
                    log.error("the old keys stay in force: %s", error)
        return self._registry

    def grant_of(self, key: str | None, scope: str, at: datetime) -> Grant:
        """What a key stands for; Denied when it may not. No key is kept in clear, here or anywhere."""
        found = self.registry.find(key) if key else None
        if found is None or found[1].is_expired(at):
            raise Denied("unauthorized")
        if not found[1].allows(scope, at):
            raise Denied("forbidden")
        return Grant(*found)

    def _stat(self) -> tuple[int, int] | None:
        try:
            status = (self._settings.home / APPS_FILE).stat()
        except FileNotFoundError:
            return None
        return status.st_mtime_ns, status.st_ino


def key_of(authorization: str | None, write_key: str | None) -> str | None:
    """The write key in the headers `Authorization` and `X-Write-Key`; None if there is none."""
    if write_key:
        return write_key.strip()
    kind, _, value = (authorization or "").strip().partition(" ")
    value = value.strip()
    if kind.lower() == "bearer":
        return value or None
    if kind.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[0] or None
        except (binascii.Error, UnicodeDecodeError):
            return None
    return None
