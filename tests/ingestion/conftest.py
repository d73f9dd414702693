"""Fixtures of the ingestion tests: a fresh home, and an endpoint that runs for a module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ingestion.server import read_address
from lakehouse.settings import Settings
from tests.ingestion.link_apps import register as register_links
from tests.ingestion.rig import NOW, STARTED, Running, make_settings, start_thread


@pytest.fixture(scope="module", autouse=True)
def _no_process_is_left() -> Iterator[None]:
    yield
    while STARTED:
        process = STARTED.pop()
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings(tmp_path / "home")


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """An endpoint in a thread of the test process; its clock stands on NOW."""
    settings = make_settings(
        tmp_path_factory.mktemp("endpoint"), ingest_commit_seconds=0.2, ingest_max_body_bytes=1_000_000
    )
    with start_thread(settings, clock=lambda: NOW) as running:
        yield running
    assert read_address(settings) is None


@pytest.fixture(scope="module")
def link_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The same for the apps of `tests.ingestion.link_apps`."""
    settings = make_settings(tmp_path_factory.mktemp("links"), ingest_commit_seconds=0.2)
    with start_thread(settings, clock=lambda: NOW, register=register_links) as running:
        yield running
