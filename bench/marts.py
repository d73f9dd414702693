"""Section `marts`: the whole dbt build of ten million events beside the least that a lakehouse does with them.

The limit drops the copies in the same bronze by id and writes what is left once to Delta, by event date, with the
writer of the models. `python -m bench.marts --events 500000 --rounds 1` is a small trial.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Final

from bench.attribution_process import cold
from bench.pipeline import land_world, make_home
from bench.rows import Row, row
from lakehouse.settings import Settings
from simulator.world import World, WorldConfig

EVENTS: Final = 10_000_000
DAYS: Final = 60
_BUILD: Final = (
    "dbt", "build", "--select", "tag:core", "resource_type:seed", "--indirect-selection=buildable",
    "--exclude-resource-type=unit_test",
)  # fmt: skip
_SLOWEST: Final = 5


def run(events: int = EVENTS, rounds: int = 3) -> list[Row]:
    """Rows of the section."""
    with tempfile.TemporaryDirectory(prefix="unmogrowp-bench-") as folder:
        settings = make_home(Path(folder))
        land_world(settings, World(WorldConfig(events=events, days=DAYS)), range(DAYS))
        return dbt_build(settings, rounds)


def dbt_build(settings: Settings, rounds: int) -> list[Row]:
    """Every seed, model and data test up to the marts, and the limit, in turns."""
    ours, limits = [], []
    for _ in range(rounds):
        ours.append(cold(settings, list(_BUILD)))
        limits.append(cold(settings, ["first_copies"]))
    seconds, limit = (statistics.median(one["seconds"] for one in side) for side in (ours, limits))
    models = {name: statistics.median(one["models"][name] for one in ours) for name in ours[0]["models"]}
    slowest = sorted(models, key=lambda name: models[name], reverse=True)[:_SLOWEST]
    return [
        row("dbt_build", seconds, "s", "first_copies_to_delta_by_event_date", limit),
        row("dbt_build_peak", max(one["peak_mib"] for one in ours), "MiB"),
        row("dbt_build_limit_peak", max(one["peak_mib"] for one in limits), "MiB"),
        row("bronze_rows", limits[0]["rows"], "rows"),
        *(row(f"dbt_build_{name}", models[name], "s") for name in slowest),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The section at another size.")
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    print(json.dumps(run(asked.events, asked.rounds), indent=2))
