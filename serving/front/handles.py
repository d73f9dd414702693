"""Handles of the embedded engine: opened with a user's rights, reused where that is safe, closed together.

A handle keeps its database and settings, and `readonly` cannot be undone on it. So readers share handles only among
requests with the same database and settings; a writer gets a fresh handle, or that of its session.
"""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, Final
from urllib.parse import urlencode

from serving.engine import HANDLE_OPTIONS, is_locked
from serving.errors import QueryError, ServingError
from serving.readonly import Gate
from serving.sql import literal, quoted

_SETTING_NAME: Final = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
_CODE: Final = re.compile(r"Code: (\d+)\.")
_MAX_IDLE: Final = 16
_MAX_SESSIONS: Final = 64
UNKNOWN_SETTING: Final = 115
SESSION_NOT_FOUND: Final = 372
SESSION_IS_LOCKED: Final = 373


@dataclass(slots=True)
class _Session:
    handle: Any
    expires_at: float
    is_busy: bool = False
    applied: set[str] = field(default_factory=set)


class Handles:
    """All handles over one folder. The folder is locked to this process until `close`. Safe for several threads."""

    def __init__(self, folder: Path, database: str) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if is_locked(folder):
            raise ServingError(f"The ClickHouse folder {folder} is in use by another process: stop it and try again.")
        self._address = f"{folder.resolve()}?{urlencode(HANDLE_OPTIONS)}"
        # Stays open so that the engine does; a connection to an engine that runs costs a millisecond, a start fifty.
        self._master = self._open()
        run(self._master, f"CREATE DATABASE IF NOT EXISTS {quoted(database)}")
        self._asking = self._open()
        run(self._asking, "SET readonly = 1")
        self._asking_lock = Lock()
        self.gate = Gate(self._ask, database)
        self._lock = Lock()
        self._idle: OrderedDict[tuple[str, frozenset[tuple[str, str]]], list[Any]] = OrderedDict()
        self._sessions: dict[str, _Session] = {}

    @contextmanager
    def reader(self, database: str, settings: Mapping[str, str]) -> Iterator[Any]:
        """A read-only handle with these settings."""
        key = (database, frozenset(settings.items()))
        with self._lock:
            idle = self._idle.get(key)
            handle = idle.pop() if idle else None
        if handle is None:
            handle = self._prepared(database, settings, readonly="1")
        try:
            yield handle
        except Exception:
            handle.close()
            raise
        self._keep(key, handle)

    @contextmanager
    def writer(self, database: str, settings: Mapping[str, str], readonly: str = "0") -> Iterator[Any]:
        """A handle of its own, with write rights unless `readonly` is 1 or 2."""
        handle = self._prepared(database, settings, readonly)
        try:
            yield handle
        finally:
            handle.close()

    @contextmanager
    def session(
        self, session_id: str, timeout_s: int, must_exist: bool, database: str, settings: Mapping[str, str]
    ) -> Iterator[Any]:
        """The handle of a session, with its temporary tables and SETs; used by one request at a time."""
        session = self._enter(session_id, must_exist)
        try:
            for name in session.applied - settings.keys():
                run(session.handle, f"SET {_setting_name(name)} = DEFAULT")
            _apply(session.handle, settings)
            session.applied = set(settings)
            run(session.handle, f"USE {quoted(database)}")
            yield session.handle
        finally:
            session.expires_at = time.monotonic() + timeout_s
            session.is_busy = False

    def close(self) -> None:
        """Close every handle and with the last one the engine."""
        with self._lock:
            handles = [handle for idle in self._idle.values() for handle in idle]
            handles += [session.handle for session in self._sessions.values()]
            self._idle.clear()
            self._sessions.clear()
        for handle in (*handles, self._asking, self._master):
            handle.close()

    def _open(self) -> Any:
        import chdb

        try:
            return chdb.connect(self._address)
        except Exception as error:
            raise ServingError(f"The ClickHouse folder cannot be opened: {error}") from None

    def _prepared(self, database: str, settings: Mapping[str, str], readonly: str) -> Any:
        handle = self._open()
        try:
            _apply(handle, settings)
            run(handle, f"USE {quoted(database)}")
            if readonly != "0":
                run(handle, f"SET readonly = {int(readonly)}")
        except BaseException:
            handle.close()
            raise
        return handle

    def _keep(self, key: tuple[str, frozenset[tuple[str, str]]], handle: Any) -> None:
        surplus = []
        with self._lock:
            self._idle.setdefault(key, []).append(handle)
            self._idle.move_to_end(key)
            while sum(map(len, self._idle.values())) > _MAX_IDLE:
                oldest = next(iter(self._idle))
                surplus.append(self._idle[oldest].pop(0))
                if not self._idle[oldest]:
                    del self._idle[oldest]
        for old in surplus:
            old.close()

    def _enter(self, session_id: str, must_exist: bool) -> _Session:
        expired = []
        now = time.monotonic()
        with self._lock:
            for name, other in list(self._sessions.items()):
                if not other.is_busy and other.expires_at < now:
                    expired.append(self._sessions.pop(name))
            session = self._sessions.get(session_id)
            if session is None and must_exist:
                raise QueryError("Session not found.", SESSION_NOT_FOUND)
            if session is None:
                free = sorted((s.expires_at, n) for n, s in self._sessions.items() if not s.is_busy)
                if len(self._sessions) >= _MAX_SESSIONS and free:
                    expired.append(self._sessions.pop(free[0][1]))
                session = self._sessions[session_id] = _Session(self._open(), now)
            if session.is_busy:
                raise QueryError("Session is locked by a concurrent client.", SESSION_IS_LOCKED)
            session.is_busy = True
        for old in expired:
            old.handle.close()
        return session

    def _ask(self, sql: str, parameters: Mapping[str, Any]) -> str:
        # Parameters of a request come in the engine's text form already; the statement itself does not.
        values = {
            name: _escaped(value) if name == "q" and "{q:String}" in sql else value
            for name, value in parameters.items()
        }
        with self._asking_lock:
            return bytes(run(self._asking, sql, "TSVRaw", values).bytes()).decode("utf-8", errors="replace")


def run(handle: Any, sql: str, fmt: str = "TabSeparated", parameters: Mapping[str, Any] | None = None) -> Any:
    """Result object of a statement; QueryError with the engine's message."""
    with engine_errors():
        return handle.query(sql, fmt, params=dict(parameters or {}))


@contextmanager
def engine_errors() -> Iterator[None]:
    """Turn the engine's exceptions, which have several types, into QueryError."""
    try:
        yield
    except QueryError:
        raise
    except Exception as error:
        text = str(error)
        found = _CODE.search(text)
        if found is None:
            raise
        message = text[found.end() :].strip().removeprefix("DB::Exception: ")
        raise QueryError(message, int(found.group(1))) from None


def _apply(handle: Any, settings: Mapping[str, str]) -> None:
    if settings:
        pairs = ", ".join(f"{_setting_name(name)} = {literal(value)}" for name, value in settings.items())
        run(handle, f"SET {pairs}")


def _setting_name(name: str) -> str:
    if not _SETTING_NAME.match(name):
        raise QueryError(f"Unknown setting {name!r}.", UNKNOWN_SETTING)
    return name


def _escaped(text: str) -> str:
    for plain, escaped in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"), ("\0", "\\0")):
        text = text.replace(plain, escaped)
    return text
