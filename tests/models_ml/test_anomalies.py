"""A seeded experiment: a quiet world raises hardly an alarm, planted incidents are found within a day."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pytest
from numpy.typing import NDArray

from lakehouse.lake import Lake
from lakehouse.settings import load_settings
from models_ml.anomalies.robust import MIN_DAYS, Array, judge_counts, judge_money, judge_price, judge_ratio
from models_ml.anomalies.watch import TABLE, find_alerts, watch_metrics
from simulator.cohorts import draw_cohort
from simulator.incidents import Incident, Kind
from simulator.market import Market
from simulator.plan import plan_for
from simulator.reports import true_spend

DAYS, CAMPAIGNS, INCIDENT = 70, 40, 60


def world(seed: int) -> tuple[Array, Array, Array]:
    """Clicks, installs and cost of 40 campaigns on 70 days: weekends; a slow trend."""
    rng = np.random.default_rng(seed)
    day = np.arange(DAYS)
    week = np.where(day % 7 >= 5, 1.4, 1.0) * np.exp(0.003 * day)
    mean = (
        np.exp(rng.uniform(np.log(60), np.log(600), (CAMPAIGNS, 1))) * week * rng.lognormal(0, 0.08, (CAMPAIGNS, DAYS))
    )
    clicks = rng.poisson(mean * 12).astype(float)
    installs = rng.binomial(clicks.astype(int), 1 / 12).astype(float)
    return clicks, installs, clicks * 0.3 * rng.lognormal(0, 0.08, clicks.shape)


def test_a_quiet_world_raises_hardly_an_alarm() -> None:
    alarmed = judged = 0
    for seed in range(5):
        clicks, installs, cost = world(seed)
        alarms = judge_counts(installs).is_alert | judge_money(cost).is_alert | judge_ratio(installs, clicks).is_alert
        alarms |= judge_price(cost, installs).is_alert
        assert not alarms[:, :MIN_DAYS].any(), "days without history are not judged"
        alarmed += int(alarms.sum())
        judged += CAMPAIGNS * (DAYS - MIN_DAYS)
    assert alarmed / judged < 0.005


def test_planted_incidents_are_found_within_a_day() -> None:
    found, planted = {"stop": 0, "double": 0, "halved": 0, "cvr": 0}, {"stop": 0, "double": 0, "halved": 0, "cvr": 0}
    for seed in range(5):
        clicks, installs, cost = world(100 + seed)
        late = slice(INCIDENT, None)
        installs[0:5, late] = 0
        cost[5:10, late] *= 2
        installs[10:15, late] = np.round(installs[10:15, late] * 0.3)
        installs[20:40, late] = np.round(installs[20:40, late] * 0.5)
        soon = slice(INCIDENT, INCIDENT + 2)
        hits = {
            "stop": judge_counts(installs[0:5]).is_alert[:, soon].any(axis=1),
            "double": judge_money(cost[5:10]).is_alert[:, soon].any(axis=1),
            "cvr": judge_ratio(installs[10:15], clicks[10:15]).is_alert[:, soon].any(axis=1),
            "halved": judge_counts(installs[20:40].sum(axis=0, keepdims=True)).is_alert[:, soon].any(axis=1),
        }
        for name, hit in hits.items():
            found[name] += int(hit.sum())
            planted[name] += len(hit)
    for name in ("stop", "double", "halved", "cvr"):
        assert found[name] / planted[name] >= 0.95, name


def market_days(index: int, seed: int, incidents: tuple[Incident, ...] = ()) -> tuple[Array, Array]:
    """Installs and cost of every campaign of a simulated app, of a world of ten million events in 90 days."""
    market, installs_a_day = Market(index, seed, incidents), plan_for(10_000_000, 90).app_installs(index)
    installs, cost = (np.zeros((len(market.campaigns), 90)) for _ in range(2))
    for day in range(90):
        cohort = draw_cohort(market, day, installs_a_day, 0)
        claimed = np.where(cohort.thief >= 0, cohort.thief, cohort.campaign)
        installs[:, day] = np.bincount(claimed + 1, minlength=len(market.campaigns) + 1)[1:]
        cost[:, day] = true_spend(market, day, installs_a_day)[0]
    return installs, cost


def alarms_of(installs: Array, cost: Array) -> NDArray[np.bool_]:
    return judge_counts(installs).is_alert | judge_money(cost).is_alert | judge_price(cost, installs).is_alert


@pytest.mark.parametrize("index", range(2), ids=["ios", "android"])
def test_incidents_of_the_simulated_market_are_found_and_its_quiet_weeks_are_quiet(index: int) -> None:
    """Budgets of its campaigns move by a quarter from week to week, which hides a doubled cost, but not a price."""
    quiet = judged = found = planted = 0
    for seed in (7, 8):
        alarms = alarms_of(*market_days(index, seed))
        quiet += int(alarms.sum())
        judged += alarms[:, MIN_DAYS:].size
        for kind in Kind:
            half = slice(seed % 2, None, 2)
            incidents = tuple(Incident(kind, c.campaign_id, INCIDENT) for c in Market(index, seed).campaigns[half])
            hits = alarms_of(*market_days(index, seed, incidents))[half, INCIDENT : INCIDENT + 3].any(axis=1)
            found += int(hits.sum())
            planted += len(hits)
    assert planted == 24
    assert found / planted >= 0.95
    assert quiet / judged < 0.01


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
