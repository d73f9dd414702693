"""Section `attribution`: candidates and decisions at full size beside their limit, and a day on a growing history.

`python -m bench.attribution --touches 300000 --installs 15000 --events-a-day 1000 --rounds 1` is a small trial.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from bench.attribution_history import daily_increment
from bench.attribution_process import MEMORY, cold, dbt
from bench.attribution_world import Size, write_crowd, write_world
from bench.rows import Row, row
from lakehouse.apps import App, save_apps
from lakehouse.lake import Lake
from lakehouse.settings import Settings, load_settings

DECIDED: Final = ("int_touch_matches", "attribution_candidates", "attribution_decisions")
# What the timed models read besides the two tables that are generated.
_READ_BY_THEM: Final = (
    "int_install_devices",
    "int_reinstalls",
    "int_reengagement_opens",
    "int_rulesets",
    "int_conversions",
)
CROWD: Final = 100_000
EVENTS_A_DAY: Final = 20_000
_LITTLE_MEMORY: Final = "2GB"


def run(size: Size | None = None, events_a_day: int = EVENTS_A_DAY, rounds: int = 3) -> list[Row]:
    """Rows of the section."""
    with tempfile.TemporaryDirectory(prefix="unmogrowp-bench-") as folder:
        increments = _said(*daily_increment(Path(folder), events_a_day, rounds))
    with tempfile.TemporaryDirectory(prefix="unmogrowp-bench-") as folder:
        decisions = candidate_decision(Path(folder), size or Size(), rounds)
    return decisions + increments


def candidate_decision(folder: Path, size: Size, rounds: int) -> list[Row]:
    """Ours and the limit in turns; with little memory, in which the limit dies; with a crowd in one address range."""
    settings = decision_home(folder, size)
    rows, limits = _compared(settings, "candidate_decision", rounds)
    little = decide(settings, _LITTLE_MEMORY)
    rows += _said(
        _beside_limit(f"candidate_decision_{_LITTLE_MEMORY}", [little], limits),
        row(f"candidate_decision_{_LITTLE_MEMORY}_peak", little["peak_mib"], "MiB"),
    )
    write_crowd(Lake(settings.lake), size, CROWD)
    dbt(settings, "run", "--select", *_READ_BY_THEM)
    return rows + _compared(settings, "candidate_decision_crowd", rounds)[0]


def _compared(settings: Settings, name: str, rounds: int) -> tuple[list[Row], list[dict[str, Any]]]:
    """Rows, and what the limit measured."""
    ours, limits = [], []
    for _ in range(rounds):
        ours.append(decide(settings))
        limits.append(cold(settings, ["limit", "one_pass"]))
    rows = _said(
        _beside_limit(name, ours, limits),
        *(row(f"{name}_{model}", _median(ours, model), "s") for model in DECIDED),
        row(f"{name}_peak", max(o["peak_mib"] for o in ours), "MiB"),
        row(f"{name}_limit_peak", max(o["peak_mib"] for o in limits), "MiB"),
    )
    return rows, limits


def _said(*rows: Row) -> list[Row]:
    """The rows, also told at once: the section takes long, and may be broken off."""
    for told in rows:
        print(json.dumps(told), file=sys.stderr, flush=True)
    return list(rows)


def decision_home(folder: Path, size: Size) -> Settings:
    """A home whose lake has everything that the timed models read."""
    settings = load_settings({"UNMOGROWP_HOME": str(folder)})
    apps = [App(app_id=f"com.studio.game.{n}", platform="android" if n < 2 else "ios") for n in range(4)]
    save_apps(settings, tuple(apps))
    dbt(settings, "build", "--resource-type=seed", "--resource-type=model", "--select", "tag:core")
    write_world(Lake(settings.lake), size)
    dbt(settings, "run", "--select", *_READ_BY_THEM)
    return settings


def decide(settings: Settings, memory: str = MEMORY) -> dict[str, Any]:
    return cold(settings, ["dbt", "run", "--select", *DECIDED], memory)


def _median(measured: list[dict[str, Any]], model: str) -> float:
    return float(statistics.median(m["models"][model] for m in measured))


def _beside_limit(name: str, ours: list[dict[str, Any]], limits: list[dict[str, Any]]) -> Row:
    value, limit = (statistics.median(m["seconds"] for m in side) for side in (ours, limits))
    return row(name, value, "s", "same_joins_and_columns_to_delta", limit)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The section at another size.")
    parser.add_argument("--touches", type=int, default=Size().touches)
    parser.add_argument("--installs", type=int, default=Size().installs)
    parser.add_argument("--events-a-day", type=int, default=EVENTS_A_DAY)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    print(json.dumps(run(Size(asked.touches, asked.installs), asked.events_a_day, asked.rounds), indent=2))
