"""Churn in the next 14 days: training and evaluation of one model for all apps that report sessions.

Belongs here: who counts as active and as gone, the evaluation and the call of the gate. Does not belong here: the model
itself (`churn_model`), scoring (`scoring`).

A user is scored if active (session, in-app event or purchase) in the last 14 days before `as_of`, and has churned if
nothing of the kind follows in [as_of, as_of + 14 days). Apps without sessions are left out: two silent weeks say
nothing about a shop whose customers buy twice a year.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from models_ml import baselines, gate, metrics, spine, training
from models_ml.activity import App, load_activity
from models_ml.boosting import BoostingParams
from models_ml.churn_model import ChurnModel, fit_churn_model
from models_ml.model_card import CHURN_LIMITS, Card, render
from models_ml.results import TrainingResult
from models_ml.tracking import ModelStore, Record

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from lakehouse.settings import Settings

    Array = NDArray[np.float64]

TASK: Final = "churn"
HORIZON: Final = 14
ACTIVE_DAYS: Final = 14
MIN_ROWS: Final = 500
MIN_CLASS: Final = 60
_CUTS: Final = 3
_STEP_DAYS: Final = 7


def window(horizon_days: int = HORIZON) -> spine.Ahead:
    """Who is looked at and how far ahead."""
    return spine.Ahead(horizon_days, ACTIVE_DAYS)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Chances beside what came true and the naive baseline, on rows of one `split` (test or oof)."""

    split: str
    frame: pd.DataFrame
    churned: Array
    chance: Array
    naive: Array

    def metrics(self) -> dict[str, float]:
        return _measures(self.split, self.churned, self.chance)

    def naive_metrics(self) -> dict[str, float]:
        return _measures(self.split, self.churned, self.naive)

    def calibration(self) -> pd.DataFrame:
        """Table by tenth of the predicted chance: rows, mean chance, share that left."""
        import numpy as np
        import pandas as pd

        groups = np.array_split(np.argsort(self.chance, kind="stable"), 10)
        return pd.DataFrame(
            {
                "tenth": range(1, 11),
                "rows": [len(g) for g in groups],
                "predicted": [float(self.chance[g].mean()) for g in groups],
                "actual": [float(self.churned[g].mean()) for g in groups],
            }
        )


def train_churn(
    con: duckdb.DuckDBPyConnection,
    snapshot: Mapping[str, int],
    settings: Settings,
    *,
    horizon_days: int = HORIZON,
    params: BoostingParams | None = None,
    tags: Mapping[str, str] | None = None,
) -> TrainingResult:
    """Train, evaluate, register and, if the gate agrees, promote the churn model. As `ltv.train_ltv` in all else."""
    started = time.monotonic()
    store = ModelStore(settings)
    chosen = params or BoostingParams()
    versions = training.input_versions(snapshot)
    plan = training.Plan(TASK, horizon_days, versions, settings.root_seed, chosen.to_json())
    result = training.reuse(store, plan, started)
    return result or _train(con, store, plan, load_activity(con), chosen, tags or {}, started)


def session_apps(apps: Sequence[App]) -> list[App]:
    """Apps whose silence means something."""
    return [app for app in apps if app.has_sessions]


def _train(
    con: duckdb.DuckDBPyConnection,
    store: ModelStore,
    plan: training.Plan,
    apps: Sequence[App],
    params: BoostingParams,
    tags: Mapping[str, str],
    started: float,
) -> TrainingResult:
    limits = spine.mature_limits(session_apps(apps))
    ahead = window(plan.horizon_days)
    sample = training.read_sample(con, limits, ahead, count=_CUTS, step_days=_STEP_DAYS)
    reason = _too_little(sample)
    if reason:
        return training.skipped(plan, reason, started)
    churned = _churned(sample)
    model, chance = fit_churn_model(sample.frame, churned, params=params, root_seed=plan.seed, name=plan.model_name)
    naive = baselines.silence(sample.frame, sample.frame, churned)
    evaluations = [Evaluation("oof", sample.frame, churned, chance, naive)]
    later = _time_split(con, limits, ahead, params, plan)
    if later is not None:
        evaluations.append(later)
    judged = evaluations[-1]
    verdict = gate.judge_churn(
        gate.Judged(judged.churned, judged.chance, judged.naive, *training.channel_and_user(judged.frame)),
        _contest(store, plan.model_name, evaluations[0]),
        seed=plan.seed,
    )
    measured = {k: v for evaluation in evaluations for k, v in evaluation.metrics().items()}
    base = {"days_since_last_activity": judged.naive_metrics()}
    all_tags = dict(tags) | plan.tags() | training.label_tags(sample, limits, int(churned.sum()))
    card = render(
        _card(plan),
        tags=all_tags,
        metrics=measured,
        baselines=base,
        features=model.encoding.names,
        verdict=[*verdict.failures, *verdict.notes],
    )
    record = Record(
        tags=all_tags,
        params=plan.params,
        metrics=measured,
        baselines=base,
        tables={"calibration.json": judged.calibration()},
        texts={"model_card.md": card},
    )
    return training.conclude(store, plan, model, record, verdict, sample.frame.head(5), started)


def _churned(sample: training.Sample) -> Array:
    return (~sample.labels.is_active).astype("float64")


def _too_little(sample: training.Sample) -> str:
    """Why a sample is too small to learn from; empty if it is not."""
    stayed = int(sample.labels.is_active.sum())
    rarer = min(stayed, len(sample) - stayed)
    if len(sample) < MIN_ROWS:
        return f"{len(sample)} users with a mature label, at least {MIN_ROWS} are needed"
    if rarer < MIN_CLASS:
        return f"{stayed} of {len(sample)} users stayed, at least {MIN_CLASS} must stay and as many leave"
    return ""


def _time_split(
    con: duckdb.DuckDBPyConnection,
    limits: spine.Limits,
    ahead: spine.Ahead,
    params: BoostingParams,
    plan: training.Plan,
) -> Evaluation | None:
    """Train as if the world had ended one horizon earlier, test on what came then; None if history is too short."""
    before = spine.earlier(limits, ahead.days)
    past = training.read_sample(con, before, ahead, count=_CUTS, step_days=_STEP_DAYS)
    if _too_little(past):
        return None
    future = training.read_sample(con, limits, ahead, count=1, step_days=0)
    if _too_little(future):
        return None
    model, _ = fit_churn_model(
        past.frame, _churned(past), params=params, root_seed=plan.seed, name=f"{plan.model_name}/split"
    )
    naive = baselines.silence(future.frame, past.frame, _churned(past))
    return Evaluation("test", future.frame, _churned(future), model.chance(future.frame), naive)


def _contest(store: ModelStore, name: str, ours: Evaluation) -> gate.Contest | None:
    """Our out-of-fold chances against the champion's, on rows whose labels the champion cannot have seen."""
    stored, _ = store.champion(name)
    if stored is None:
        return None
    new = (ours.frame["label_end_us"] > training.trained_until(stored)).to_numpy()
    champion = store.load(stored)
    assert isinstance(champion, ChurnModel), f"{name} holds another kind of model"
    theirs = champion.chance(ours.frame[new]) if new.any() else ours.chance[new]
    return gate.Contest(ours.churned[new], ours.chance[new], theirs)


def _measures(split: str, churned: Array, chance: Array) -> dict[str, float]:
    return {
        f"{split}_auc": metrics.auc(churned, chance),
        f"{split}_pr_auc": metrics.pr_auc(churned, chance),
        f"{split}_brier": metrics.brier(churned, chance),
        f"{split}_ece": metrics.ece(churned, chance),
        f"{split}_base_rate": float(churned.mean()),
    }


def _card(plan: training.Plan) -> Card:
    return Card(
        name=plan.model_name,
        predicts=f"Chance that an active user shows no session, event or purchase in the next "
        f"{plan.horizon_days} days. LightGBM classifiers by fold of users, calibrated by a sigmoid.",
        label=f"no activity in [as_of, as_of + {plan.horizon_days} days), mature one day before the watermark",
        population=f"users active in the last {ACTIVE_DAYS} days before as_of, several as_of dates stacked",
        excluded=("apps without session records", "uninstalls", "ad revenue as a sign of activity", "sandbox records"),
        limits=CHURN_LIMITS,
    )
