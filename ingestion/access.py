"""Who may send: the write key of a request, and the app it stands for.

Keys come as `Authorization: Bearer`, as Basic user name (Segment clients) or as `X-Write-Key`. The registry is read
again when `apps.toml` changes, so that keys can be added and withdrawn without a restart.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from ingestion.watched_file import WatchedFile
from lakehouse.apps import APPS_FILE, App, AppRegistry, WriteKey, load_apps
from lakehouse.settings import Settings


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
        """SettingError if the file is wrong."""
        self._file = WatchedFile(
            settings.home / APPS_FILE, lambda: load_apps(settings), what="keys", monotonic=monotonic
        )

    @property
    def registry(self) -> AppRegistry:
        """The registry as of at most a second ago; a broken file keeps the last good one."""
        return self._file.value

    def grant_of(self, key: str | None, scope: str, at: datetime) -> Grant:
        """What a key stands for; Denied when it may not. No key is kept in clear, here or anywhere."""
        found = self.registry.find(key) if key else None
        if found is None or found[1].is_expired(at):
            raise Denied("unauthorized")
        if not found[1].allows(scope, at):
            raise Denied("forbidden")
        return Grant(*found)


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
