"""The public benchmark: our baselines give the published numbers, our model beats them, the bars hold.

The benchmark is run once for all tests here (about 6 s): it is the only one on purchases this project did not invent.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pytest

from models_ml import btyd, spine
from models_ml.activity import load_activity
from models_ml.cdnow_benchmark import AS_OF, Benchmark, BenchmarkDataError, Row, evaluate_cdnow

if TYPE_CHECKING:
    from tests.models_ml import world as world_module

# One worker imports MLflow and LightGBM and builds the session's fixtures.
pytestmark = pytest.mark.xdist_group("models")


def row(benchmark: Benchmark, name: str) -> Row:
    return next(r for r in benchmark.rows if r.model.startswith(name))


@pytest.fixture(scope="module")
def summary(cdnow: duckdb.DuckDBPyConnection) -> btyd.Summary:
    load_activity(cdnow)
    spine.build_spine(cdnow, [spine.Cut("cdnow", AS_OF)], spine.Ahead(7 * 39))
    return btyd.read_summary(cdnow)


def test_bgnbd_finds_the_published_parameters(summary: btyd.Summary) -> None:
    model = btyd.fit_bgnbd(summary)
    assert (model.r, model.alpha, model.a, model.b) == pytest.approx((0.251, 4.765, 0.746, 2.216), rel=2e-3)


def test_gamma_gamma_finds_the_published_parameters(summary: btyd.Summary) -> None:
    model = btyd.fit_gamma_gamma(summary)
    assert (model.p, model.q, model.v) == pytest.approx((6.28, 3.62, 14.98), rel=2e-3)


def test_bgnbd_expects_nothing_in_no_time_and_more_in_more(summary: btyd.Summary) -> None:
    model = btyd.BgNbd(0.251, 4.765, 0.746, 2.216)
    short, long = model.expected_purchases(13, summary), model.expected_purchases(39, summary)
    assert np.abs(model.expected_purchases(1e-9, summary)).max() < 1e-6
    assert (short < long).all()
    assert (long < 3 * short).all(), "customers die: three times the weeks is less than three times the purchases"


def test_baselines_give_the_known_numbers(benchmark: Benchmark) -> None:
    spend, classic = row(benchmark, "past spend"), row(benchmark, "BG/NBD")
    assert (spend.ngini, spend.bias, spend.decile_mape) == pytest.approx((0.698, 1.64, 1.836), abs=0.005)
    assert (classic.ngini, classic.bias, classic.decile_mape) == pytest.approx((0.672, -0.186, 0.221), abs=0.005)
    assert (classic.cohort_wape, classic.rmse) == pytest.approx((0.186, 93.1), rel=0.01)
    assert classic.churn_auc == pytest.approx(0.763, abs=0.002)
    assert row(benchmark, "days since").churn_auc == pytest.approx(0.759, abs=0.002)


def test_every_bar_holds_and_none_looks_like_a_leak(benchmark: Benchmark) -> None:
    assert [bar for bar in benchmark.bars if not bar.is_passed or bar.is_suspicious] == []
    assert benchmark.is_passed
    assert len(benchmark.bars) == 8
    assert benchmark.rows[0].is_passed is True


def test_the_gain_in_ranking_over_bgnbd_is_no_chance(benchmark: Benchmark) -> None:
    assert benchmark.ngini_gain[0] > 0.03


def test_all_customers_are_judged_and_only_months_before_the_cut_are_learnt_from(benchmark: Benchmark) -> None:
    assert benchmark.customers == 23_570
    assert benchmark.training_rows == 3 * 23_570
    assert benchmark.stretch == pytest.approx(2.64, abs=0.01)


def test_purchases_after_the_cut_do_not_reach_the_forecast(cdnow: duckdb.DuckDBPyConnection) -> None:
    """The training sample and the scored features are the same when the future is struck out."""
    from models_ml import training
    from models_ml.features import read_features

    def seen() -> list[bytes]:
        load_activity(cdnow)
        sample = training.read_sample(cdnow, {"cdnow": AS_OF}, spine.Ahead(91), count=3, step_days=30)
        spine.build_spine(cdnow, [spine.Cut("cdnow", AS_OF)], spine.Ahead(273))
        frame = read_features(cdnow)
        return [
            sample.frame["purchase_usd"].to_numpy().tobytes(),
            sample.labels.revenue["purchase"].tobytes(),
            frame["purchase_usd"].to_numpy().tobytes(),
            frame["purchase_recency_days"].to_numpy().tobytes(),
        ]

    whole = seen()
    cdnow.execute("begin")
    try:
        cdnow.execute("delete from silver.stg_app_events where event_at >= ?", [AS_OF])
        assert seen() == whole
    finally:
        cdnow.execute("rollback")


def test_a_lake_without_the_purchases_is_refused(world: world_module) -> None:
    raw = world.cdnow_raw()
    cut = raw[raw["event_us"] < (AS_OF + timedelta(days=100)).timestamp() * 1e6]
    with pytest.raises(BenchmarkDataError, match="end on 1998-01-08, not 1998-06-30"):
        evaluate_cdnow(world.connect(cut))
    with pytest.raises(BenchmarkDataError, match="no purchases"):
        evaluate_cdnow(world.connect(raw.head(0)))
