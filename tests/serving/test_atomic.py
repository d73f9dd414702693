"""Readers see whole marts while publishers work, die and start again."""

from __future__ import annotations

import random
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import worlds

from lakehouse.settings import Settings
from serving.publications import publications
from serving.query import query_rows

MART = "campaign_daily"

# Kills itself where the staging table is filled and equal to gold, and the live one is not switched yet.
KILLED_BEFORE_SWITCH = """
import os, signal
import serving.publish as module, worlds
from lakehouse.settings import load_settings

def die(engine, table):
    os.kill(os.getpid(), signal.SIGKILL)

module.switch = die
worlds.publish(load_settings(), "campaign_daily", run_id="killed")
"""

PUBLISH = """
import worlds
from lakehouse.settings import load_settings
worlds.publish(load_settings(), "campaign_daily", run_id="killed")
"""


def state(settings: Settings) -> tuple[Any, ...]:
    """What a reader sees of the mart, and the tables there are."""
    whole, tables = query_rows(
        settings,
        f"select count(), sum(installs), sum(cost_usd), uniqExact(date) from {MART}",
        "select groupArray(name) from (select name from system.tables where database = 'marts' order by name)",
    )
    return whole.rows[0], tables.rows[0][0]


def killed(process: subprocess.Popen[str]) -> None:
    output, _ = process.communicate(timeout=60)
    assert process.returncode == -9, output


@pytest.mark.parametrize("is_served", [pytest.param(False, marks=pytest.mark.slow), True], ids=["embedded", "front"])
def test_a_publisher_killed_before_the_switch_leaves_the_old_mart_whole(tmp_path: Path, is_served: bool) -> None:
    home = tmp_path / "home"
    settings = worlds.settings_of(home)
    worlds.write_gold(settings, MART, worlds.campaign_daily())
    worlds.publish(settings, MART)
    old = state(settings), publications(settings)
    worlds.write_gold(settings, MART, worlds.campaign_daily(factor=2))

    def kill_and_repeat() -> None:
        killed(worlds.python(KILLED_BEFORE_SWITCH, home))
        (whole, tables), published = state(settings), publications(settings)
        assert (whole, published) == (old[0][0], old[1])
        assert tables == ["_publications", MART, f"{MART}__new"]
        (again,) = worlds.publish(settings, MART, run_id="run-2")
        assert (again.delta_version, again.is_unchanged) == (1, False)
        (whole, tables), published = state(settings), publications(settings)
        assert whole[1] == 2 * old[0][0][1]
        assert tables == ["_publications", MART]
        assert [p.run_id for p in published] == ["run-2"]

    if is_served:
        with worlds.front(home):
            kill_and_repeat()
    else:
        kill_and_repeat()


def test_readers_never_see_half_a_publish(tmp_path: Path) -> None:
    publishes = 12
    seen: list[tuple[int, int, int]] = []
    failures: list[str] = []
    stop = threading.Event()
    with worlds.front(tmp_path / "home") as (settings, address):
        worlds.write_gold(settings, MART, worlds.campaign_daily(rows=6_000, factor=1))
        worlds.publish(settings, MART)

        def read() -> None:
            bi = worlds.client(address)
            sql = f"select count(), sum(installs), uniqExact(date) from {MART}"
            while not stop.is_set():
                try:
                    seen.append(bi.query(sql).result_rows[0])
                except Exception as error:
                    failures.append(str(error))
                time.sleep(0.01)
            bi.close()

        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        for factor in range(2, publishes + 2):
            worlds.write_gold(settings, MART, worlds.campaign_daily(rows=6_000, factor=factor))
            worlds.publish(settings, MART)
        stop.set()
        for reader in readers:
            reader.join()
        one = seen[0][1]
    assert failures == []
    assert {row[0] for row in seen} == {6_000}
    assert {row[2] for row in seen} == {30}
    assert {row[1] for row in seen} <= {one * factor for factor in range(1, publishes + 2)}
    assert len({row[1] for row in seen}) > publishes / 2, "the readers were too slow to see the publishes"


@pytest.mark.slow
def test_a_publisher_killed_at_any_moment_leaves_a_whole_mart(tmp_path: Path) -> None:
    home = tmp_path / "home"
    random.seed(20_260_301)
    with worlds.front(home) as (settings, _):
        worlds.write_gold(settings, MART, worlds.campaign_daily(rows=300_000))
        worlds.publish(settings, MART)
        one = state(settings)[0]
        factor = 1
        for round_number in range(2, 14):
            worlds.write_gold(settings, MART, worlds.campaign_daily(rows=300_000, factor=round_number))
            process = worlds.python(PUBLISH, home)
            time.sleep(random.uniform(0.8, 3.0))
            process.kill()
            process.communicate(timeout=60)
            whole = state(settings)[0]
            assert whole[0] == one[0]
            assert whole[1] in (one[1] * factor, one[1] * round_number), "half a mart, or one that nobody published"
            worlds.publish(settings, MART)
            whole, tables = state(settings)
            assert (whole[1], tables) == (one[1] * round_number, ["_publications", MART])
            factor = round_number
