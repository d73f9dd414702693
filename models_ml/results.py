"""What the public functions hand back: small records of plain values for metadata, reports and tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Status = Literal["trained", "reused", "skipped"]


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """Outcome of training one (task, horizon). `skipped` comes with `reason`, and without a model.

    `metrics` are named `<split>_<measure>`, split `test` (a later time than all training) or `oof` (other users).
    `data_until` is the latest watermark (UTC) of the apps trained on; `run_path` opens the run in the MLflow UI.
    """

    task: str
    horizon_days: int
    model_name: str
    status: Status
    delta_versions: dict[str, int]
    reason: str = ""
    model_version: int | None = None
    run_id: str = ""
    experiment_id: str = ""
    is_promoted: bool = False
    gate_reasons: tuple[str, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)
    rows: int = 0
    positive_rows: int = 0
    data_until: datetime | None = None
    feature_version: str = ""
    code_version: str = ""
    seed: int = 0
    seconds: float = 0.0

    @property
    def run_path(self) -> str:
        return f"#/experiments/{self.experiment_id}/runs/{self.run_id}" if self.run_id else ""


@dataclass(frozen=True, slots=True)
class ScoringResult:
    """Outcome of scoring one task into a Delta table. `models` maps horizon to the champion's version; `notes` say
    which horizons have no champion. `is_changed` is False when the table already held exactly these rows."""

    task: str
    table: str
    table_version: int
    rows: int
    is_changed: bool
    models: dict[int, int]
    as_of: dict[str, datetime]
    delta_versions: dict[str, int]
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
