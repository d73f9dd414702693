"""Section `alerts`: days of quiet markets that are alerts all the same, and planted incidents that are found.

Two markets: the campaigns of the simulator, whose budgets move by a quarter from week to week, and a made one with
weekends and a slow trend. The limit of what is found is what was planted; of alerts on quiet days, the days judged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bench.rows import Row, row
from models_ml.anomalies.robust import MIN_DAYS, Array, judge_counts, judge_money, judge_price, judge_ratio
from simulator.cohorts import draw_cohort
from simulator.incidents import Incident, Kind
from simulator.market import APPS, Market
from simulator.plan import plan_for
from simulator.reports import true_spend

Alarms = NDArray[np.bool_]
EVENTS: Final = 10_000_000
MARKET_DAYS: Final = 90
MADE_DAYS: Final = 70
MADE_CAMPAIGNS: Final = 40
INCIDENT: Final = 60  # the day of the market on which incidents begin
_SEEDS: Final = range(7, 11)
_MADE_SEEDS: Final = range(5)


def run() -> list[Row]:
    """Rows of the section; some twenty seconds."""
    return [
        *_market_rows("simulated", market_alarms),
        *_market_rows("simulated_no_ecpi", lambda installs, cost: _counted(installs) | _paid(cost))[1:],
        *_made_rows(),
    ]


def market_days(index: int, seed: int, incidents: tuple[Incident, ...] = ()) -> tuple[Array, Array]:
    """Installs and cost [campaigns, days] of an app of the simulator."""
    market, installs_a_day = Market(index, seed, incidents), plan_for(EVENTS, MARKET_DAYS).app_installs(index)
    installs, cost = (np.zeros((len(market.campaigns), MARKET_DAYS)) for _ in range(2))
    for day in range(MARKET_DAYS):
        cohort = draw_cohort(market, day, installs_a_day, 0)
        claimed = np.where(cohort.thief >= 0, cohort.thief, cohort.campaign)
        installs[:, day] = np.bincount(claimed + 1, minlength=len(market.campaigns) + 1)[1:]
        cost[:, day] = true_spend(market, day, installs_a_day)[0]
    return installs, cost


def market_alarms(installs: Array, cost: Array) -> Alarms:
    """Campaign-days on which any metric is an alert."""
    return _counted(installs) | _paid(cost) | judge_price(cost, installs).is_alert


def planted_in_market(index: int, seed: int, kind: Kind, alarms: Callable[[Array, Array], Alarms]) -> Alarms:
    """Whether the incident of each of every second campaign was found within three days."""
    half = slice(seed % 2, None, 2)
    campaigns = list(Market(index, seed).campaigns)[half]
    incidents = tuple(Incident(kind, campaign.campaign_id, INCIDENT) for campaign in campaigns)
    found = alarms(*market_days(index, seed, incidents))[half, INCIDENT : INCIDENT + 3]
    return np.asarray(found.any(axis=1))


def made_days(seed: int) -> tuple[Array, Array, Array]:
    """Clicks, installs and cost [campaigns, days]: weekends, a slow trend, noise of counts."""
    rng = np.random.default_rng(seed)
    day, shape = np.arange(MADE_DAYS), (MADE_CAMPAIGNS, MADE_DAYS)
    week = np.where(day % 7 >= 5, 1.4, 1.0) * np.exp(0.003 * day)
    mean = np.exp(rng.uniform(np.log(60), np.log(600), (MADE_CAMPAIGNS, 1))) * week * rng.lognormal(0, 0.08, shape)
    clicks = rng.poisson(mean * 12).astype(float)
    installs = rng.binomial(clicks.astype(int), 1 / 12).astype(float)
    return clicks, installs, clicks * 0.3 * rng.lognormal(0, 0.08, clicks.shape)


def made_alarms(seed: int) -> Alarms:
    """Campaign-days of a quiet made market on which any metric is an alert."""
    clicks, installs, cost = made_days(seed)
    return market_alarms(installs, cost) | judge_ratio(installs, clicks).is_alert


def planted_in_made(seed: int) -> dict[str, Alarms]:
    """Whether each incident was found within a day: stops, doubled costs, falls of the CVR, a platform halved."""
    clicks, installs, cost = made_days(seed)
    late, soon = slice(INCIDENT, None), slice(INCIDENT, INCIDENT + 2)
    installs[0:5, late] = 0
    cost[5:10, late] *= 2
    installs[10:15, late] = np.round(installs[10:15, late] * 0.3)
    installs[20:40, late] = np.round(installs[20:40, late] * 0.5)
    judged = {
        "stops": judge_counts(installs[0:5]),
        "doubled_costs": judge_money(cost[5:10]),
        "falls_of_cvr": judge_ratio(installs[10:15], clicks[10:15]),
        "platforms_halved": judge_counts(installs[20:40].sum(axis=0, keepdims=True)),
    }
    return {name: np.any(judgement.is_alert[:, soon], axis=1) for name, judgement in judged.items()}


def _counted(installs: Array) -> Alarms:
    return judge_counts(installs).is_alert


def _paid(cost: Array) -> Alarms:
    return judge_money(cost).is_alert


def _market_rows(name: str, alarms: Callable[[Array, Array], Alarms]) -> list[Row]:
    places = [(index, seed) for index in range(len(APPS)) for seed in _SEEDS]
    quiet = [alarms(*market_days(index, seed))[:, MIN_DAYS:] for index, seed in places]
    rows = [_share(f"{name}_quiet_days_with_an_alert", quiet, "judged campaign-days")]
    for kind in Kind:
        found = [planted_in_market(index, seed, kind, alarms) for index, seed in places]
        rows.append(_share(f"{name}_{kind}_found", found, "planted"))
    return rows


def _made_rows() -> list[Row]:
    rows = [
        _share(
            "made_quiet_days_with_an_alert", [made_alarms(s)[:, MIN_DAYS:] for s in _MADE_SEEDS], "judged campaign-days"
        )
    ]
    planted = [planted_in_made(100 + seed) for seed in _MADE_SEEDS]
    return rows + [_share(f"made_{name}_found", [p[name] for p in planted], "planted") for name in planted[0]]


def _share(name: str, parts: list[Alarms], of: str) -> Row:
    return row(name, sum(int(part.sum()) for part in parts), "", of, sum(part.size for part in parts))
