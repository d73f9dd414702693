"""What the tests of ingestion stand on: homes, keys, records, and endpoints as processes. Fixtures are in conftest."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ingestion.import_report import ImportResult
from ingestion.import_sources import ImportOptions, MappedFile
from ingestion.landing import Lane
from ingestion.server import Address, read_address, serve
from lakehouse import engine
from lakehouse.apps import App, new_write_key, save_apps
from lakehouse.lake import Lake
from lakehouse.settings import Settings, load_settings

APP = "game.ios"
OTHER_APP = "shop.web"
SALT = "a salt that is long enough for the tests of ingestion"
# Processes that were started, so that none outlives a test that fails.
STARTED: list[subprocess.Popen[bytes]] = []
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def make_settings(home: Path, **values: Any) -> Settings:
    environment = {"UNMOGROWP_HOME": str(home), "UNMOGROWP_SALT": SALT, "UNMOGROWP_INGEST_PORT": "0"}
    environment |= {f"UNMOGROWP_{name.upper()}": str(value) for name, value in values.items()}
    return load_settings(environment)


def register_apps(settings: Settings) -> dict[str, str]:
    """Two apps; their write keys by name."""
    keys = {}
    stored = {}
    expired = NOW - timedelta(days=3650)
    for name, scopes in (("game", ("events", "segment")), ("shop", ("events", "segment")), ("links", ("link",))):
        keys[name], stored[name] = new_write_key(name, scopes)
    keys["old"], old = new_write_key("old")
    stored["old"] = old.model_copy(update={"expires_at": expired})
    save_apps(
        settings,
        (
            App(app_id=APP, platform="ios", write_keys=(stored["game"], stored["links"], stored["old"])),
            App(app_id=OTHER_APP, platform="web", currency="EUR", write_keys=(stored["shop"],)),
        ),
    )
    return keys


def record(**fields: Any) -> dict[str, Any]:
    """A sound event, with changes; a field set to `...` is left out."""
    base = {
        "app_id": APP,
        "record_id": "r1",
        "record_type": "event",
        "event_name": "level_complete",
        "install_id": "i1",
        "event_at": "2026-03-01T10:00:00Z",
    }
    return {name: value for name, value in (base | fields).items() if value is not ...}


def line(**fields: Any) -> bytes:
    return json.dumps(record(**fields)).encode()


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Running:
    """An endpoint that answers, with what a sender needs."""

    settings: Settings
    address: Address
    keys: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    stop: Callable[[], None] = field(default=lambda: None)
    begin_stop: Callable[[], None] = field(default=lambda: None)

    def request(
        self, method: str, path: str, body: bytes | None = None, *, key: str | None = "game", **headers: str
    ) -> Reply:
        connection = http.client.HTTPConnection(self.address.host, self.address.port, timeout=30)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            sent["authorization"] = f"Bearer {self.keys.get(key, key)}"
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, found, response.read())
        finally:
            connection.close()

    def post(self, body: bytes, path: str = "/v1/events", **headers: Any) -> Reply:
        return self.request("POST", path, body, **({"content_type": "application/json"} | headers))

    def wait_landed(self, table: str, where: str, count: int, seconds: float = 20) -> list[dict[str, Any]]:
        """Rows of a bronze table once there are `count` of them."""
        deadline = time.monotonic() + seconds
        while True:
            rows = bronze(self.settings, table, where)
            if len(rows) >= count or time.monotonic() > deadline:
                return rows
            time.sleep(0.1)


def bronze(settings: Settings, table: str, where: str = "true") -> list[dict[str, Any]]:
    """Rows of a bronze table."""
    return query(settings, table, f"select * from bronze.{table} where {where}")


def query(settings: Settings, table: str, sql: str) -> list[dict[str, Any]]:
    """Result of a query over one bronze table."""
    lake = Lake(settings.lake)
    with engine.connect(settings, lake=lake, layers=()) as connection:
        connection.execute("create schema bronze")
        engine.create_view(connection, lake, f"bronze/{table}")
        return list(connection.sql(sql).to_arrow_table().to_pylist())


def ids_of(settings: Settings, file: Path, mapping: str, **options: Any) -> list[str]:
    """The record ids that an import of a file would give, in the order of its rows; stores nothing."""
    source = MappedFile(settings, file, mapping, ImportOptions(**options), ImportResult("", "", True), lambda _: None)
    try:
        chunks = list(source.chunks(count_occurrences=True))
    finally:
        source.close()
    return [json.loads(line)["record_id"] for _, chunk in chunks for line in chunk.records]


def lane_here(settings: Settings, **callbacks: Any) -> Lane:
    """The lane on a thread, where a process of its own would cost every test a second (and could have faults)."""
    callbacks.pop("on_fault", None)
    lane = Lane(settings, **callbacks)
    lane.prepare()
    return lane


@contextmanager
def start_thread(settings: Settings, **options: Any) -> Iterator[Running]:
    """An endpoint in a thread of the test process, with two apps or those that `register` makes."""
    keys = options.pop("register", register_apps)(settings)
    stop, ready = threading.Event(), threading.Event()
    options = {"landing": lane_here} | options | {"on_ready": lambda _: ready.set(), "stop": stop}
    thread = threading.Thread(target=serve, args=(settings,), kwargs=options, daemon=True)
    thread.start()
    assert ready.wait(60), "the endpoint did not start"
    address = read_address(settings)
    assert address is not None
    try:
        yield Running(settings, address, keys, begin_stop=stop.set)
    finally:
        stop.set()
        thread.join(60)
    assert not thread.is_alive(), "the endpoint did not stop"


def process_environment(settings: Settings) -> dict[str, str]:
    """All that an endpoint as a process is told."""
    return {
        "PATH": os.environ["PATH"],
        "UNMOGROWP_HOME": str(settings.home),
        "UNMOGROWP_SALT": SALT,
        "UNMOGROWP_INGEST_PORT": "0",
        "UNMOGROWP_INGEST_COMMIT_SECONDS": str(settings.ingest_commit_seconds),
        "UNMOGROWP_INGEST_SEGMENT_BYTES": str(settings.ingest_segment_bytes),
    }


def start_process(
    settings: Settings, keys: dict[str, str], *, module: str = "ingestion", **environment: str
) -> Running:
    """An endpoint as a process of its own, as `python -m ingestion` (or another module that serves)."""
    (settings.home / "ingest.json").unlink(missing_ok=True)  # a killed process leaves it behind
    variables = process_environment(settings)
    with (settings.home / "endpoint.log").open("ab") as log:
        process = subprocess.Popen([sys.executable, "-m", module], env=variables | environment, stdout=log, stderr=log)
    STARTED.append(process)
    deadline = time.monotonic() + 60
    while (address := read_address(settings)) is None:
        assert process.poll() is None, (settings.home / "endpoint.log").read_text()
        assert time.monotonic() < deadline, "the endpoint did not start"
        time.sleep(0.02)
    assert address.pid == process.pid

    def stop() -> None:
        process.terminate()
        assert process.wait(60) == 0, (settings.home / "endpoint.log").read_text()

    return Running(settings, address, keys, process, stop)
