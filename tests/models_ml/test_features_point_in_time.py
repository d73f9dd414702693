"""Features may only know what was known at `as_of`: the leakage tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pandas as pd
import pytest

from models_ml import spine, training
from models_ml.activity import load_activity, to_us
from models_ml.boosting import BoostingParams
from models_ml.churn_model import fit_churn_model
from models_ml.features import KEYS, number_names, read_features
from models_ml.metrics import auc

if TYPE_CHECKING:
    from tests.models_ml import world as world_module

# One worker imports MLflow and LightGBM and builds the session's fixtures.
pytestmark = pytest.mark.xdist_group("models")

APP = "puzzle.demo.ios"
AS_OF = datetime(2026, 2, 10, 7, 30, tzinfo=UTC)
KNOWN_US = """
    case when received_us - event_us <= 7 * 86400000000 then greatest(event_us, received_us) else event_us end
"""


@pytest.fixture
def con(world: world_module) -> duckdb.DuckDBPyConnection:
    connection: duckdb.DuckDBPyConnection = world.connect(world.mobile_world(world.Size(installs=600, days=60)))
    return connection


def features_at(con: duckdb.DuckDBPyConnection, as_of: datetime = AS_OF, *, is_now: bool = False) -> pd.DataFrame:
    load_activity(con)
    assert spine.build_spine(con, [spine.Cut(APP, as_of, is_now=is_now)], spine.Ahead(14)) > 0
    return read_features(con)


def assert_bitwise_equal(left: pd.DataFrame, right: pd.DataFrame) -> None:
    assert list(left.columns) == list(right.columns)
    for name in left.columns:
        ours, theirs = left[name].to_numpy(), right[name].to_numpy()
        if name in number_names(left):
            assert ours.tobytes() == theirs.tobytes(), name
        else:
            assert left[name].equals(right[name]), name


def insert(con: duckdb.DuckDBPyConnection, world: world_module, **values: object) -> None:
    row = con.sql("select * from raw where record_type = 'event' and event_name = 'purchase' limit 1").df()
    for name, value in values.items():
        row[name] = value
    con.register("extra", row)
    con.execute("insert into raw select * from extra")
    world.rebuild(con)


def test_raw_data_cut_at_as_of_gives_the_same_features_bit_for_bit(
    con: duckdb.DuckDBPyConnection, world: world_module
) -> None:
    whole = features_at(con)
    con.execute(f"delete from raw where {KNOWN_US} >= {to_us(AS_OF)}")
    world.rebuild(con)
    assert_bitwise_equal(whole, features_at(con))


def test_the_cut_that_the_test_makes_matters(con: duckdb.DuckDBPyConnection, world: world_module) -> None:
    whole = features_at(con)
    con.execute(f"delete from raw where {KNOWN_US} >= {to_us(AS_OF - timedelta(days=2))} and record_type <> 'install'")
    world.rebuild(con)
    with pytest.raises(AssertionError):
        assert_bitwise_equal(whole, features_at(con))


@pytest.mark.parametrize("is_now", [False, True])
def test_an_event_after_as_of_changes_no_feature(
    con: duckdb.DuckDBPyConnection, world: world_module, is_now: bool
) -> None:
    before = features_at(con, is_now=is_now)
    moment = to_us(AS_OF)  # the very instant is already the future
    insert(con, world, record_id="future", event_us=moment, received_us=moment, micros=500_000_000)
    assert_bitwise_equal(before, features_at(con, is_now=is_now))


def test_an_event_received_after_as_of_changes_no_feature(con: duckdb.DuckDBPyConnection, world: world_module) -> None:
    before = features_at(con)
    late = {"event_us": to_us(AS_OF - timedelta(days=1)), "received_us": to_us(AS_OF + timedelta(days=1))}
    insert(con, world, record_id="late", micros=500_000_000, **late)
    assert_bitwise_equal(before, features_at(con))


def test_scoring_from_now_sees_what_arrived_late(con: duckdb.DuckDBPyConnection, world: world_module) -> None:
    before = features_at(con, is_now=True)
    late = {"event_us": to_us(AS_OF - timedelta(days=1)), "received_us": to_us(AS_OF + timedelta(days=1))}
    insert(con, world, record_id="late", micros=500_000_000, **late)
    after = features_at(con, is_now=True)
    assert after["purchase_usd"].sum() == pytest.approx(before["purchase_usd"].sum() + 500)


def test_a_backfill_is_known_at_its_event(con: duckdb.DuckDBPyConnection, world: world_module) -> None:
    before = features_at(con)
    old = {"event_us": to_us(AS_OF - timedelta(hours=5)), "received_us": to_us(AS_OF + timedelta(days=300))}
    insert(con, world, record_id="imported", micros=500_000_000, **old)
    after = features_at(con)
    assert after["purchase_usd"].sum() == pytest.approx(before["purchase_usd"].sum() + 500)


def test_features_do_not_depend_on_the_number_of_threads(con: duckdb.DuckDBPyConnection) -> None:
    with_two = features_at(con)
    con.execute("set threads = 1")
    assert_bitwise_equal(with_two, features_at(con))


def test_features_count_what_they_say(world: world_module) -> None:
    day = 86_400_000_000
    as_of = to_us(AS_OF)
    base = world.mobile_world(world.Size(installs=1, days=1)).head(1)
    records = [
        ("install", as_of - 10 * day, None, None, None),
        ("session", as_of - 9 * day, None, None, 120),
        ("session", as_of - 2 * day, None, None, 60),
        ("event", as_of - 9 * day, "purchase", 4_990_000, None),
        ("event", as_of - 2 * day, "purchase", 1_000_000, None),
        ("ad_revenue", as_of - 1 * day, None, 20_000, None),
        ("event", as_of - 3 * day, "level_up", None, None),
    ]
    raw = pd.concat([base] * len(records), ignore_index=True)
    for column, values in zip(
        ("record_type", "event_us", "event_name", "micros", "session_length_s"), zip(*records, strict=True), strict=True
    ):
        raw[column] = pd.Series(values, dtype=raw[column].dtype if column != "event_name" else object)
    raw["received_us"] = raw["event_us"]
    raw["record_id"] = [f"r{i}" for i in range(len(raw))]
    row = features_at(world.connect(raw)).iloc[0]
    expected = {
        "age_days": 10,
        "purchases": 2,
        "purchase_usd": 5.99,
        "purchase_first_usd": 4.99,
        "purchase_last_usd": 1.0,
        "purchase_recency_days": 2,
        "purchase_span_days": 7,
        "purchases_7d": 1,
        "purchase_first_3d_usd": 4.99,
        "ad_usd": 0.02,
        "ad_7d_usd": 0.02,
        "sessions": 2,
        "sessions_7d": 1,
        "session_minutes": 3,
        "events": 1,
        "active_days_7d": 2,
        "active_recency_days": 2,
        "sessions_first_3d": 1,
    }
    assert {name: row[name] for name in expected} == pytest.approx(expected)


def test_shuffled_labels_teach_nothing(con: duckdb.DuckDBPyConnection) -> None:
    apps = load_activity(con)
    window = spine.Ahead(14, 14)
    sample = training.read_sample(con, spine.mature_limits(apps), window, count=3, step_days=7)
    churned = (~sample.labels.is_active).astype(float)
    params = BoostingParams(trees=20)
    _, honest = fit_churn_model(sample.frame, churned, params=params, root_seed=1, name="honest")
    # Users, not rows: several cuts of one user share their truth, and so must they share the lie.
    users, index = np.unique(sample.frame["install_id"].to_numpy(dtype=str), return_inverse=True)
    lie = np.random.default_rng(5).integers(0, 2, len(users)).astype(float)[index]
    _, fooled = fit_churn_model(sample.frame, lie, params=params, root_seed=1, name="fooled")
    assert auc(churned, honest) > 0.85
    assert auc(lie, fooled) == pytest.approx(0.5, abs=4 * (1 / np.sqrt(3 * len(users))))


def test_keys_and_labels_are_no_features(con: duckdb.DuckDBPyConnection) -> None:
    frame = features_at(con)
    assert set(number_names(frame)).isdisjoint(KEYS)
    assert not any("label" in name for name in number_names(frame))
