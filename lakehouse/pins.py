"""The world one run sees: bronze versions pinned once, the plan made from them, and what the run has built so far.

Every step of a run (transform, checks, features, publish) reads its versions from here, also when steps are separate
processes. Pins are small files below the home, named by run id.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final

from lakehouse.lake import Lake
from lakehouse.plan import Plan, make_plan
from lakehouse.settings import Settings

_KEPT: Final = 100


@dataclass(frozen=True, slots=True)
class Pin:
    """Versions by table and the plan of one run."""

    run_id: str
    snapshot: dict[str, int]
    plan: Plan = field(repr=False)

    @property
    def environment(self) -> dict[str, str]:
        """Variables that hand this world to a dbt process."""
        return {
            "UNMOGROWP_SNAPSHOT": json.dumps(self.snapshot, sort_keys=True),
            "UNMOGROWP_PLAN": self.plan.to_json(),
            "UNMOGROWP_RUN_ID": self.run_id,
        }


def pin(settings: Settings, lake: Lake, run_id: str, *, full_refresh: bool = False) -> Pin:
    """The pin of a run; made from the newest versions when the run has none yet."""
    file = _file(settings, run_id)
    if file.is_file():
        return _from_json(json.loads(file.read_text(encoding="utf-8")))
    snapshot = lake.pin()
    made = Pin(run_id, snapshot, make_plan(settings, lake, snapshot, full_refresh=full_refresh))
    _write(settings, made)
    return made


def repin(settings: Settings, lake: Lake, run_id: str, layers: Iterable[str]) -> Pin:
    """The pin with the versions that the run itself has just written in `layers`."""
    before = pin(settings, lake, run_id)
    after = Pin(run_id, before.snapshot | lake.pin(layers), before.plan)
    _write(settings, after)
    return after


@contextmanager
def exported(variables: Mapping[str, str]) -> Iterator[None]:
    """The process environment with `variables`, for a child process that is started inside."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _file(settings: Settings, run_id: str) -> Path:
    return settings.home / "dagster" / "pins" / f"{run_id}.json"


def _write(settings: Settings, made: Pin) -> None:
    file = _file(settings, made.run_id)
    file.parent.mkdir(parents=True, exist_ok=True)
    plan = json.loads(made.plan.to_json()) | {"reason": made.plan.reason, "code_version": made.plan.code_version}
    temporary = file.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps({"run_id": made.run_id, "snapshot": made.snapshot, "plan": plan}), encoding="utf-8")
    temporary.replace(file)
    for old in sorted(file.parent.glob("*.json"), key=lambda path: path.stat().st_mtime)[:-_KEPT]:
        old.unlink(missing_ok=True)


def _from_json(value: dict[str, Any]) -> Pin:
    plan = value["plan"]
    dates = {name: [date.fromisoformat(d) for d in days] for name, days in plan["dates"].items()}
    return Pin(
        value["run_id"],
        value["snapshot"],
        Plan(plan["mode"], plan["reason"], plan["code_version"], plan["consumed"], dates),
    )
