"""How the section `attribution` starts the processes that it measures: dbt on a home, and `bench.attribution_run`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from lakehouse.settings import Settings

PROJECT: Final = Path(__file__).resolve().parent.parent / "dbt_project"
MEMORY: Final = "8GB"


def dbt(settings: Settings, *arguments: str) -> None:
    """One dbt command that is not measured."""
    command = [str(Path(sys.executable).with_name("dbt")), "--quiet", *arguments]
    subprocess.run(command, env=_environment(settings, MEMORY), cwd=PROJECT, check=True, stdout=sys.stderr)


def cold(settings: Settings, arguments: list[str], memory: str = MEMORY, **variables: str) -> dict[str, Any]:
    """What a process of its own measured; DuckDB has `memory` in it."""
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
