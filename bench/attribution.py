"""Section `attribution`: candidates and decisions at full size beside their limit, and a day on a growing history.

`python -m bench.attribution --touches 3000000 --installs 150000` is a small trial of the first.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from bench.attribution_world import Size, write_world
from lakehouse.apps import App, save_apps
from lakehouse.lake import Lake
from lakehouse.settings import Settings, load_settings

PROJECT: Final = Path(__file__).resolve().parent.parent / "dbt_project"
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
_MEMORY: Final = "8GB"
_LITTLE_MEMORY: Final = "2GB"


def run(size: Size | None = None, rounds: int = 3) -> list[dict[str, Any]]:
    """Rows of the section."""
    return candidate_decision(size or Size(), rounds)


def candidate_decision(size: Size, rounds: int) -> list[dict[str, Any]]:
    """Ours and the limit in turns, with and without a crowd; then ours within little memory."""
    rows = []
    for name, crowd in (("candidate_decision", 0), ("candidate_decision_crowd", CROWD)):
        with tempfile.TemporaryDirectory(prefix="unmogrowp-bench-") as folder:
            settings = decision_home(Path(folder), Size(size.touches, size.installs, size.days, crowd=crowd))
            ours, limits = [], []
            for _ in range(rounds):
                ours.append(decide(settings, _MEMORY))
                limits.append(_cold(settings, ["limit"], _MEMORY))
            rows.append(_row(name, ours, limits, "same_joins_and_columns_to_delta"))
            rows += [_plain(f"{name}_{model}", _median(ours, model), "s") for model in DECIDED]
            rows.append(_plain(f"{name}_peak", max(o["peak_mib"] for o in ours), "MiB"))
            if not crowd:
                little, limit = decide(settings, _LITTLE_MEMORY), _cold(settings, ["limit"], _LITTLE_MEMORY)
                rows.append(_row(f"{name}_2GB", [little], [limit], "same_joins_and_columns_to_delta"))
                rows.append(_plain(f"{name}_2GB_peak", little["peak_mib"], "MiB"))
    return rows


def decision_home(folder: Path, size: Size) -> Settings:
    """A home whose lake has everything that the timed models read."""
    settings = load_settings({"UNMOGROWP_HOME": str(folder)})
    apps = [App(app_id=f"com.studio.game.{n}", platform="android" if n < 2 else "ios") for n in range(4)]
    save_apps(settings, apps)
    _dbt(settings, "build", "--resource-type=seed", "--resource-type=model", "--select", "tag:core")
    write_world(Lake(settings.lake), size)
    _dbt(settings, "run", "--select", *_READ_BY_THEM)
    return settings


def decide(settings: Settings, memory: str) -> dict[str, Any]:
    return _cold(settings, ["models", "--select", *DECIDED], memory)


def _dbt(settings: Settings, *arguments: str) -> None:
    command = [str(Path(sys.executable).with_name("dbt")), "--quiet", *arguments]
    subprocess.run(command, env=_environment(settings, _MEMORY), cwd=PROJECT, check=True, stdout=sys.stderr)


def _cold(settings: Settings, arguments: list[str], memory: str, **variables: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "bench.attribution_run", *arguments],
        env=_environment(settings, memory) | variables,
        cwd=PROJECT,
        check=True,
        stdout=subprocess.PIPE,
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _environment(settings: Settings, memory: str) -> dict[str, str]:
    return dict(os.environ) | {
        "UNMOGROWP_HOME": str(settings.home),
        "UNMOGROWP_MEMORY_LIMIT": memory,
        "PYTHONPATH": str(PROJECT.parent),
        "DBT_TARGET_PATH": str(settings.tmp_dir / "target"),
        "DBT_LOG_PATH": str(settings.tmp_dir / "logs"),
    }


def _median(measured: list[dict[str, Any]], model: str) -> float:
    return statistics.median(m["models"][model] for m in measured)


def _row(name: str, ours: list[dict[str, Any]], limits: list[dict[str, Any]], limit_name: str) -> dict[str, Any]:
    value, limit = (statistics.median(m["seconds"] for m in side) for side in (ours, limits))
    return {
        "name": name,
        "value": value,
        "unit": "s",
        "limit_name": limit_name,
        "limit_value": limit,
        "ratio": value / limit,
    }


def _plain(name: str, value: float, unit: str) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "limit_name": None, "limit_value": None, "ratio": None}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The section at another size.")
    parser.add_argument("--touches", type=int, default=Size.touches)
    parser.add_argument("--installs", type=int, default=Size.installs)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    print(json.dumps(run(Size(asked.touches, asked.installs), asked.rounds), indent=2))
