"""The endpoint as a process: start, readiness, signals, and the drain at the end.

The HTTP server and the requests are on the event loop, the spool on a thread, the landing lane in a process that ends
with this one, also when it is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import msgspec
from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings
from granian.server.embed import Server

from ingestion.apple_keys import PUBLISHED, AppleKeys
from ingestion.endpoint import Endpoint, settle
from ingestion.lander import Lander, Landing
from ingestion.metrics import Metrics
from ingestion.spool import Spool, SpoolLocked
from ingestion.transport import check_transport
from lakehouse.settings import SettingError, Settings

log: Final = logging.getLogger("ingestion.server")
ADDRESS_FILE: Final = "ingest.json"
_DRAIN_SECONDS: Final = 10.0
_LAND_SECONDS: Final = 120.0
# Connections that wait to be accepted; beyond them the kernel drops the next ones, and their clients try again.
_WAITING_CONNECTIONS: Final = 1_024


@dataclass(frozen=True, slots=True)
class Address:
    """Where a running endpoint listens, as it stands in `ingest.json` of the home."""

    pid: int
    host: str
    port: int
    is_tls: bool = False

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http{'s' if self.is_tls else ''}://{host}:{self.port}"


def read_address(settings: Settings) -> Address | None:
    """The endpoint of a home, None if none says that it runs."""
    try:
        return msgspec.json.decode((settings.home / ADDRESS_FILE).read_bytes(), type=Address)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def serve(
    settings: Settings,
    *,
    on_ready: Callable[[Address], None] = lambda address: None,
    stop: threading.Event | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    apple_keys: AppleKeys = PUBLISHED,
    landing: Callable[..., Landing] = Lander,
) -> None:
    """Serve until SIGTERM or SIGINT (or until `stop` is set), then land everything that was acknowledged.

    `on_ready` is told the bound address, `clock` tells the wall time of a receipt (aware, UTC; it may jump), `landing`
    makes whoever lands what was acknowledged. SettingError if a setting
    is missing, the port is taken or another process serves this home. Returns when all is landed; RuntimeError if that
    failed (the spool keeps what is left).
    """
    asyncio.run(_serve(settings, on_ready, stop, clock, apple_keys, landing))


async def _serve(
    settings: Settings,
    on_ready: Callable[[Address], None],
    stop: threading.Event | None,
    clock: Callable[[], datetime],
    apple_keys: AppleKeys,
    landing: Callable[..., Landing],
) -> None:
    loop = asyncio.get_running_loop()
    settings.secret("salt")  # said before anything is made
    has_tls = check_transport(settings)
    port = _free_port(settings)
    metrics = Metrics()
    lane = landing(
        settings,
        on_landed=metrics.landed,
        on_committed=metrics.committed,
        on_failed=lambda failures: metrics.landing_errors.inc(),
        on_fault=lambda fault: metrics.lander_faults.labels(fault).inc(),
    )
    try:
        spool = Spool(
            settings.spool_dir / "ingest",
            kind="ingest",
            segment_bytes=settings.ingest_segment_bytes,
            segment_seconds=settings.ingest_commit_seconds,
            backlog_bytes=settings.ingest_backlog_bytes,
            notify=partial(settle, loop),
            on_sealed=lane.enqueue,
        )
    except SpoolLocked:
        raise SettingError(f"UNMOGROWP_HOME is in use: another endpoint already serves {settings.home}.") from None
    metrics.watch(spool)
    metrics.landing_failures.set_function(lambda: lane.failures)
    endpoint = Endpoint(settings, spool=spool, metrics=metrics, clock=clock, apple_keys=apple_keys)
    lane.start(spool)
    spool.start()
    address = Address(os.getpid(), settings.ingest_host, port, has_tls)
    server = Server(
        endpoint,
        address=settings.ingest_host,
        port=port,
        interface=Interfaces.RSGI,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=round(1_000 * settings.ingest_header_seconds)),
        websockets=False,
        backlog=_WAITING_CONNECTIONS,
        backpressure=settings.ingest_connections,
        log_enabled=False,
        ssl_cert=settings.ingest_tls_cert,
        ssl_key=settings.ingest_tls_key,
        ssl_protocol_min=SSLProtocols.tls12,  # devices before Android 10 know no 1.3
    )
    finish = asyncio.Event()
    _on_signals(loop, finish, stop)
    serving = asyncio.create_task(server.serve())
    try:
        await _until_listening(address, serving)
        _announce(settings, address)
        on_ready(address)
        log.info("taking records at %s", address.url)
        await finish.wait()
    finally:
        endpoint.is_draining = True
        await asyncio.sleep(settings.ingest_drain_seconds)
        await _drain(endpoint)
        server.stop()
        await serving
        (settings.home / ADDRESS_FILE).unlink(missing_ok=True)
        landed = await loop.run_in_executor(None, _land_rest, spool, lane)
    if not landed:
        raise RuntimeError("not everything could be landed; the spool keeps it for the next start")


def _land_rest(spool: Spool, lane: Landing) -> bool:
    spool.close()
    ended = lane.stop(_LAND_SECONDS)
    spool.release()
    return ended


def _on_signals(loop: asyncio.AbstractEventLoop, finish: asyncio.Event, stop: threading.Event | None) -> None:
    if stop is not None:
        waiter = threading.Thread(target=lambda: (stop.wait(), loop.call_soon_threadsafe(finish.set)), daemon=True)
        waiter.start()
    if threading.current_thread() is threading.main_thread():
        for sign in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(sign, finish.set)


async def _until_listening(address: Address, serving: asyncio.Task[Any]) -> None:
    while not serving.done():
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(address.host, address.port)
            writer.close()
            return
        await asyncio.sleep(0.01)
    await serving
    raise RuntimeError("the HTTP server ended before it listened")


async def _drain(endpoint: Endpoint) -> None:
    """Let requests that have begun be answered; new ones are told to come again."""
    deadline = asyncio.get_running_loop().time() + _DRAIN_SECONDS
    while endpoint.in_flight and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.02)


def _announce(settings: Settings, address: Address) -> None:
    file = settings.home / ADDRESS_FILE
    temporary = file.with_name(f".{file.name}.{address.pid}")
    temporary.write_bytes(msgspec.json.encode(address))
    temporary.replace(file)


def _free_port(settings: Settings) -> int:
    """The port to bind. The HTTP server shares ports by SO_REUSEPORT, so a taken one would not be noticed there."""
    family = socket.AF_INET6 if ":" in settings.ingest_host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.ingest_host, settings.ingest_port))
            probe.listen(1)
        except OSError as error:
            where = f"{settings.ingest_host}:{settings.ingest_port}"
            raise SettingError(f"UNMOGROWP_INGEST_PORT is wrong: {where} cannot be bound ({error.strerror}).") from None
        return int(probe.getsockname()[1])
