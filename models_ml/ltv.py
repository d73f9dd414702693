"""Lifetime value by day 30 and 90 after the install: training and evaluation of one model per horizon.

Belongs here: the samples, the evaluation and the call of the gate for value models. Does not belong here: the model
itself (`value_model`), scoring (`scoring`).

A model predicts revenue from `as_of` until `horizon` days after the install; what was earned before is known and added
when scoring. Evaluated twice: `test_` on a later time than all its training labels (embargo of one horizon) where
history is long enough, `oof_` on users its members did not see.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from models_ml import baselines, gate, metrics, spine, training
from models_ml.activity import DAY_US, App, load_activity, to_us
from models_ml.boosting import BoostingParams
from models_ml.hurdle import MIN_PAYERS
from models_ml.model_card import LTV_LIMITS, Card, render
from models_ml.results import TrainingResult
from models_ml.tracking import ModelStore, Record
from models_ml.value_model import ValueModel, fit_value_model

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from lakehouse.settings import Settings

    Array = NDArray[np.float64]

TASK: Final = "ltv"
HORIZONS: Final = (30, 90)
MIN_ROWS: Final = 500
MIN_TEST_ROWS: Final = 1_000  # revenue is heavy-tailed: fewer rows of a later time judge luck
_CUTS: Final = 3
_STEP_DAYS: Final = 7
_WEEK_US: Final = 7 * DAY_US


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A forecast beside what came true and what the naive baseline said, on rows of one `split` (test or oof)."""

    split: str
    frame: pd.DataFrame
    actual: Array
    expected: Array
    low: Array
    high: Array
    naive: Array

    def metrics(self, seed: int) -> dict[str, float]:
        return {f"{self.split}_{k}": v for k, v in _measures(self.frame, self.actual, self.expected, seed).items()} | {
            f"{self.split}_coverage": metrics.coverage(self.actual, self.low, self.high)
        }

    def naive_metrics(self, seed: int) -> dict[str, float]:
        return {f"{self.split}_{k}": v for k, v in _measures(self.frame, self.actual, self.naive, seed).items()}

    def by_partner(self) -> pd.DataFrame:
        """Table by partner and platform: rows, actual and predicted revenue (USD)."""
        table = (
            self.frame[["platform", "partner"]]
            .fillna("unknown")
            .assign(rows=1, actual_usd=self.actual, predicted_usd=self.expected)
        )
        return table.groupby(["platform", "partner"], as_index=False).sum()


def train_ltv(
    con: duckdb.DuckDBPyConnection,
    snapshot: Mapping[str, int],
    settings: Settings,
    *,
    horizons: Sequence[int] = HORIZONS,
    params: BoostingParams | None = None,
    tags: Mapping[str, str] | None = None,
) -> list[TrainingResult]:
    """Train, evaluate, register and, if the gate agrees, promote one model per horizon.

    `con` has the views `silver.*` and `gold.*` at the versions of `snapshot`. A training with the same inputs, code and
    seed is found again instead of repeated. A horizon without enough mature labels is skipped with a reason. `tags` go
    to the run (orchestrator's run id and the like) and do not change the model.
    """
    store = ModelStore(settings)
    apps: list[App] | None = None
    results = []
    for horizon in horizons:
        started = time.monotonic()
        chosen = params or BoostingParams()
        versions = training.input_versions(snapshot)
        plan = training.Plan(TASK, horizon, versions, settings.root_seed, chosen.to_json())
        result = training.reuse(store, plan, started)
        if result is None:
            apps = load_activity(con) if apps is None else apps
            result = _train(con, store, plan, apps, chosen, tags or {}, started)
        results.append(result)
    return results


def _train(
    con: duckdb.DuckDBPyConnection,
    store: ModelStore,
    plan: training.Plan,
    apps: Sequence[App],
    params: BoostingParams,
    tags: Mapping[str, str],
    started: float,
) -> TrainingResult:
    window = spine.Lifetime(plan.horizon_days)
    limits = spine.mature_limits(open_apps(con, apps, plan.horizon_days))
    sample = training.read_sample(con, limits, window, count=_CUTS, step_days=_STEP_DAYS)
    reason = _too_little(sample, plan.horizon_days)
    if reason:
        return training.skipped(plan, reason, started)
    model, oof = fit_value_model(
        sample.frame, sample.labels.revenue, params=params, root_seed=plan.seed, name=plan.model_name
    )
    actual = _total(sample)
    spend = baselines.past_spend(sample.frame)
    naive = baselines.scaled(spend, spend, actual)
    evaluations = [Evaluation("oof", sample.frame, actual, oof.expected, oof.low, oof.high, naive)]
    later = _time_split(con, limits, window, params, plan)
    if later is not None:
        evaluations.append(later)
    judged = evaluations[-1]
    verdict = gate.judge_value(
        gate.Judged(judged.actual, judged.expected, judged.naive, *training.channel_and_user(judged.frame)),
        _contest(store, plan.model_name, evaluations[0]),
        seed=plan.seed,
    )
    measured = {k: v for evaluation in evaluations for k, v in evaluation.metrics(plan.seed).items()}
    measured |= {f"calibration_{kind}": hurdle.factor for kind, hurdle in model.hurdles.items()}
    base = {"past_spend": judged.naive_metrics(plan.seed)}
    all_tags = dict(tags) | plan.tags() | training.label_tags(sample, limits, int((actual > 0).sum()))
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
        tables={"revenue_by_partner.json": judged.by_partner()},
        texts={"model_card.md": card},
    )
    return training.conclude(store, plan, model, record, verdict, sample.frame.head(5), started)


def open_apps(con: duckdb.DuckDBPyConnection, apps: Sequence[App], horizon_days: int) -> list[App]:
    """Apps that have an install younger than the horizon at their watermark: elsewhere nothing is left to predict."""
    newest = dict(con.execute("select app_id, max(install_us) from ml_installs group by app_id").fetchall())
    return [app for app in apps if newest[app.app_id] + horizon_days * DAY_US > to_us(app.watermark)]


def _too_little(sample: training.Sample, horizon: int) -> str:
    """Why a sample is too small to learn from; empty if it is not."""
    paying = max((int((amounts > 0).sum()) for amounts in sample.labels.revenue.values()), default=0)
    if len(sample) < MIN_ROWS:
        return f"{len(sample)} rows with a mature {horizon}-day label, at least {MIN_ROWS} are needed"
    if paying < MIN_PAYERS:
        return f"{paying} paying rows with a mature {horizon}-day label, at least {MIN_PAYERS} are needed"
    return ""


def _time_split(
    con: duckdb.DuckDBPyConnection,
    limits: spine.Limits,
    window: spine.Lifetime,
    params: BoostingParams,
    plan: training.Plan,
) -> Evaluation | None:
    """Train as if the world had ended one horizon earlier, test on what came then; None if history is too short."""
    before = spine.earlier(limits, window.days)
    past = training.read_sample(con, before, window, count=_CUTS, step_days=_STEP_DAYS)
    if _too_little(past, window.days):
        return None
    future = training.read_sample(con, limits, window, count=1, step_days=0)
    # In a young world the training side has no old installs yet; trees cannot speak about ages they never saw.
    future = future.where(future.frame["age_days"] <= past.frame["age_days"].max())
    if len(future) < MIN_TEST_ROWS or _too_little(future, window.days):
        return None
    model, _ = fit_value_model(
        past.frame, past.labels.revenue, params=params, root_seed=plan.seed, name=f"{plan.model_name}/split"
    )
    forecast = model.forecast(future.frame)
    naive = baselines.scaled(baselines.past_spend(future.frame), baselines.past_spend(past.frame), _total(past))
    actual = _total(future)
    return Evaluation("test", future.frame, actual, forecast.expected, forecast.low, forecast.high, naive)


def _contest(store: ModelStore, name: str, ours: Evaluation) -> gate.Contest | None:
    """Our out-of-fold forecast against the champion's, on rows whose labels the champion cannot have seen."""
    stored, _ = store.champion(name)
    if stored is None:
        return None
    new = (ours.frame["label_end_us"] > training.trained_until(stored)).to_numpy()
    champion = store.load(stored)
    assert isinstance(champion, ValueModel), f"{name} holds another kind of model"
    theirs = champion.forecast(ours.frame[new]).expected if new.any() else ours.expected[new]
    return gate.Contest(ours.actual[new], ours.expected[new], theirs)


def _total(sample: training.Sample) -> Array:
    """Revenue of all kinds, also of those too rare for a hurdle of their own; refunds below zero count as none."""
    import numpy as np

    total: Array = np.maximum(np.sum(list(sample.labels.revenue.values()), axis=0), 0.0)
    return total


def _measures(frame: pd.DataFrame, actual: Array, expected: Array, seed: int) -> dict[str, float]:
    return {
        "ngini": metrics.normalized_gini(actual, expected, seed=seed),
        "bias": metrics.bias(actual, expected),
        "decile_mape": metrics.decile_mape(actual, expected, seed=seed, min_share=0.01),
        "cohort_wape": metrics.cohort_wape(actual, expected, (frame["install_us"] // _WEEK_US).to_numpy()),
        "channel_wape": metrics.cohort_wape(actual, expected, training.channel_and_user(frame)[0].astype(str)),
        "rmse": metrics.rmse(actual, expected),
    }


def _card(plan: training.Plan) -> Card:
    days = plan.horizon_days
    return Card(
        name=plan.model_name,
        predicts=f"Revenue (USD, purchases and ads) of an install from now until {days} days after the install. "
        "LightGBM hurdles, one by kind of revenue: chance of any revenue x gamma amount.",
        label=f"revenue in [as_of, install + {days} days) by event time, mature one day before the watermark",
        population=f"installs younger than {days} days at as_of, several as_of dates stacked",
        excluded=("apps without an install younger than the horizon at their watermark", "sandbox records"),
        limits=LTV_LIMITS,
    )
