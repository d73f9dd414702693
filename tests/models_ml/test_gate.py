"""What blocks a promotion, and what does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models_ml import gate


def users(size: int) -> np.ndarray:
    return np.array([f"u{i}" for i in range(size)], dtype=object)


def value_rows(size: int = 4_000) -> gate.Judged:
    """A world in which our forecast is right on average and past spend is a blurred copy of it."""
    rng = np.random.default_rng(11)
    expected = rng.gamma(0.5, 4.0, size)
    actual = expected * rng.lognormal(-0.5, 1.0, size) * (rng.random(size) < 0.5) * 2
    naive = expected * rng.lognormal(-1, 1.5, size)
    channel = np.where(np.arange(size) % 2, "alpha", "beta").astype(object)
    return gate.Judged(actual, expected, naive, channel, users(size))


def churn_rows(size: int = 4_000) -> gate.Judged:
    rng = np.random.default_rng(12)
    chance = rng.beta(1, 1, size)
    churned = (rng.random(size) < chance).astype(float)
    naive = np.clip(chance + rng.normal(0, 0.3, size), 0, 1)
    return gate.Judged(churned, chance, naive, np.full(size, "alpha", dtype=object), users(size))


def test_a_sane_value_model_passes_without_a_champion() -> None:
    verdict = gate.judge_value(value_rows(), None, seed=1)
    assert verdict.failures == ()
    assert "no champion yet" in verdict.notes[0]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.01])
def test_one_forecast_that_is_no_amount_blocks(bad: float) -> None:
    judged = value_rows()
    judged.ours[17] = bad
    verdict = gate.judge_value(judged, None, seed=1)
    assert not verdict.is_passed
    assert len(verdict.failures) == 1


def test_a_model_without_ranking_blocks() -> None:
    judged = value_rows()
    constant = np.full(len(judged.actual), judged.actual.mean())
    failures = gate.judge_value(replace(judged, ours=constant), None, seed=1).failures
    assert [text.split(":")[0] for text in failures] == ["ranking", "naive"]


def test_a_model_behind_past_spend_blocks() -> None:
    judged = value_rows()
    failures = gate.judge_value(replace(judged, ours=judged.naive, naive=judged.ours), None, seed=1).failures
    assert any(text.startswith("naive:") for text in failures)


@pytest.mark.parametrize(("factor", "blocks"), [(1.0, False), (1.6, True), (0.5, True)])
def test_totals_that_are_clearly_off_block(factor: float, blocks: bool) -> None:
    judged = value_rows()
    failures = gate.judge_value(replace(judged, ours=judged.ours * factor), None, seed=1).failures
    assert any(text.startswith("calibration:") for text in failures) is blocks


def test_a_wrong_channel_blocks_though_the_total_is_right() -> None:
    judged = value_rows()
    tilted = judged.ours * np.where(judged.channel == "alpha", 1.7, 0.3)
    tilted *= judged.actual.sum() / tilted.sum()
    failures = gate.judge_value(replace(judged, ours=tilted), None, seed=1).failures
    assert {"calibration of alpha", "calibration of beta"} <= {text.split(":")[0] for text in failures}


def test_a_channel_without_a_big_spender_is_not_condemned_for_it() -> None:
    judged = value_rows()
    expected = np.full(len(judged.actual), 1.0)
    actual = np.where(np.arange(len(expected)) < 40, 100.0, 0.0) * (np.arange(len(expected)) < 40)
    actual[1::2] = 0.0  # all twenty big spenders happen to sit in one channel of two
    few = np.zeros(len(expected))
    few[:3] = actual.sum() / 3
    lucky = replace(judged, actual=few, ours=expected * few.sum() / expected.sum())
    unlucky = replace(judged, actual=actual, ours=expected * actual.sum() / expected.sum())
    assert not any("calibration of" in text for text in gate.judge_value(lucky, None, seed=1).failures)
    assert any("calibration of" in text for text in gate.judge_value(unlucky, None, seed=1).failures)


def test_a_small_sample_is_not_condemned_for_its_noise() -> None:
    judged = value_rows(80)
    off = judged.ours * (1.15 * judged.actual.sum() / judged.ours.sum())
    failures = gate.judge_value(replace(judged, ours=off), None, seed=1).failures
    assert not any(text.startswith("calibration") for text in failures)


def test_a_worse_model_does_not_replace_the_champion() -> None:
    judged = value_rows()
    contest = gate.Contest(judged.actual, judged.naive, judged.ours)
    failures = gate.judge_value(judged, contest, seed=1).failures
    assert [text.split(":")[0] for text in failures] == ["champion"]
    assert gate.judge_value(judged, gate.Contest(judged.actual, judged.ours, judged.naive), seed=1).is_passed


def test_too_few_new_rows_cannot_decide_against_a_model() -> None:
    judged = value_rows()
    few = gate.Contest(judged.actual[:299], judged.naive[:299], judged.ours[:299])
    verdict = gate.judge_value(judged, few, seed=1)
    assert verdict.is_passed
    assert verdict.notes == ("299 rows matured since the champion was trained, 300 are needed to compare",)


def test_a_sane_churn_model_passes() -> None:
    assert gate.judge_churn(churn_rows(), None, seed=1).is_passed


def test_probabilities_outside_the_unit_interval_block() -> None:
    judged = churn_rows()
    judged.ours[0] = 1.01
    assert gate.judge_churn(judged, None, seed=1).failures == ("range: some forecasts are below 0 or above 1",)


def test_uncalibrated_chances_block() -> None:
    judged = churn_rows()
    failures = gate.judge_churn(replace(judged, ours=judged.ours**3), None, seed=1).failures
    assert any(text.startswith("calibration: ECE") for text in failures)


def test_a_churn_model_behind_the_baseline_or_the_champion_blocks() -> None:
    judged = churn_rows()
    worse = replace(judged, ours=judged.naive, naive=judged.ours)
    assert any(text.startswith("naive") for text in gate.judge_churn(worse, None, seed=1).failures)
    contest = gate.Contest(judged.actual, judged.naive, judged.ours)
    assert any(text.startswith("champion") for text in gate.judge_churn(judged, contest, seed=1).failures)
