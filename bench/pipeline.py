"""Section `pipeline`: one day and thirty days of the simulated world, from bronze to published marts.

The limit is a plain DuckDB scan that reads every column of the same bronze rows: no run can do less.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from bench.rows import Row, row
from lakehouse.apps import App, save_apps
from lakehouse.home import make_demo_secrets, prepare_home
from lakehouse.settings import Settings, load_settings
from simulator.delivery import write_files
from simulator.world import World, WorldConfig, world_apps

EVENTS_A_DAY: Final = 16_000
_LIMIT: Final = "duckdb_scan_of_the_same_bronze"
_COMMAND: Final = str(Path(sys.executable).with_name("unmogrowp"))


def run() -> list[Row]:
    """Rows for a world of thirty days built whole, then for one more day built on top."""
    with tempfile.TemporaryDirectory() as folder:
        settings = make_home(Path(folder))
        world = World(WorldConfig(events=30 * EVENTS_A_DAY, days=31, sized_for_days=30))
        land_world(settings, world, range(30))
        thirty = _timed(settings, "run")
        thirty_limit = _scan(settings)
        land_world(settings, world, [30])
        one = _timed(settings, "run")
        again = _timed(settings, "run")
        return [
            row("thirty_days_to_published", thirty, "s", _LIMIT, thirty_limit),
            row("one_more_day_to_published", one, "s", _LIMIT, thirty_limit),
            row("nothing_new", again, "s", _LIMIT, thirty_limit),
        ]


def make_home(folder: Path) -> Settings:
    """An empty home in a folder."""
    make_demo_secrets(folder)
    settings = load_settings(dict(os.environ) | {"UNMOGROWP_HOME": str(folder)})
    prepare_home(settings)
    return settings


def land_world(settings: Settings, world: World, days: Any) -> None:
    """Import days of a world as its senders would have sent them."""
    apps = tuple(App.model_validate(app) for app in world_apps(world))
    save_apps(settings, apps)
    folder = settings.tmp_dir / "world"
    for file in write_files(world, folder, "ndjson", days=days):
        _timed(settings, "import", str(file), "--mapping", "native")
        file.unlink()


def _timed(settings: Settings, *arguments: str) -> float:
    started = time.monotonic()
    environment = dict(os.environ) | {"UNMOGROWP_HOME": str(settings.home)}
    subprocess.run([_COMMAND, *arguments], env=environment, check=True, capture_output=True)
    return time.monotonic() - started


def _scan(settings: Settings) -> float:
    """Median of three cold processes that read every column of every bronze record."""
    code = (
        "from lakehouse.engine import connect; from lakehouse.settings import load_settings; "
        "c = connect(load_settings(), layers=('bronze',)); "
        "[c.execute(f'select max(hash(columns(*))) from bronze.{t}').fetchall() "
        "for t in ('bronze_app_events', 'bronze_touchpoints', 'bronze_costs')]"
    )
    environment = dict(os.environ) | {"UNMOGROWP_HOME": str(settings.home)}
    seconds = []
    for _ in range(3):
        started = time.monotonic()
        subprocess.run([sys.executable, "-c", code], env=environment, check=True)
        seconds.append(time.monotonic() - started)
    return statistics.median(seconds)
