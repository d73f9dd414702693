"""The models themselves: calibrated, the same after a round trip, honest about too little data."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models_ml import baselines, metrics
from models_ml.boosting import BoostingParams
from models_ml.churn_model import fit_churn_model
from models_ml.encoding import fit_encoding
from models_ml.hurdle import Hurdle
from models_ml.seeds import derive_seed, user_folds
from models_ml.value_model import FOLDS, ValueModel, fit_value_model

# One worker imports MLflow and LightGBM and builds the session's fixtures.
pytestmark = pytest.mark.xdist_group("models")

PARAMS = BoostingParams(trees=25, learning_rate=0.15)
ROWS = 3_000


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    zeal = rng.gamma(1, 1, ROWS)
    return pd.DataFrame(
        {
            "app_id": "a",
            "install_id": [f"u{i}" for i in range(ROWS)],
            "partner": rng.choice(["alpha", "beta"], ROWS),
            "platform": None,
            "country": "US",
            "campaign_id": None,
            "device_model": None,
            "os_version": None,
            "zeal": zeal,
            "purchase_usd": rng.poisson(zeal) * 2.0,
            "ad_usd": np.nan,
            "noise": rng.random(ROWS),
            "age_days": rng.uniform(1, 20, ROWS),
            "horizon_days": 14.0,
            "active_recency_days": rng.exponential(3 / (0.2 + zeal)),
            "constant": 1.0,
        }
    )


@pytest.fixture(scope="module")
def revenue(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    zeal = frame["zeal"].to_numpy()
    pays = rng.random(ROWS) < 0.3 * np.tanh(zeal)
    return {
        "purchase": pays * rng.gamma(2, 5 * (0.3 + zeal)),
        "ad": rng.poisson(2 * zeal) * 0.01,
        "rare": (np.arange(ROWS) < 5) * 1.0,
    }


@pytest.fixture(scope="module")
def fitted(frame: pd.DataFrame, revenue: dict[str, np.ndarray]) -> tuple[ValueModel, metrics.Array]:
    model, oof = fit_value_model(frame, revenue, params=PARAMS, root_seed=5, name="t")
    return model, oof.expected


def test_out_of_fold_totals_are_right_by_kind(
    fitted: tuple[ValueModel, np.ndarray], revenue: dict[str, np.ndarray]
) -> None:
    model, expected = fitted
    assert set(model.hurdles) == {"purchase", "ad"}, "five payers teach nothing about amounts: they join the main kind"
    assert expected.sum() == pytest.approx(sum(amounts.sum() for amounts in revenue.values()), rel=1e-9)


def test_the_hurdle_ranks_better_than_past_spend(
    fitted: tuple[ValueModel, np.ndarray], frame: pd.DataFrame, revenue: dict[str, np.ndarray]
) -> None:
    actual = revenue["purchase"] + revenue["ad"]
    gain = metrics.gini_difference(actual, fitted[1], baselines.past_spend(frame))
    assert gain.low > 0


def test_four_fifths_of_the_outcomes_or_more_lie_in_the_interval(
    fitted: tuple[ValueModel, np.ndarray], frame: pd.DataFrame, revenue: dict[str, np.ndarray]
) -> None:
    forecast = fitted[0].forecast(frame)
    actual = revenue["purchase"] + revenue["ad"]
    assert 0.78 <= metrics.coverage(actual, forecast.low, forecast.high) <= 0.97
    assert (forecast.low <= forecast.high).all()
    assert (forecast.low >= 0).all()


def test_a_longer_window_stretches_revenue_and_chance(
    fitted: tuple[ValueModel, np.ndarray], frame: pd.DataFrame
) -> None:
    near, far = fitted[0].forecast(frame), fitted[0].forecast(frame, stretch=3.0)
    assert far.expected == pytest.approx(3 * near.expected)
    assert far.chance == pytest.approx(1 - (1 - near.chance) ** 3)


def test_a_model_survives_its_file_bit_for_bit(
    fitted: tuple[ValueModel, np.ndarray], frame: pd.DataFrame, tmp_path: Path
) -> None:
    from models_ml.predictor import load_model, save_model

    save_model(fitted[0], tmp_path / "m.json")
    loaded = load_model(tmp_path / "m.json")
    assert isinstance(loaded, ValueModel)
    before, after = fitted[0].forecast(frame), loaded.forecast(frame)
    for name in ("chance", "expected", "low", "high"):
        assert getattr(before, name).tobytes() == getattr(after, name).tobytes()


def test_the_same_seed_gives_the_same_trees_and_another_seed_others(
    fitted: tuple[ValueModel, np.ndarray], frame: pd.DataFrame, revenue: dict[str, np.ndarray]
) -> None:
    again, _ = fit_value_model(frame, revenue, params=PARAMS, root_seed=5, name="t")
    other, _ = fit_value_model(frame, revenue, params=PARAMS, root_seed=6, name="t")
    assert json.dumps(again.to_json()) == json.dumps(fitted[0].to_json())
    assert json.dumps(other.to_json()) != json.dumps(fitted[0].to_json())


def test_nothing_to_learn_from_is_said(frame: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="0 paying rows, at least 60"):
        fit_value_model(frame, {"purchase": np.zeros(ROWS)}, params=PARAMS, root_seed=5, name="t")
    with pytest.raises(ValueError, match="nothing to tell apart"):
        fit_churn_model(frame, np.ones(ROWS), params=PARAMS, root_seed=5, name="t")


def test_interval_of_a_certain_payer_and_of_a_certain_non_payer() -> None:
    hurdle = Hurdle(pairs=(), factor=1.0, power=1.0, ratios=(0.0, 1.0, 2.0))
    forecast = hurdle.assemble(np.array([1.0, 1e-9, 0.5]), np.array([10.0, 10.0, 10.0]))
    assert forecast.low == pytest.approx([2.0, 0.0, 0.0])  # a tenth of a payer's even spread of 0 to 20
    # Half pay, so the 90th centile of all is the 80th of the payers.
    assert forecast.high == pytest.approx([18.0, 0.0, 16.0])


def test_churn_chances_are_calibrated_and_reasons_name_what_drives_them(frame: pd.DataFrame) -> None:
    rng = np.random.default_rng(4)
    truth = 1 / (1 + np.exp(-(frame["active_recency_days"].to_numpy() - 2)))
    churned = (rng.random(ROWS) < truth).astype(float)
    model, chance = fit_churn_model(frame, churned, params=PARAMS, root_seed=5, name="t")
    assert metrics.ece(churned, chance) < 0.04
    assert chance.sum() == pytest.approx(churned.sum(), rel=1e-3)
    assert metrics.brier(churned, chance) < metrics.brier(churned, baselines.silence(frame, frame, churned)) * 1.05
    risky = int(np.argmax(model.chance(frame)))
    assert model.reasons(frame)[risky].startswith("active_recency_days=")


def test_users_stay_in_one_fold_whatever_their_neighbours() -> None:
    folds = user_folds(["a"] * 100, [f"u{i}" for i in range(100)], FOLDS)
    assert set(folds) == set(range(FOLDS))
    assert user_folds(["a"], ["u42"], FOLDS)[0] == folds[42]
    assert user_folds(["b"] * 100, [f"u{i}" for i in range(100)], FOLDS).tolist() != folds.tolist()


def test_seeds_depend_on_root_and_purpose_only() -> None:
    assert derive_seed(1, "ltv", 0) == derive_seed(1, "ltv", 0)
    assert len({derive_seed(1, "ltv", 0), derive_seed(1, "ltv", 1), derive_seed(2, "ltv", 0)}) == 3
    assert derive_seed(1, "a", "bc") != derive_seed(1, "ab", "c")


def test_encoding_drops_what_does_not_vary_and_reads_unknown_values_as_missing(frame: pd.DataFrame) -> None:
    encoding = fit_encoding(frame)
    assert "constant" not in encoding.names
    assert list(encoding.categories) == ["partner"]
    unknown = encoding.matrix(frame.head(1).assign(partner="never seen"))
    assert np.isnan(unknown[0, encoding.names.index("partner")])


def test_past_spend_scales_with_age_and_horizon() -> None:
    rows = pd.DataFrame(
        {"purchase_usd": [10.0, np.nan], "ad_usd": [np.nan, 1.0], "age_days": [5.0, 0.1], "horizon_days": [20.0, 30.0]}
    )
    assert baselines.past_spend(rows).tolist() == [40.0, 30.0]
    assert baselines.past_spend(rows, 10).tolist() == [20.0, 10.0]
