"""Tests of sites find what is planted, stay silent on what is not, and give the figures of the textbook."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import ks_2samp

from lakehouse.lake import Lake
from lakehouse.settings import load_settings
from models_ml.site_tests import (
    MAX_Q,
    TABLE,
    Others,
    ctit_distance,
    hour_share,
    judge_sites,
    percentile,
    q_values,
    score_sites,
    short_share,
    two_proportions,
)


def others(times: Any) -> Others:
    return Others(np.sort(np.asarray(times, dtype=float)), np.zeros(0), holds_own=False)


def test_the_distance_is_that_of_kolmogorov_and_smirnov_also_with_the_site_in_the_pool() -> None:
    rng = np.random.default_rng(5)
    for n, m in ((60, 400), (300, 80)):
        ours = np.sort(np.round(rng.exponential(300, n)))
        theirs = np.round(rng.exponential(500, m))
        expected = ks_2samp(ours, theirs, method="asymp")
        apart = ctit_distance(ours, others(theirs))
        together = ctit_distance(ours, Others(np.sort(np.concatenate([ours, theirs])), ours, holds_own=True))
        for found in (apart, together):
            assert found.statistic == pytest.approx(expected.statistic)
            assert found.p_value == pytest.approx(expected.pvalue)


def test_shares_and_their_chance() -> None:
    # 8 of 50 against 1 of 98 + 1 of 100: P(X >= 8) of a binomial with p = 0.02.
    found = short_share(np.array([5.0] * 8 + [60.0] * 42), others([5.0] + [60.0] * 97))
    assert (found.n, found.statistic, found.baseline, found.is_large) == (50, 0.16, 0.02, True)
    assert found.p_value == pytest.approx(6.6e-06, rel=0.05)
    # 30 of 60 against 80 of 100: z = 3.96, two-sided.
    found = hour_share(np.array([60.0] * 30 + [9000.0] * 30), others([60.0] * 80 + [9000.0] * 20))
    assert (found.statistic, found.baseline, found.is_large) == (0.5, 0.8, True)
    assert found.p_value == pytest.approx(7.4e-05, rel=0.05)
    assert two_proportions(1.0, 50, 1.0, 60) == 1.0


def test_the_false_discovery_rate_by_hand() -> None:
    assert q_values(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.02, 0.04, 0.04, 0.02])
    assert len(q_values(np.zeros(0))) == 0


def test_a_percentile_counts_ties_half() -> None:
    assert percentile(2.0, np.array([1.0, 2.0, 3.0, 4.0])) == 0.375
    assert percentile(2.0, np.zeros(0)) == 0.5


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """Twenty honest sites, one whose clicks are sprayed, one whose clicks are injected, one too small to judge."""
    con = duckdb.connect()
    con.execute(
        """
        set TimeZone = 'UTC';
        create schema gold; create schema silver; create schema rules;
        create table rules.rule_fraud_baselines (app_id varchar, partner varchar, site_id varchar);
        create table silver.stg_touchpoints (app_id varchar, record_type varchar, environment varchar, partner varchar,
            site_id varchar, event_date date);
        create table gold.attribution_candidates (app_id varchar, conversion_id varchar, touch_id varchar,
            touch_type varchar, touch_at timestamptz, install_date date, partner varchar, site_id varchar,
            elapsed_s bigint, window_s bigint, reason_code varchar);
        """
    )
    rng = np.random.default_rng(3)
    times = {f"s{n:02d}": np.exp(np.log(240) + rng.normal(size=80)) + 20 for n in range(20)}
    times |= {"sprayed": rng.uniform(5_400, 600_000, 80), "small": rng.uniform(5_400, 600_000, 49)}
    times |= {"injected": np.where(rng.random(80) < 0.4, 5, times["s00"])}
    con.register(
        "planted",
        pa.table(
            {
                "site_id": np.repeat(list(times), [len(values) for values in times.values()]),
                "elapsed_s": np.concatenate(list(times.values())).astype(np.int64),
            }
        ),
    )
    con.execute(
        """
        insert into gold.attribution_candidates
            select 'a', site_id || '-' || n, 't-' || site_id || '-' || n, 'click',
                timestamptz '2026-01-10 12:00:00+00' - elapsed_s * interval 1 second, date '2026-01-10', 'net', site_id,
                elapsed_s, 604800, 'won'
            from (select *, row_number() over () as n from planted);
        insert into silver.stg_touchpoints
            select 'a', 'click', 'production', 'net', site_id, date '2026-01-05'
            from (select distinct site_id from planted) cross join range(1000);
        """
    )
    yield con
    con.close()


def test_planted_sites_are_suspicious_and_honest_ones_are_not(con: duckdb.DuckDBPyConnection) -> None:
    rows = judge_sites(con)
    suspicious = {(row["site_id"], row["test"]) for row in rows if row["is_suspicious"]}
    assert suspicious == {
        ("sprayed", "ctit_in_hour_1"),
        ("sprayed", "ctit_distance"),
        ("injected", "ctit_under_10s"),
        ("injected", "ctit_distance"),
    }
    assert "small" not in {row["site_id"] for row in rows}, "49 installs are not judged"
    assert all(row["q_value"] is None and not row["is_suspicious"] for row in rows if "percentile" in row["test"])
    assert all(row["q_value"] >= row["p_value"] for row in rows if row["p_value"] is not None)
    assert {row["n"] for row in rows} == {80}


def test_clean_sources_are_the_baseline_where_they_are_known(con: duckdb.DuckDBPyConnection) -> None:
    before = {(r["site_id"], r["test"]): r["baseline"] for r in judge_sites(con)}
    con.execute("insert into rules.rule_fraud_baselines values ('*', 'net', 's01'), ('a', 'net', 's02')")
    rows = {(r["site_id"], r["test"]): r for r in judge_sites(con)}
    assert rows["s05", "ctit_under_10s"]["baseline"] == pytest.approx(1 / 162), "of the 160 installs of two sites"
    assert rows["s01", "ctit_under_10s"]["baseline"] == pytest.approx(1 / 82), "a clean site is compared with the other"
    assert before["s05", "ctit_under_10s"] != pytest.approx(1 / 162)
    assert rows["sprayed", "ctit_distance"]["q_value"] < MAX_Q


def test_the_last_click_counts_and_earlier_ones_assist(con: duckdb.DuckDBPyConnection) -> None:
    con.execute(
        "insert into gold.attribution_candidates select app_id, conversion_id, 'early-' || touch_id, touch_type, "
        "touch_at - interval 1 hour, install_date, partner, 's01', elapsed_s + 3600, window_s, 'lost_to_later_touch' "
        "from gold.attribution_candidates where site_id = 's02'"
    )
    rows = {(r["site_id"], r["test"]): r for r in judge_sites(con)}
    assert rows["s01", "assist_percentile"]["n"] == 80
    assert rows["s01", "assist_percentile"]["statistic"] > 0.9
    assert rows["s02", "assist_percentile"]["statistic"] < 0.6


def test_the_table_is_written_once_for_the_same_rows(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    settings = load_settings({"UNMOGROWP_HOME": str(tmp_path)})
    lake = Lake(settings.lake)
    first = score_sites(con, {"gold/attribution_candidates": 3}, settings, lake=lake)
    again = score_sites(con, {"gold/attribution_candidates": 4}, settings, lake=lake)
    assert (first.is_changed, again.is_changed) == (True, False)
    assert (first.rows, again.table_version) == (lake.row_count(TABLE), first.table_version)
    con.execute("delete from gold.attribution_candidates where site_id = 'sprayed'")
    assert score_sites(con, {}, settings, lake=lake).is_changed
