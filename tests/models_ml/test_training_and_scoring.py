"""Training, registry and predictions together, on a real lake and a real MLflow store.

The fixture `trained` trains three models once (about 10 s with the imports of MLflow and LightGBM).
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from lakehouse import engine
from lakehouse.lake import Lake
from lakehouse.predictions import PREDICTION_SCHEMAS
from models_ml import churn, gate, ltv, scoring, spine, training
from models_ml.activity import INPUT_TABLES, load_activity, to_us
from models_ml.boosting import BoostingParams
from models_ml.cdnow_benchmark import evaluate_cdnow
from models_ml.churn_model import ChurnModel
from models_ml.tracking import CHALLENGER, CHAMPION, PREVIOUS, ModelStore

if TYPE_CHECKING:
    import duckdb

    from tests.models_ml.conftest import Home, MakeHome, Trained

# One worker imports MLflow and LightGBM and builds the session's fixtures.
pytestmark = pytest.mark.xdist_group("models")


def predictions(home: Home, name: str) -> pd.DataFrame:
    con = engine.connect(home.settings)
    return con.sql(f"from ml.{name} order by all").df()


def test_models_are_trained_promoted_and_measured(trained: Trained) -> None:
    week, month, quarter = trained.ltv
    assert (week.status, month.status, trained.churn.status) == ("trained", "trained", "trained")
    assert week.is_promoted
    assert month.is_promoted
    assert trained.churn.is_promoted
    assert month.gate_reasons == ()
    assert month.metrics["oof_ngini"] > 0.5
    assert 0.75 < trained.churn.metrics["test_auc"] <= 1
    assert trained.churn.metrics["test_ece"] < 0.08
    assert month.rows > 1_000
    assert month.run_path == f"#/experiments/{month.experiment_id}/runs/{month.run_id}"
    assert (quarter.status, quarter.model_version) == ("skipped", None)
    assert "rows with a mature 90-day label" in quarter.reason


def test_a_time_split_tests_on_a_later_time_than_all_training_labels(
    trained: Trained, monkeypatch: pytest.MonkeyPatch, small: BoostingParams
) -> None:
    monkeypatch.setattr(ltv, "MIN_TEST_ROWS", 300)
    con = trained.home.con
    limits = spine.mature_limits(load_activity(con))
    plan = training.Plan("ltv", 30, {}, 1, {})
    split = ltv._time_split(con, limits, spine.Lifetime(30), small, plan)
    assert split is not None
    (limit,) = limits.values()
    assert split.frame["as_of_us"].unique().tolist() == [to_us(limit - timedelta(days=30))]
    assert split.frame["label_end_us"].max() <= to_us(limit)
    assert split.metrics(1)["test_ngini"] > split.naive_metrics(1)["test_ngini"]
    assert set(split.by_partner()["partner"]) == {"organic", "alpha", "beta", "gamma"}
    assert split.by_partner()["rows"].sum() == len(split.actual)


def test_versions_of_all_inputs_are_tags_version_zero_included(trained: Trained) -> None:
    store = ModelStore(trained.home.settings)
    stored = store.by_alias("ltv_d30", CHAMPION)
    assert stored is not None
    expected = {f"delta.{table}.version": "0" for table in INPUT_TABLES}
    assert {key: stored.tags.get(key) for key in expected} == expected
    run = store._client.get_run(stored.run_id)
    assert {key: run.data.tags.get(key) for key in expected} == expected
    sources = [json.loads(item.dataset.source) for item in run.inputs.dataset_inputs]
    assert [source["delta_table_version"] for source in sources] == [0, 0, 0, 0]
    for tag in ("feature_version", "code_version", "seed", "as_of", "data_until", "fingerprint", "gate"):
        assert stored.tags[tag] == run.data.tags[tag] != ""
    assert run.data.tags["dagster.run_id"] == "abc"
    assert stored.tags["seed"] == str(trained.home.settings.root_seed)


def test_a_run_keeps_its_card_its_baseline_and_its_artefacts_at_home(trained: Trained) -> None:
    store = ModelStore(trained.home.settings)
    result = trained.churn
    run = store._client.get_run(result.run_id)
    home = trained.home.settings.home.resolve().as_uri()
    assert run.info.artifact_uri.startswith(f"{home}/mlflow/artifacts/churn_d14/")
    files = {file.path for file in store._client.list_artifacts(result.run_id)}
    assert {"model_card.md", "calibration.json"} <= files
    card = Path(store._client.download_artifacts(result.run_id, "model_card.md")).read_text()
    assert "Predicted risk is not uplift" in card
    assert "delta.silver/stg_app_events.version: 0" in card
    children = store._client.search_runs([result.experiment_id], f"tags.mlflow.parentRunId = '{result.run_id}'")
    assert [child.info.run_name for child in children] == ["days_since_last_activity"]
    assert not (Path.cwd() / "mlruns").exists()


def test_the_registered_model_predicts_alone_as_one_pyfunc(trained: Trained) -> None:
    import mlflow

    store = ModelStore(trained.home.settings)
    model = store.load(store.by_alias("churn_d14", CHAMPION))  # type: ignore[arg-type]
    assert isinstance(model, ChurnModel)
    columns = model.encoding.names
    frame = pd.DataFrame({name: [0.0, 1.0] for name in columns}).astype(
        dict.fromkeys(model.encoding.categories, "object")
    )
    for name in model.encoding.categories:
        frame[name] = None
    loaded = mlflow.pyfunc.load_model("models:/churn_d14@champion")
    assert loaded.metadata.get_input_schema().input_names() == columns
    found = loaded.unwrap_python_model().predict(None, frame)["churn_probability"]
    assert found.tolist() == model.chance(frame).tolist()


def test_the_same_inputs_find_their_model_instead_of_training_again(trained: Trained, small: BoostingParams) -> None:
    home = trained.home
    again = ltv.train_ltv(home.con, home.snapshot, home.settings, horizons=(30,), params=small)[0]
    assert again.status == "reused"
    assert again == replace(trained.ltv[1], status="reused", seconds=again.seconds)
    assert len(ModelStore(home.settings)._client.search_model_versions("name = 'ltv_d30'")) == 1
    assert churn.train_churn(home.con, home.snapshot, home.settings, params=small).status == "reused"


def test_predictions_have_the_agreed_columns_and_are_coherent(trained: Trained) -> None:
    table = predictions(trained.home, "predictions_ltv")
    assert list(table.columns) == PREDICTION_SCHEMAS["ml/predictions_ltv"].names
    assert table["model_version"].unique().tolist() == ["1"]
    assert set(table["horizon_days"]) == {7, 30}
    assert trained.ltv_scores.models == {7: 1, 30: 1}
    assert trained.ltv_scores.notes == ("ltv_d90 has no champion",)
    assert len(table) == trained.ltv_scores.rows == 2 * 3_000
    assert (table["predicted_ltv_usd"] >= 0).all()
    assert (table["predicted_ltv_low_usd"] <= table["predicted_ltv_usd"]).all()
    assert (table["predicted_ltv_usd"] <= table["predicted_ltv_high_usd"]).all()
    wide = table.pivot(index="install_id", columns="horizon_days", values="predicted_ltv_usd")
    assert (wide[7] <= wide[30]).all()


def test_an_install_past_its_horizon_is_predicted_what_it_earned(trained: Trained) -> None:
    con = engine.connect(trained.home.settings)
    closed = con.sql(
        """
        select p.install_id, p.predicted_ltv_usd, p.predicted_ltv_high_usd, p.observed_revenue_usd,
            coalesce((select sum(r.revenue_usd) from silver.int_revenue_events as r
                where r.install_id = p.install_id and r.event_at < i.install_at + interval 7 days), 0) as earned
        from ml.predictions_ltv as p
        join silver.int_installs as i using (app_id, install_id)
        where p.horizon_days = 7 and i.install_at + interval 7 days <= p.as_of
        """
    ).fetchall()
    assert len(closed) > 2_000
    assert all(observed == earned and isinstance(observed, Decimal) for _, _, _, observed, earned in closed)
    assert all(low == high == pytest.approx(float(observed)) for _, low, high, observed, _ in closed)


def test_churn_is_scored_for_recently_active_users_with_reasons(trained: Trained) -> None:
    table = predictions(trained.home, "predictions_churn")
    assert trained.churn_scores.rows == len(table) > 300
    assert table["churn_probability"].between(0, 1).all()
    assert set(table["horizon_days"]) == {14}
    assert table["top_reasons"].str.contains("=").mean() > 0.9
    con = engine.connect(trained.home.settings)
    silent = con.sql(
        """
        select count(*) from ml.predictions_churn as p where not exists (
            from silver.stg_app_events as e where e.install_id = p.install_id and e.record_type <> 'ad_revenue'
            and e.event_at >= p.as_of - interval 14 days)
        """
    ).fetchall()
    assert silver_count(silent) == 0


def silver_count(rows: list[tuple[int]]) -> int:
    return rows[0][0]


def test_scoring_again_writes_nothing(trained: Trained) -> None:
    home = trained.home
    for again, before in (
        (scoring.score_ltv(home.con, home.snapshot, home.settings, horizons=(7, 30, 90)), trained.ltv_scores),
        (scoring.score_churn(home.con, home.snapshot, home.settings), trained.churn_scores),
    ):
        assert not again.is_changed
        assert again.table_version == before.table_version == 0


def test_another_home_with_the_same_seed_predicts_the_same_bits(
    trained: Trained, fresh_home: Home, small: BoostingParams
) -> None:
    home = fresh_home
    home.con.execute("set threads = 1")
    ltv.train_ltv(home.con, home.snapshot, home.settings, horizons=(7,), params=small)
    scoring.score_ltv(home.con, home.snapshot, home.settings, horizons=(7,))
    ours, theirs = predictions(trained.home, "predictions_ltv"), predictions(home, "predictions_ltv")
    ours = ours[ours["horizon_days"] == 7]
    assert len(ours) == len(theirs) == 3_000
    for column in ("predicted_ltv_usd", "predicted_ltv_low_usd", "predicted_ltv_high_usd"):
        assert ours[column].to_numpy().tobytes() == theirs[column].to_numpy().tobytes()


def test_a_blocked_model_stays_challenger_and_the_champion_goes_on_scoring(
    fresh_home: Home, monkeypatch: pytest.MonkeyPatch, small: BoostingParams
) -> None:
    home = fresh_home
    first = churn.train_churn(home.con, home.snapshot, home.settings, params=small)
    assert first.is_promoted
    monkeypatch.setattr(gate, "AUC_FLOOR", 0.999)
    other = BoostingParams(trees=10, learning_rate=0.1)
    blocked = churn.train_churn(home.con, home.snapshot, home.settings, params=other)
    assert (blocked.status, blocked.is_promoted, blocked.model_version) == ("trained", False, 2)
    assert blocked.gate_reasons[0].startswith("ranking: AUC")
    store = ModelStore(home.settings)
    challenger, champion = store.by_alias("churn_d14", CHALLENGER), store.by_alias("churn_d14", CHAMPION)
    assert challenger is not None
    assert champion is not None
    assert (challenger.version, champion.version) == (2, 1)
    assert challenger.tags["gate"] == "failed"
    assert "ranking: AUC" in challenger.tags["gate_reasons"]
    assert scoring.score_churn(home.con, home.snapshot, home.settings).models == {14: 1}


def test_a_better_seed_takes_over_and_the_old_champion_is_kept_for_rollback(
    fresh_home: Home, small: BoostingParams
) -> None:
    home = fresh_home
    churn.train_churn(home.con, home.snapshot, home.settings, params=small)
    reseeded = home.settings.model_copy(update={"root_seed": 7})
    second = churn.train_churn(home.con, home.snapshot, reseeded, params=small)
    assert (second.model_version, second.is_promoted, second.seed) == (2, True, 7)
    store = ModelStore(home.settings)
    previous = store.by_alias("churn_d14", PREVIOUS)
    assert previous is not None
    assert previous.version == 1
    assert "0 rows matured since the champion was trained" in store.by_alias("churn_d14", CHAMPION).tags["gate_notes"]  # type: ignore[union-attr]


def test_a_promotion_cut_short_is_finished_by_the_next_run(fresh_home: Home, small: BoostingParams) -> None:
    home = fresh_home
    churn.train_churn(home.con, home.snapshot, home.settings, params=small)
    store = ModelStore(home.settings)
    store._client.delete_registered_model_alias("churn_d14", CHAMPION)
    assert churn.train_churn(home.con, home.snapshot, home.settings, params=small).is_promoted


def test_an_empty_lake_is_skipped_and_scored_as_empty_tables(
    world: object, make_home: MakeHome, tmp_path: Path, mobile_raw: pd.DataFrame
) -> None:
    con: duckdb.DuckDBPyConnection = world.connect(mobile_raw.head(0))  # type: ignore[attr-defined]
    settings = make_home(tmp_path / "home")
    snapshot = dict.fromkeys(INPUT_TABLES, 0)
    assert [r.status for r in ltv.train_ltv(con, snapshot, settings)] == ["skipped", "skipped"]
    assert churn.train_churn(con, snapshot, settings).status == "skipped"
    assert scoring.score_ltv(con, snapshot, settings).rows == 0
    assert scoring.score_churn(con, snapshot, settings).rows == 0
    assert Lake(settings.lake).row_count("ml/predictions_churn") == 0


def test_a_snapshot_that_lacks_an_input_is_refused(trained: Trained) -> None:
    home = trained.home
    with pytest.raises(KeyError, match="silver/stg_app_events"):
        ltv.train_ltv(home.con, {}, home.settings)


def test_a_champion_of_another_feature_version_is_not_fed(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models_ml.tracking.FEATURE_VERSION", "2")
    store = ModelStore(trained.home.settings)
    assert store.champion("ltv_d30") == (None, "ltv_d30 champion reads feature version 1, this code makes 2")


def test_the_benchmark_is_logged_once_for_the_same_inputs(
    cdnow: duckdb.DuckDBPyConnection, make_home: MakeHome, tmp_path: Path
) -> None:
    settings = make_home(tmp_path / "home")
    snapshot = dict.fromkeys(INPUT_TABLES, 0)
    first = evaluate_cdnow(cdnow, snapshot=snapshot, settings=settings, params=BoostingParams(trees=5))
    again = evaluate_cdnow(cdnow, snapshot=snapshot, settings=settings, params=BoostingParams(trees=5))
    assert first.run_id
    assert not first.is_reused
    assert again == replace(first, is_reused=True, seconds=again.seconds)
