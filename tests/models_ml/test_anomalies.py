"""A seeded experiment: a quiet world raises hardly an alarm, planted incidents are found within a day."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pytest

from bench import alerts
from lakehouse.lake import Lake
from lakehouse.settings import load_settings
from models_ml.anomalies.robust import MIN_DAYS
from models_ml.anomalies.watch import TABLE, find_alerts, watch_metrics
from simulator.incidents import Kind


@pytest.mark.parametrize("seed", range(5))
def test_a_quiet_world_raises_hardly_an_alarm(seed: int) -> None:
    alarms = alerts.made_alarms(seed)
    assert not alarms[:, :MIN_DAYS].any(), "days without history are not judged"
    assert alarms[:, MIN_DAYS:].mean() < 0.005


def test_planted_incidents_are_found_within_a_day() -> None:
    planted = [alerts.planted_in_made(100 + seed) for seed in range(5)]
    for name in ("stops", "doubled_costs", "falls_of_cvr", "platforms_halved"):
        assert np.concatenate([hits[name] for hits in planted]).mean() >= 0.95, name


@pytest.mark.parametrize("index", range(2), ids=["ios", "android"])
def test_incidents_of_the_simulated_market_are_found_and_its_quiet_weeks_are_quiet(index: int) -> None:
    """Budgets of its campaigns move by a quarter from week to week, which hides a doubled cost, but not a price."""
    quiet, found = [], []
    for seed in (7, 8):
        quiet.append(alerts.market_alarms(*alerts.market_days(index, seed))[:, MIN_DAYS:])
        found += [alerts.planted_in_market(index, seed, kind, alerts.market_alarms) for kind in Kind]
    hits = np.concatenate(found)
    assert hits.size == 24
    assert hits.mean() >= 0.95
    assert np.concatenate(quiet).mean() < 0.01


def test_a_cost_that_is_not_told_yet_is_missing_and_not_low() -> None:
    con = duckdb.connect()
    con.execute("create schema gold; create schema silver")
    con.execute("create table silver.int_watermarks as select 'a' as app_id, date '2026-03-02' as watermark_date")
    con.execute(
        """
        create table gold.campaign_daily as
        select 'a' as app_id, date '2026-01-01' + n::integer as date, 'ios' as platform, partner, 'c' as campaign_id,
            200 + n % 7 as installs, 2000 as clicks, 0 as revenue_d0_usd,
            -- `late` tells its costs after two days; `stopped` told a tenth yesterday.
            case when partner = 'late' and n > 57 then 0 when partner = 'stopped' and n = 59 then 10 else 100 end
                as cost_usd
        from range(60) days(n), (values ('late'), ('stopped')) partners(partner)
        """
    )
    rows = find_alerts(con)
    assert all(row["is_new"] for row in rows if row["partner"] == "stopped"), "judged, and new, once it is told"
    found = {(row["partner"], row["level"], row["metric"]) for row in rows}
    assert {("stopped", "campaign", "cost"), ("stopped", "partner", "cost")} <= found
    assert not any(partner == "late" or level == "platform" for partner, level, _ in found)


def test_complete_days_are_judged_and_the_worst_are_named(tmp_path: Path) -> None:
    con = duckdb.connect()
    con.execute("create schema gold; create schema silver")
    con.execute("create table silver.int_watermarks as select 'a' as app_id, date '2026-03-02' as watermark_date")
    con.execute(
        "create table gold.campaign_daily (app_id varchar, date date, platform varchar, partner varchar,"
        " campaign_id varchar, installs bigint, clicks bigint, cost_usd decimal(18, 6), revenue_d0_usd decimal(18, 6))"
    )
    for n in range(61):
        day = date(2026, 1, 1) + timedelta(days=n)
        # The last complete day, the 1st of March, halts campaign c; the 2nd is not over.
        stops = day >= date(2026, 3, 1)
        for campaign, installs in (("c", 0 if stops else 90 + n % 7), ("d", 500 + n % 5)):
            con.execute(
                "insert into gold.campaign_daily values ('a', ?, 'ios', 'net', ?, ?, ?, 100, 50)",
                [day, campaign, installs, 10 * (90 + n % 7)],
            )
    lake, settings = Lake(str(tmp_path), {}), load_settings({"UNMOGROWP_HOME": str(tmp_path)})
    result, worst = watch_metrics(con, {"gold/campaign_daily": 3}, settings, lake=lake)
    rows = lake.open(TABLE).to_pyarrow_table().to_pylist()
    assert {(r["date"], r["level"], r["campaign_id"], r["metric"], r["is_new"]) for r in rows} == {
        (date(2026, 3, 1), "campaign", "c", "installs", True),
        (date(2026, 3, 1), "campaign", "c", "cvr", True),
    }
    assert len(worst) == 2
    assert worst[0].startswith("a 2026-03-01 campaign net/c: installs 0 instead of 9")
    assert (result.rows, result.is_changed) == (2, True)
    # A day later it is no news.
    con.execute("update silver.int_watermarks set watermark_date = date '2026-03-03'")
    later = {(row["date"].day, row["metric"]): (row["since"].day, row["is_new"]) for row in find_alerts(con)}
    assert later[2, "installs"] == (1, False)
    assert later[1, "installs"] == (1, False)
    con.execute("update silver.int_watermarks set watermark_date = date '2026-03-02'")
    again, _ = watch_metrics(con, {"gold/campaign_daily": 3}, settings, lake=lake)
    assert not again.is_changed
