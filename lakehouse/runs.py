"""What earlier runs consumed and built: the Delta table `meta/_runs`, one row per finished run.

A row is written last, after every partition of the run is in place, so a run that died is simply done again. Deciding
what the next run must build is the work of `lakehouse.plan`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import pyarrow as pa

from lakehouse.apps import ROUTING_FIELDS, AppRegistry
from lakehouse.lake import Lake
from lakehouse.rules import rule_files

TABLE: Final = "meta/_runs"
_WRITER: Final = "runs"
_FRAUD: Final = frozenset(
    {
        "rule_fraud_rules", "rule_fraud_conditions", "rule_fraud_flags", "rule_fraud_thresholds", "rule_ip_lists",
        "rule_integrity_verdicts",
    }
)  # fmt: skip
_SCHEMA: Final = pa.schema(
    [
        pa.field("sequence", pa.int64(), metadata={"comment": "Number of the run, growing by one"}),
        pa.field("run_id", pa.string()),
        pa.field("mode", pa.string(), metadata={"comment": "full or incremental"}),
        pa.field("reason", pa.string(), metadata={"comment": "Why this mode"}),
        pa.field("code_version", pa.string(), metadata={"comment": "Hash of models, macros, rule seeds and apps"}),
        pa.field("snapshot", pa.string(), metadata={"comment": "JSON {bronze table: version} consumed"}),
        pa.field("plan", pa.string(), metadata={"comment": "JSON {date set: number of dates} built"}),
        pa.field("finished_at", pa.timestamp("us", tz="UTC")),
    ]
)


@dataclass(frozen=True, slots=True)
class Run:
    """One finished run. `snapshot` holds the bronze versions that silver and gold now reflect."""

    sequence: int
    run_id: str
    mode: str
    reason: str
    code_version: str
    snapshot: dict[str, int]
    plan: dict[str, int]
    finished_at: datetime


def last_run(lake: Lake) -> Run | None:
    """The newest finished run, None before the first."""
    return next(iter(finished_runs(lake, most=1)), None)


def finished_runs(lake: Lake, most: int | None = None) -> list[Run]:
    """Finished runs, the newest first; at most `most` of them."""
    if not lake.exists(TABLE):
        return []
    rows = lake.open(TABLE).to_pyarrow_table().sort_by([("sequence", "descending")]).slice(0, most).to_pylist()
    return [Run(**(row | {"snapshot": json.loads(row["snapshot"]), "plan": json.loads(row["plan"])})) for row in rows]


def record_run(
    lake: Lake,
    *,
    run_id: str,
    mode: str,
    reason: str,
    code_version: str,
    snapshot: Mapping[str, int],
    plan: Mapping[str, int],
    finished_at: datetime,
) -> Run:
    """Write the row of a finished run, after making everything it built durable."""
    lake.create(TABLE, _SCHEMA, description="Finished runs and the bronze versions they consumed")
    previous = last_run(lake)
    run = Run(
        sequence=previous.sequence + 1 if previous else 0,
        run_id=run_id,
        mode=mode,
        reason=reason,
        code_version=code_version,
        snapshot={table: version for table, version in snapshot.items() if table.startswith("bronze/")},
        plan=dict(plan),
        finished_at=finished_at,
    )
    values: dict[str, object] = {
        "sequence": run.sequence,
        "run_id": run_id,
        "mode": mode,
        "reason": reason,
        "code_version": code_version,
        "snapshot": json.dumps(run.snapshot, sort_keys=True),
        "plan": json.dumps(run.plan, sort_keys=True),
        "finished_at": finished_at,
    }
    columns = [pa.array([values[field.name]], field.type) for field in _SCHEMA]
    lake.sync()
    lake.append_once(TABLE, pa.Table.from_arrays(columns, schema=_SCHEMA), writer=_WRITER, batch=run.sequence)
    return run


def code_version(dbt_project: Path, apps: AppRegistry, rules: Path | None = None) -> str:
    """Hash of everything besides bronze that silver and gold are a function of: SQL, macros, seeds and apps.

    `rules` is the home's folder of rule files: a file there counts in the place of the seed it replaces.
    """
    hashes = input_hashes(dbt_project, apps, rules)
    return hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()[:16]


def input_hashes(dbt_project: Path, apps: AppRegistry, rules: Path | None = None) -> dict[str, str]:
    """The same by part (models, rules, fraud_rules, fx_rates, apps), to tell which of them has changed."""
    files: dict[str, dict[str, Path]] = {"models": {"dbt_project.yml": dbt_project / "dbt_project.yml"}}
    for folder in ("models", "macros"):
        found = (dbt_project / folder).rglob("*.sql")
        files["models"] |= {str(file.relative_to(dbt_project)): file for file in found}
    for name, file in rule_files(dbt_project, *([] if rules is None else [rules])).items():
        part = "fx_rates" if name == "fx_rates" else "fraud_rules" if name in _FRAUD else "rules"
        files.setdefault(part, {})[name] = file
    hashes = {}
    for part, listed in files.items():
        digest = hashlib.sha256()
        for name, file in sorted(listed.items()):
            digest.update(name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
        hashes[part] = digest.hexdigest()[:16]
    known = {name: app.model_dump(exclude={"write_keys", *ROUTING_FIELDS}) for name, app in sorted(apps.apps.items())}
    hashes["apps"] = hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:16]
    return hashes
