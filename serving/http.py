"""`serve`: the process that owns a home's embedded engine and answers ClickHouse's HTTP protocol.

Starting, announcing, stopping. What it answers is in `serving.front`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import secrets
import signal
import socket
import time
from typing import Any, Final

from lakehouse.settings import PREFIX, Settings
from serving.errors import ServingError
from serving.target import DATABASE, Owner, find_owner, ping, remove_owner, write_owner

__all__ = ["ServingError", "serve", "wait_ready"]

log = logging.getLogger(__name__)

_ANSWER_WITHIN_S: Final = 30.0


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. For the main thread of a process of its own: it changes to the root folder.

    ServingError when another process holds the folder or the port; SettingError when a password is missing.
    """
    bi_password = settings.secret("clickhouse_bi_password")
    publisher_password = settings.secret("clickhouse_publisher_password")
    running = find_owner(settings)
    if running is not None:
        raise ServingError(f"`unmogrowp serve` of this home is running already, at {running.address}.")
    port = _free_port(settings.serve_host, settings.serve_port)
    if not _is_loopback(settings.serve_host):
        log.warning("listening on %s without TLS: put a proxy with TLS in front of it", settings.serve_host)
    # Embedded, the engine reads Delta tables below the working directory only.
    os.chdir("/")
    settings.tmp_dir.mkdir(parents=True, exist_ok=True, mode=0o700)

    from serving.front.handles import Handles
    from serving.front.routes import Front
    from serving.front.users import Users

    handles = Handles(settings.clickhouse_dir, DATABASE)
    instance = secrets.token_hex(16)
    users = Users(bi_password, publisher_password)

    async def main() -> None:
        front = Front(handles, users, instance, settings.tmp_dir)
        owner = Owner(f"http://{_reachable(settings.serve_host)}:{port}", os.getpid(), instance)
        try:
            await _listen(settings, front, owner)
        finally:
            remove_owner(settings.home, owner)
            await asyncio.to_thread(front.close)

    asyncio.run(main())


def wait_ready(settings: Settings, timeout_s: float = 60.0) -> str:
    """Address of this home's running front, as soon as it answers; ServingError after `timeout_s` seconds."""
    deadline = time.monotonic() + timeout_s
    while True:
        owner = find_owner(settings)
        if owner is not None:
            return owner.address
        if time.monotonic() > deadline:
            raise ServingError(f"`unmogrowp serve` of {settings.home} did not answer within {timeout_s:.0f} seconds.")
        time.sleep(0.1)


async def _listen(settings: Settings, front: Any, owner: Owner) -> None:
    from granian.constants import Interfaces
    from granian.server.embed import Server

    port = int(owner.address.rpartition(":")[2])
    server = Server(
        front.application(),
        address=settings.serve_host,
        port=port,
        interface=Interfaces.ASGINL,
        websockets=False,
        log_enabled=False,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    serving = asyncio.ensure_future(server.serve())
    deadline = time.monotonic() + _ANSWER_WITHIN_S
    while await asyncio.to_thread(ping, owner.address, 1.0) != owner.instance:
        if serving.done() or time.monotonic() > deadline:
            server.stop()
            await serving
            raise ServingError(f"The front does not answer at {owner.address}.")
        await asyncio.sleep(0.05)
    await asyncio.to_thread(write_owner, settings.home, owner)
    log.info("ClickHouse answers at %s, database %s", owner.address, DATABASE)
    await serving


def _free_port(host: str, port: int) -> int:
    """The port, or a free one for 0. Tried first because the server would share a port that another one listens on."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            return int(probe.getsockname()[1])
    except socket.gaierror:
        raise ServingError(f"{PREFIX}SERVE_HOST is wrong: {host} is no address of this machine.") from None
    except OSError:
        raise ServingError(
            f"Port {port} of {host} is taken or not allowed: set {PREFIX}SERVE_PORT to a free one."
        ) from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _reachable(host: str) -> str:
    """Where this machine reaches a server bound to `host`."""
    if host in ("0.0.0.0", ""):  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
