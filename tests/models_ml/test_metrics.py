"""Measures against numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from models_ml import metrics


def array(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)


def test_normalized_gini_is_one_for_the_right_order_and_minus_one_for_the_reverse_of_one_payer() -> None:
    actual = array(0, 0, 0, 10)
    assert metrics.normalized_gini(actual, array(1, 2, 3, 4)) == pytest.approx(1)
    # Gain curve of the perfect order: 1 1 1 1 -> 2 x 1 - 1 = 1; of the worst: 0 0 0 1 -> 2 x 1/4 - 1 = -1/2.
    assert metrics.normalized_gini(actual, array(4, 3, 2, 1)) == pytest.approx(-0.5)


def test_normalized_gini_by_hand() -> None:
    actual, predicted = array(1, 2, 3), array(3, 1, 2)
    # Order by prediction: 1, 3, 2 -> shares 1/6, 4/6, 1, mean 11/18; perfect: 3, 2, 1 -> 3/6, 5/6, 1, mean 14/18.
    assert metrics.normalized_gini(actual, predicted) == pytest.approx((22 / 18 - 1) / (28 / 18 - 1))


def test_a_constant_gets_no_credit_for_the_order_of_the_file() -> None:
    actual = np.sort(np.random.default_rng(1).gamma(0.3, 10, 4_000))[::-1].copy()
    scores = [metrics.normalized_gini(actual, np.ones(4_000), seed=seed) for seed in range(5)]
    assert np.abs(scores).max() < 0.1
    assert len(set(scores)) == 5


def test_bias_and_rmse() -> None:
    assert metrics.bias(array(10, 10), array(10, 13)) == pytest.approx(0.15)
    assert metrics.rmse(array(0, 0), array(3, 4)) == pytest.approx(math.sqrt(12.5))
    assert math.isnan(metrics.bias(array(0, 0), array(1, 1)))


def test_decile_mape_by_hand() -> None:
    actual = np.repeat(np.arange(1.0, 11.0), 2)
    predicted = actual.copy()
    predicted[-2:] = 15.0  # only the top tenth is off, by half
    assert metrics.decile_mape(actual, predicted) == pytest.approx(0.05)
    assert metrics.decile_mape(actual, actual * 1.2) == pytest.approx(0.2)


def test_decile_mape_leaves_out_tenths_that_hold_nothing_worth_naming() -> None:
    actual = np.repeat([1e-6, *[10.0] * 9], 2)
    predicted = np.repeat([1e-3, *[12.0] * 9], 2)
    assert metrics.decile_mape(actual, predicted) > 90
    assert metrics.decile_mape(actual, predicted, min_share=0.01) == pytest.approx(0.2)


def test_cohort_wape_lets_errors_cancel_inside_a_cohort_only() -> None:
    actual, predicted = array(10, 0, 10, 0), array(0, 10, 15, 0)
    assert metrics.cohort_wape(actual, predicted, ["a", "a", "b", "b"]) == pytest.approx(5 / 20)
    assert metrics.cohort_wape(actual, predicted, ["a", "b", "c", "d"]) == pytest.approx(25 / 20)


def test_auc_counts_ties_half() -> None:
    assert metrics.auc(array(1, 0, 1, 0), array(0.9, 0.1, 0.4, 0.4)) == pytest.approx(3.5 / 4)
    assert metrics.auc(array(1, 0), array(1, 1)) == 0.5
    assert math.isnan(metrics.auc(array(1, 1), array(0.1, 0.2)))


def test_pr_auc_by_hand() -> None:
    # Ranked 1 0 1: precision 1 at the first hit, 2/3 at the second.
    assert metrics.pr_auc(array(1, 0, 1), array(0.9, 0.5, 0.1)) == pytest.approx((1 + 2 / 3) / 2)
    assert metrics.pr_auc(array(1, 0, 0, 0), array(1, 1, 1, 1)) == pytest.approx(0.25)


def test_brier_and_ece() -> None:
    happened, chance = array(1, 0, 0, 0), array(0.5, 0.5, 0.5, 0.5)
    assert metrics.brier(happened, chance) == pytest.approx(0.25)
    assert metrics.ece(happened, chance, bins=1) == pytest.approx(0.25)
    assert metrics.ece(array(0, 0, 1, 1), array(0.1, 0.1, 0.8, 0.8), bins=2) == pytest.approx(0.15)


def test_coverage_includes_the_bounds() -> None:
    assert metrics.coverage(array(0, 5, 9), array(0, 1, 1), array(0, 5, 8)) == pytest.approx(2 / 3)


def test_the_paired_bootstrap_sees_a_better_model_and_no_difference_to_itself() -> None:
    rng = np.random.default_rng(3)
    value = rng.gamma(0.5, 10, 3_000)
    good, bad = value * rng.lognormal(0, 0.3, 3_000), value * rng.lognormal(0, 2, 3_000)
    gain = metrics.gini_difference(value, good, bad)
    assert 0 < gain.low < gain.point < gain.high
    same = metrics.gini_difference(value, good, good)
    assert (same.low, same.point, same.high) == (0, 0, 0)


def test_the_ratio_of_heavy_tailed_totals_comes_with_a_wide_interval() -> None:
    value = np.random.default_rng(3).pareto(1.5, 500)
    ratio = metrics.total_ratio(value, np.full(500, value.mean()))
    assert ratio.point == pytest.approx(1)
    assert ratio.low < 0.95
    assert ratio.high > 1.05
