"""Fixtures of the ingestion tests: a fresh home, and an endpoint that runs for a module."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingestion.server import read_address, serve
from lakehouse.settings import Settings
from tests.ingestion.rig import NOW, Running, make_settings, register_apps


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings(tmp_path / "home")


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """An endpoint in a thread of the test process; its clock stands on NOW."""
    settings = make_settings(
        tmp_path_factory.mktemp("endpoint"), ingest_commit_seconds=0.2, ingest_max_body_bytes=1_000_000
    )
    keys = register_apps(settings)
    stop, ready = threading.Event(), threading.Event()
    thread = threading.Thread(
        target=serve,
        args=(settings,),
        kwargs={"on_ready": lambda _: ready.set(), "stop": stop, "clock": lambda: NOW},
        daemon=True,
    )
    thread.start()
    assert ready.wait(60), "the endpoint did not start"
    address = read_address(settings)
    assert address is not None
    yield Running(settings, address, keys)
    stop.set()
    thread.join(60)
    assert not thread.is_alive(), "the endpoint did not stop"
    assert read_address(settings) is None
