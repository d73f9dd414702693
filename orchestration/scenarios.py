"""Building a scenario: dbt over the models between the rules and the decisions, written beside the current tables.

What a scenario is made from is in `decisions.scenario`, what it is compared with in `decisions.comparison`.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from decisions.comparison import compare
from decisions.scenario import INTERNAL_RULE, Scenario, ScenarioError, is_built, mark
from lakehouse.lake import Lake
from lakehouse.rules import seed_files
from lakehouse.settings import Settings

# With other bronze every model that a decision is made from is built.
_ALL: Final = ("--select", "+tag:decision")
_LAST_LINES: Final = 12


def build(settings: Settings, lake: Lake, scenario: Scenario) -> bool:
    """Build a scenario and its comparison unless both stand already; True if built. ScenarioError if dbt fails."""
    with _building(settings):
        if is_built(lake, scenario):
            return False
        mark(lake, scenario, "building")
        _run_dbt(settings, scenario)
        compare(settings, lake, scenario)
        mark(lake, scenario, "built")
        return True


def _run_dbt(settings: Settings, scenario: Scenario) -> None:
    from assets.manifest import DBT_EXECUTABLE, ProjectError, parsed
    from orchestration.refresh import QUIET

    try:
        manifest = parsed(settings)
    except ProjectError as error:
        raise ScenarioError(str(error)) from None
    target = settings.home / "dbt" / "scenario"
    target.mkdir(parents=True, exist_ok=True)
    # A target of its own, so that what runs leave for people and for Dagster stays as it is.
    shutil.copyfile(manifest / "partial_parse.msgpack", target / "partial_parse.msgpack")
    project = str(settings.dbt_project)
    arguments = [DBT_EXECUTABLE, "--quiet", "build", *(_ALL if scenario.inputs.has_other_bronze else _ruled(settings))]
    arguments += ["--exclude-resource-type", "test", "unit_test", "--project-dir", project, "--profiles-dir", project]
    arguments += ["--target-path", str(target), "--log-path", str(settings.home / "dbt" / "logs")]
    environment = dict(os.environ) | QUIET | {"UNMOGROWP_HOME": str(settings.home)} | scenario.environment
    result = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        lines = [line for line in (result.stdout + result.stderr).splitlines() if line.strip()]
        raise ScenarioError("dbt could not build the scenario:\n" + "\n".join(lines[-_LAST_LINES:]))


def _ruled(settings: Settings) -> list[str]:
    """Arguments that select every model between a rule and a decision.

    What is internal is told at the very beginning, so that rule would select them all; no scenario replaces it.
    """
    rules = [name for name in seed_files(settings.dbt_project) if name != INTERNAL_RULE]
    return ["--select", *(f"{name}+,+tag:decision" for name in rules)]


@contextmanager
def _building(settings: Settings) -> Iterator[None]:
    """One scenario of a home at a time; runs of the platform go on meanwhile."""
    with (settings.home / "scenarios" / ".lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
