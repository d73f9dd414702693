"""Connections to ClickHouse: one small interface over the embedded engine and over HTTP.

Callers never see clickhouse_connect or chdb, nor their exceptions. What is asked of the engine is decided elsewhere.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lakehouse.settings import PREFIX, Settings
from serving.errors import QueryError, ServingError
from serving.readonly import SYNTAX_ERROR, Gate
from serving.target import (
    PUBLISHER,
    READER,
    EmbeddedTarget,
    HttpTarget,
    find_owner,
    is_alive,
    owner_target,
    parse_dsn,
    read_owner,
)

if TYPE_CHECKING:
    import pyarrow as pa

UNKNOWN_DATABASE: Final = 81
# Long enough for another short command or a starting `serve`, short enough for a person who waits.
LOCK_WAIT_S: Final = 20.0
# Without these the engine speaks in the machine's time zone, and numbers the rows of a printed table.
HANDLE_OPTIONS: Final = {"session_timezone": "UTC", "output_format_pretty_row_numbers": "0"}
_SEND_RECEIVE_TIMEOUT_S: Final = 3600
_FORMAT_CLAUSE: Final = re.compile(r"\bFORMAT\s+\w+\s*$", re.IGNORECASE)


class Engine:
    """An open connection. Not for use by several threads at a time; `connect` closes it."""

    def __init__(self, client: Any, target: EmbeddedTarget | HttpTarget, gate: Gate | None = None) -> None:
        self._client = client
        self._gate = gate
        self.target = target
        self.database = target.database

    def sees(self, folder: Path) -> bool:
        """Whether the engine may read a folder of this machine itself.

        Embedded, it allows `deltaLakeLocal` below the working directory only and has no setting for it; our front works
        in the root folder for that reason. A server elsewhere sees nothing of ours.
        """
        if isinstance(self.target, EmbeddedTarget):
            return folder.resolve().is_relative_to(Path.cwd().resolve())
        return self.target.is_own

    def command(self, sql: str, parameters: Mapping[str, Any] | None = None) -> None:
        """Run a statement without result."""
        with _engine_errors():
            self._client.command(sql, parameters=dict(parameters or {}))

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        return self.table(sql, parameters)[1]

    def table(self, sql: str, parameters: Mapping[str, Any] | None = None) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Column names and all rows of a query."""
        sql = self._checked(sql, parameters)
        with _engine_errors():
            result = self._client.query(sql, parameters=dict(parameters or {}))
            return list(result.column_names), [tuple(row) for row in result.result_rows]

    def text(self, sql: str, fmt: str) -> str:
        """Answer of a query in a ClickHouse format; a FORMAT clause in the query wins."""
        sql = self._checked(sql)
        if _FORMAT_CLAUSE.search(sql):
            fmt = ""
        with _engine_errors():
            answer: bytes = self._client.raw_query(sql, fmt=fmt or None)
        return answer.decode("utf-8", errors="replace")

    def insert_rows(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Insert a few rows; `table` without database."""
        with _engine_errors():
            self._client.insert(table, list(rows), column_names=list(columns), database=self.database)

    def insert_arrow(self, table: str, data: pa.Table) -> None:
        """Insert an Arrow table by column name; `table` without database."""
        with _engine_errors():
            self._client.insert_arrow(table, data, database=self.database)

    def _checked(self, sql: str, parameters: Mapping[str, Any] | None = None) -> str:
        sql = sql.strip().rstrip(";").rstrip()
        if not sql:
            raise QueryError("Empty query.", SYNTAX_ERROR)
        if self._gate is not None:
            self._gate.check(sql, parameters or {}, self.database)
        return sql


@contextmanager
def connect(settings: Settings, *, username: str = PUBLISHER, wait_s: float = LOCK_WAIT_S) -> Iterator[Engine]:
    """An engine for `publisher` (reads and writes) or `bi` (reads only), closed on leaving.

    The embedded engine can be open in one process only: while this home's `serve` runs it is reached through it, and
    another holder of the folder is waited for. ServingError when nothing of that works within `wait_s` seconds.
    """
    if settings.clickhouse_dsn:
        target = parse_dsn(settings.clickhouse_dsn)
        if isinstance(target, HttpTarget):
            yield from _http(target, is_reader=username == READER)
        else:
            _wait_for_folder(settings, target.folder, time.monotonic() + wait_s)
            yield from _embedded(target, is_reader=username == READER)
        return
    deadline = time.monotonic() + wait_s
    while True:
        owner = find_owner(settings)
        if owner is not None:
            yield from _http(owner_target(settings, owner, username))
            return
        if not is_locked(settings.clickhouse_dir):
            break
        if time.monotonic() > deadline:
            raise ServingError(_locked_sentence(settings, settings.clickhouse_dir))
        time.sleep(0.2)
    yield from _embedded(EmbeddedTarget(settings.clickhouse_dir), is_reader=username == READER)


def is_locked(folder: Path) -> bool:
    """Whether some process (this one included) holds the engine's folder; looked at without disturbing it."""
    try:
        descriptor = os.open(folder / "status", os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in (errno.EWOULDBLOCK, errno.EACCES) and not _is_held_by_us(folder)
    finally:
        os.close(descriptor)
    return False


def _is_held_by_us(folder: Path) -> bool:
    """The engine writes the holder's id into its lock file; a second handle in the same process is fine."""
    try:
        text = (folder / "status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    found = re.search(r"PID:\s*(\d+)", text)
    return found is not None and int(found.group(1)) == os.getpid()


def _wait_for_folder(settings: Settings, folder: Path, deadline: float) -> None:
    while is_locked(folder):
        if time.monotonic() > deadline:
            raise ServingError(_locked_sentence(settings, folder))
        time.sleep(0.2)


def _locked_sentence(settings: Settings, folder: Path) -> str:
    owner = read_owner(settings.home)
    if owner is not None and is_alive(owner.pid):
        return (
            f"The ClickHouse folder {folder} is held by `unmogrowp serve` (process {owner.pid}), which does not "
            f"answer at {owner.address}: stop that process and try again."
        )
    return (
        f"The ClickHouse folder {folder} is in use by another process: wait until it ends, or run `unmogrowp serve` "
        f"so that several programs can share it, or set {PREFIX}CLICKHOUSE_DSN to a server."
    )


def open_embedded(folder: Path, options: Mapping[str, str] | None = None) -> Any:
    """A clickhouse_connect client over an embedded folder; ServingError when it cannot be opened."""
    import clickhouse_connect
    from clickhouse_connect.driver.exceptions import Error

    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        return clickhouse_connect.get_client(
            interface="chdb", path=str(folder), chdb_options=HANDLE_OPTIONS | dict(options or {}), tz_mode="aware"
        )
    except Error as error:
        if "already initialized with path" in str(error):
            raise ServingError(
                f"This process has another ClickHouse folder open than {folder}: close that one first."
            ) from None
        raise ServingError(f"The ClickHouse folder {folder} cannot be opened: {_reason(error)}.") from None


def _embedded(target: EmbeddedTarget, *, is_reader: bool) -> Iterator[Engine]:
    # Readonly is set as the handle opens and cannot be undone on it, so a reader gets a handle of its own.
    client = open_embedded(target.folder, {"readonly": "1"} if is_reader else None)
    try:
        gate = None
        if is_reader:
            client.database = target.database
            gate = Gate(_asker(client), target.database)
        yield Engine(client, target, gate)
    finally:
        client.close()


def _asker(client: Any) -> Any:
    def ask(sql: str, parameters: Mapping[str, Any]) -> str:
        with _engine_errors():
            answer: bytes = client.raw_query(sql, parameters=dict(parameters), fmt="TSVRaw")
        return answer.decode("utf-8", errors="replace")

    return ask


def _http(target: HttpTarget, *, is_reader: bool = False) -> Iterator[Engine]:
    import clickhouse_connect
    from clickhouse_connect.driver.exceptions import Error

    # A session per client would only serialise its queries; nothing here needs temporary tables.
    settings = {"readonly": 1} if is_reader else {}
    try:
        client = clickhouse_connect.get_client(
            interface="https" if target.is_secure else "http",
            host=target.host,
            port=target.port,
            username=target.username,
            password=target.password,
            autogenerate_session_id=False,
            connect_timeout=10,
            send_receive_timeout=_SEND_RECEIVE_TIMEOUT_S,
            settings=settings,
            tz_mode="aware",
        )
    except Error as error:
        if error.code in (516, 194, 193, 192):
            raise ServingError(
                f"ClickHouse at {target.address} refuses user {target.username}: check the user and password in "
                f"{PREFIX}CLICKHOUSE_DSN, or {PREFIX}CLICKHOUSE_{target.username.upper()}_PASSWORD."
            ) from None
        raise ServingError(
            f"ClickHouse at {target.address} cannot be reached: check {PREFIX}CLICKHOUSE_DSN and that the server runs "
            f"({_reason(error)})."
        ) from None
    if is_reader:
        client.database = target.database
    try:
        yield Engine(client, target)
    finally:
        client.close()


@contextmanager
def _engine_errors() -> Iterator[None]:
    from clickhouse_connect.driver.exceptions import Error

    try:
        yield
    except Error as error:
        raise QueryError(_message(error), int(error.code or 0)) from error


def _message(error: Exception) -> str:
    text = str(error).strip()
    start = text.find("DB::Exception: ")
    text = text[start + len("DB::Exception: ") :] if start >= 0 else text
    return " ".join(re.sub(r"\s*\(for url \S+\)$", "", text).split())


def _reason(error: Exception) -> str:
    return _message(error).rstrip(".") or type(error).__name__
