"""What a scenario is made from: the rules and bronze versions it is built with, the current tables it is compared with.

A scenario is a lake of its own below the current one (`Lake.scenario`). Its `content_id` is a hash of everything its
rows are a function of, so what was built once is not built again. Building is in `orchestration.scenarios`.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import pyarrow as pa

from lakehouse.apps import load_apps
from lakehouse.contract import bronze_schemas
from lakehouse.home import writing
from lakehouse.lake import Lake
from lakehouse.rules import RuleError, overlay_files, require_rules, rule_files, seed_files
from lakehouse.runs import Run, code_version, finished_runs
from lakehouse.settings import Settings

STATE: Final = "meta/_scenario"
# The scenario that the grid of windows is made from; not a name for others.
RESERVED: Final = "sensitivity"
# Tables of the current state that a comparison reads.
COMPARED: Final = (
    "gold/attributed_installs",
    "gold/attribution_candidates",
    "gold/campaign_daily",
    "silver/int_conversions",
    "silver/int_revenue_events",
    "silver/int_watermarks",
)
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
# Seeds that no decision reads: replacing one would change nothing that a scenario shows.
_NOT_RULES: Final = (
    "fx_rates",
    "rule_campaign_suffixes",
    "rule_channels",
    "rule_mmp_differences",
    "rule_mmp_partners",
    "rule_revenue_policies",
    "rule_risk_bands",
    "rule_store_fees",
    "rule_subscription_events",
)
# Decides which records count at all, so it is read where records come in and not where installs are decided.
INTERNAL_RULE: Final = "rule_internal_traffic"
_SCHEMA: Final = pa.schema([("content_id", pa.string()), ("state", pa.string()), ("inputs", pa.string())])


class ScenarioError(Exception):
    """A scenario cannot be made; the text is a sentence that says what to do."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything the rows of a scenario and its comparison are a function of; bronze is {bronze table: version}."""

    code_version: str
    bronze: dict[str, int]
    compared_code_version: str
    compared_bronze: dict[str, int]
    replaced_rules: tuple[str, ...]

    @property
    def content_id(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]

    @property
    def has_other_bronze(self) -> bool:
        return self.bronze != self.compared_bronze


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario before it is built. `snapshot` pins the current world {table: version}, bronze at its own versions."""

    name: str
    inputs: Inputs
    snapshot: dict[str, int]
    rules_dir: Path

    def lake(self, lake: Lake) -> Lake:
        return lake.scenario(self.name)

    @property
    def environment(self) -> dict[str, str]:
        """Variables that make a dbt process build this scenario."""
        return {
            "UNMOGROWP_SCENARIO": self.name,
            "UNMOGROWP_RULES": str(self.rules_dir),
            "UNMOGROWP_SNAPSHOT": json.dumps(self.snapshot, sort_keys=True),
            "UNMOGROWP_PLAN": '{"mode": "full"}',
        }


def prepare(settings: Settings, lake: Lake, rules: Path | None = None, as_of: str = "", name: str = "") -> Scenario:
    """A scenario under the rule files of `rules` (a file or a folder), or over bronze as it was at `as_of`.

    `as_of` is the number of a finished run or an instant. ScenarioError if it cannot be made; nothing is built yet.
    """
    if name and not _NAME.fullmatch(name):
        raise ScenarioError(f"{name!r} is no name for a scenario: use a to z, digits, - and _, at most 64 of them.")
    overlays = [settings.rules_dir] + ([rules] if rules is not None else [])
    replaced = tuple(sorted(overlay_files(rules))) if rules is not None else ()
    _require_rules(settings, overlays, replaced)
    runs, snapshot = current(settings, lake)
    last = runs[0]
    bronze = _bronze_as_of(lake, runs, as_of) if as_of else dict(last.snapshot)
    for table in bronze_schemas():
        if table in snapshot:
            snapshot[table] = bronze.get(table, 0)  # version 0 is the empty table
    rules_dir = settings.home / "scenarios" / "new"
    _keep_rules(settings, overlays, rules_dir)
    inputs = Inputs(
        code_version=code_version(settings.dbt_project, load_apps(settings), rules_dir),
        bronze=bronze,
        compared_code_version=last.code_version,
        compared_bronze=dict(last.snapshot),
        replaced_rules=replaced,
    )
    kept = settings.home / "scenarios" / (name or inputs.content_id)
    shutil.rmtree(kept, ignore_errors=True)
    rules_dir.replace(kept)
    return Scenario(kept.name, inputs, snapshot, kept)


def current(settings: Settings, lake: Lake) -> tuple[list[Run], dict[str, int]]:
    """Finished runs, the newest first, and the version of every table; ScenarioError if they do not belong together."""
    with writing(settings):  # no run is half done while the versions are read
        runs = finished_runs(lake)
        snapshot = lake.pin(("bronze", "silver", "gold", "rules", "ml"))
    _require_current(settings, runs, snapshot)
    return runs, snapshot


def is_built(lake: Lake, scenario: Scenario) -> bool:
    """True if the scenario stands, complete and from the same inputs."""
    own = scenario.lake(lake)
    if not own.exists(STATE):
        return False
    rows = own.open(STATE).to_pyarrow_table().to_pylist()
    return [(row["content_id"], row["state"]) for row in rows] == [(scenario.inputs.content_id, "built")]


def mark(lake: Lake, scenario: Scenario, state: str) -> None:
    """Note how far a scenario is: `building`, so that one cut short is built again, or `built`."""
    row = {
        "content_id": scenario.inputs.content_id,
        "state": state,
        "inputs": json.dumps(asdict(scenario.inputs), sort_keys=True),
    }
    scenario.lake(lake).overwrite(STATE, pa.Table.from_pylist([row], schema=_SCHEMA), description="What this is")


def _require_rules(settings: Settings, overlays: list[Path], replaced: tuple[str, ...]) -> None:
    try:
        require_rules(settings.dbt_project, *overlays)
    except RuleError as error:
        raise ScenarioError(str(error)) from None
    if useless := [name for name in replaced if name in _NOT_RULES]:
        raise ScenarioError(f"{useless[0]}.csv decides about no install; leave it out of the scenario.")
    if INTERNAL_RULE in replaced:
        raise ScenarioError(
            f"{INTERNAL_RULE}.csv changes the records themselves, not what is decided of them; put it into the home's"
            " rules and run, or leave it out of the scenario."
        )


def _require_current(settings: Settings, runs: list[Run], snapshot: Mapping[str, int]) -> None:
    """ScenarioError unless models and rules as they are now made what is current."""
    missing = [table for table in COMPARED if table not in snapshot]
    if not runs or missing:
        what = f"{missing[0]} does not exist" if missing else "no run has finished"
        raise ScenarioError(f"There is nothing to compare with yet ({what}): `unmogrowp run` first.")
    if runs[0].code_version != code_version(settings.dbt_project, load_apps(settings), settings.rules_dir):
        raise ScenarioError(
            "Models, rules or apps changed since the last run, so differences would not be the scenario's alone: "
            "`unmogrowp run` first."
        )


def _bronze_as_of(lake: Lake, runs: list[Run], as_of: str) -> dict[str, int]:
    if as_of.isdecimal():
        for run in runs:
            if run.sequence == int(as_of):
                return _readable(lake, dict(run.snapshot))
        raise ScenarioError(f"There is no run {as_of}; the last finished run is {runs[0].sequence}.")
    try:
        instant = datetime.fromisoformat(as_of)
    except ValueError:
        raise ScenarioError(f"{as_of!r} is neither the number of a run nor a time like 2026-03-01T00:00:00Z.") from None
    if instant.tzinfo is None:
        raise ScenarioError(f"{as_of} has no UTC offset: end it with Z or +00:00.")
    try:
        found = {table: lake.version_at(table, instant) for table in bronze_schemas() if lake.exists(table)}
    except FileNotFoundError as error:
        raise ScenarioError(f"Bronze as of {as_of} cannot be read: {error}.") from None
    return _readable(lake, found)


def _readable(lake: Lake, versions: dict[str, int]) -> dict[str, int]:
    """The same versions, if log and files still hold them."""
    for table, version in versions.items():
        try:
            gone = lake.is_local and not all(Path(file).is_file() for file in lake.files(table, version))
        except FileNotFoundError:
            gone = True
        if gone:
            raise ScenarioError(f"Version {version} of {table} was cleaned away; choose a later --as-of.")
    return versions


def _keep_rules(settings: Settings, overlays: list[Path], folder: Path) -> None:
    """Copy the files in force that are not the project's, so that the scenario can be told from what it was made of."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    seeds = seed_files(settings.dbt_project)
    for name, file in rule_files(settings.dbt_project, *overlays).items():
        if file != seeds[name]:
            shutil.copyfile(file, folder / f"{name}.csv")
