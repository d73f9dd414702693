"""Fixtures of the serving tests: one running front with a published mart, shared by the tests that only read."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import worlds

from lakehouse.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return worlds.settings_of(tmp_path / "home")


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, str]]:
    """Settings and address of a front whose mart campaign_daily has 3,000 rows."""
    home = tmp_path_factory.mktemp("front") / "home"
    with worlds.front(home) as (settings, address):
        worlds.write_gold(settings, "campaign_daily", worlds.campaign_daily(), ("date",))
        worlds.publish(settings, "campaign_daily")
        yield settings, address


@pytest.fixture(scope="session")
def address(running: tuple[Settings, str]) -> str:
    return running[1]
