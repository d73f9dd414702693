"""What training a value and a churn model have in common: identity of a training, samples by cut, the last steps.

Belongs here: fingerprint and tags, reading a labelled sample, registering with the gate's verdict. Does not belong
here: what is predicted and how it is judged (`ltv`, `churn`).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from models_ml import spine
from models_ml.activity import INPUT_TABLES, from_us
from models_ml.features import FEATURE_VERSION, read_features
from models_ml.results import TrainingResult
from models_ml.seeds import code_version
from models_ml.tracking import CHAMPION, ModelStore, Record, StoredModel, delta_tags

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from models_ml.churn_model import ChurnModel
    from models_ml.gate import Verdict
    from models_ml.value_model import ValueModel


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that decides what comes out of a training. Two equal plans train the same model."""

    task: str
    horizon_days: int
    delta_versions: dict[str, int]
    seed: int
    params: dict[str, Any]

    @property
    def model_name(self) -> str:
        return f"{self.task}_d{self.horizon_days}"

    @property
    def fingerprint(self) -> str:
        parts = [self.model_name, self.delta_versions, self.seed, self.params, FEATURE_VERSION, code_version()]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]

    def tags(self) -> dict[str, str]:
        return delta_tags(self.delta_versions) | {
            "task": self.task,
            "horizon_days": str(self.horizon_days),
            "feature_version": FEATURE_VERSION,
            "code_version": code_version(),
            "seed": str(self.seed),
            "fingerprint": self.fingerprint,
        }


@dataclass(frozen=True, slots=True)
class Sample:
    """Labelled, mature rows of several cut dates: features and labels in the same order."""

    frame: pd.DataFrame
    labels: spine.Labels

    def __len__(self) -> int:
        return len(self.frame)

    def where(self, kept: pd.Series[bool]) -> Sample:
        """The rows for which `kept` is true."""
        mask = kept.to_numpy()
        revenue = {kind: amounts[mask] for kind, amounts in self.labels.revenue.items()}
        return Sample(self.frame[mask], spine.Labels(revenue, self.labels.is_active[mask]))


def input_versions(snapshot: Mapping[str, int]) -> dict[str, int]:
    """The Delta versions of the tables that features and labels read. KeyError if the snapshot lacks one."""
    return {table: int(snapshot[table]) for table in INPUT_TABLES}


def read_sample(
    con: duckdb.DuckDBPyConnection,
    limits: spine.Limits,
    window: spine.Window,
    *,
    count: int,
    step_days: int,
) -> Sample:
    """Stack `count` cut dates `step_days` apart, the newest as late as mature labels allow; no immature row enters."""
    cuts = spine.inner_cuts(limits, window, count=count, step_days=step_days)
    spine.build_spine(con, cuts, window, mature_until=limits)
    return Sample(read_features(con), spine.read_labels(con))


def channel_and_user(frame: pd.DataFrame) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
    """Partner and user of each row, as the gate wants them."""
    channel = frame["partner"].fillna("unknown").to_numpy(dtype=object)
    return channel, (frame["app_id"] + "/" + frame["install_id"]).to_numpy(dtype=object)


def skipped(plan: Plan, reason: str, started: float) -> TrainingResult:
    """Result of a training that had too little to learn from."""
    return TrainingResult(
        task=plan.task,
        horizon_days=plan.horizon_days,
        model_name=plan.model_name,
        status="skipped",
        delta_versions=plan.delta_versions,
        reason=reason,
        feature_version=FEATURE_VERSION,
        code_version=code_version(),
        seed=plan.seed,
        seconds=time.monotonic() - started,
    )


def reuse(store: ModelStore, plan: Plan, started: float) -> TrainingResult | None:
    """The result of an earlier training of the same plan, or None. Finishes a promotion that was cut short."""
    stored = store.find(plan.model_name, plan.fingerprint)
    if stored is None:
        return None
    champion = store.by_alias(plan.model_name, CHAMPION)
    if stored.tags["gate"] == "passed" and (champion is None or champion.version < stored.version):
        store.promote(stored)
    return replace(_result(store, plan, stored), status="reused", seconds=time.monotonic() - started)


def conclude(
    store: ModelStore,
    plan: Plan,
    model: ValueModel | ChurnModel,
    record: Record,
    verdict: Verdict,
    sample: pd.DataFrame,
    started: float,
) -> TrainingResult:
    """Register `model` as challenger with the gate's verdict as tags, and promote it if it passed."""
    tags = record.tags | {
        "gate": "passed" if verdict.is_passed else "failed",
        "gate_reasons": "; ".join(verdict.failures),
        "gate_notes": "; ".join(verdict.notes),
    }
    stored = store.register(plan.model_name, model, replace(record, tags=tags), sample)
    if verdict.is_passed:
        store.promote(stored)
    return replace(_result(store, plan, stored), seconds=time.monotonic() - started)


def _result(store: ModelStore, plan: Plan, stored: StoredModel) -> TrainingResult:
    champion = store.by_alias(plan.model_name, CHAMPION)
    tags = stored.tags
    return TrainingResult(
        task=plan.task,
        horizon_days=plan.horizon_days,
        model_name=plan.model_name,
        status="trained",
        delta_versions=plan.delta_versions,
        model_version=stored.version,
        run_id=stored.run_id,
        experiment_id=stored.experiment_id,
        is_promoted=champion is not None and champion.version == stored.version,
        gate_reasons=tuple(reason for reason in tags["gate_reasons"].split("; ") if reason),
        metrics=stored.metrics,
        rows=int(tags["rows"]),
        positive_rows=int(tags["positive_rows"]),
        data_until=datetime.fromisoformat(tags["data_until"]),
        feature_version=tags["feature_version"],
        code_version=tags["code_version"],
        seed=int(tags["seed"]),
    )


def trained_until(stored: StoredModel) -> int:
    """Microseconds since 1970 up to which labels of a stored model reach."""
    return int(stored.tags["labels_until_us"])


def label_tags(sample: Sample, limits: spine.Limits, positive_rows: int) -> dict[str, str]:
    """Tags that say what a sample held."""
    ends = sample.frame["label_end_us"]
    return {
        "rows": str(len(sample)),
        "positive_rows": str(positive_rows),
        "apps": ",".join(sorted(limits)),
        "as_of": f"{from_us(int(sample.frame['as_of_us'].max())).isoformat()}",
        "labels_until_us": str(int(ends.max())),
        "data_until": (max(limits.values()) + spine.LATE_ALLOWANCE).isoformat(),
    }
