"""Which ClickHouse this home uses: its own embedded engine, the process that owns it, or a server named by a DSN.

Only addresses are decided here; connections are opened in `serving.engine`.
"""

from __future__ import annotations

import http.client
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from lakehouse.settings import PREFIX, Settings
from serving.errors import ServingError

DATABASE: Final = "marts"
PUBLISHER: Final = "publisher"
READER: Final = "bi"
INSTANCE_HEADER: Final = "X-UnMoGrowP-Instance"
OWNER_FILE: Final = "clickhouse-serve.json"
_DSN_EXAMPLE: Final = "http://user:password@host:8123/marts or chdb:///absolute/folder"


@dataclass(frozen=True, slots=True)
class EmbeddedTarget:
    """An engine in this process over a folder that one process at a time may open."""

    folder: Path
    database: str = DATABASE


@dataclass(frozen=True, slots=True)
class HttpTarget:
    """A server that speaks ClickHouse's HTTP protocol."""

    host: str
    port: int
    username: str
    password: str = field(repr=False)
    database: str = DATABASE
    is_secure: bool = False
    # The server is our own front on this machine, so it reads the lake at the same paths.
    is_own: bool = False

    @property
    def address(self) -> str:
        return f"{'https' if self.is_secure else 'http'}://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Owner:
    """The running `serve` of a home: where it listens, its process id, and a random id of this start."""

    address: str
    pid: int
    instance: str


def parse_dsn(dsn: str) -> EmbeddedTarget | HttpTarget:
    """Target of a DSN; ServingError (without the password) when it is none."""
    parts = urlsplit(dsn)
    name = f"{PREFIX}CLICKHOUSE_DSN"
    if parts.scheme == "chdb":
        if parts.netloc or not parts.path.startswith("/"):
            raise ServingError(f"{name} is wrong: a folder must be absolute, as in chdb:///srv/clickhouse.")
        return EmbeddedTarget(Path(unquote(parts.path)))
    if parts.scheme not in ("http", "https"):
        raise ServingError(f"{name} is wrong: expected {_DSN_EXAMPLE}.")
    try:
        port = parts.port
    except ValueError:
        port = -1
    if not parts.hostname or port == -1:
        raise ServingError(f"{name} is wrong: it names no host or no valid port; expected {_DSN_EXAMPLE}.")
    is_secure = parts.scheme == "https"
    return HttpTarget(
        host=parts.hostname,
        port=port or (8443 if is_secure else 8123),
        username=unquote(parts.username or "default"),
        password=unquote(parts.password or ""),
        database=unquote(parts.path.strip("/")) or DATABASE,
        is_secure=is_secure,
    )


def owner_target(settings: Settings, owner: Owner, username: str) -> HttpTarget:
    """How `username` reaches the running front; SettingError when its password is not set."""
    secret = "clickhouse_publisher_password" if username == PUBLISHER else "clickhouse_bi_password"
    parts = urlsplit(owner.address)
    return HttpTarget(parts.hostname or "127.0.0.1", parts.port or 8123, username, settings.secret(secret), is_own=True)


def find_owner(settings: Settings) -> Owner | None:
    """The running `serve` of this home, or None. A stale file, or another home's server on the port, is no owner."""
    owner = read_owner(settings.home)
    if owner is None or ping(owner.address) != owner.instance:
        return None
    return owner


def read_owner(home: Path) -> Owner | None:
    """What the owner file says, whether or not that process still lives."""
    try:
        value = json.loads((home / OWNER_FILE).read_text(encoding="utf-8"))
        return Owner(str(value["address"]), int(value["pid"]), str(value["instance"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_owner(home: Path, owner: Owner) -> None:
    """Announce the owner; the file appears whole or not at all."""
    temporary = home / f".{OWNER_FILE}.{owner.pid}"
    text = json.dumps({"address": owner.address, "pid": owner.pid, "instance": owner.instance})
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(home / OWNER_FILE)


def remove_owner(home: Path, owner: Owner) -> None:
    """Take the announcement back, unless a later start has replaced it."""
    if read_owner(home) == owner:
        (home / OWNER_FILE).unlink(missing_ok=True)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def ping(address: str, timeout_s: float = 2.0) -> str | None:
    """Instance id of the front at `address`; an empty text for any other server that answers, None for none."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=timeout_s)
    try:
        connection.request("GET", "/ping")
        response = connection.getresponse()
        response.read()
        return response.getheader(INSTANCE_HEADER, "") if response.status == http.client.OK else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
