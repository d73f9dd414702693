"""What partners and Apple report beside single touches: cost per campaign and day with restatements, SKAN postbacks."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final, Self

import numpy as np

from simulator.cohorts import Cohort
from simulator.keys import generator
from simulator.market import Market, Source
from simulator.text import DAY_MS, F64, I64

STATEMENTS: Final = (1, 3, 8)  # days after the day of the spend on which a partner states it


@dataclass(frozen=True)
class CostRows:
    """One row a statement; `spend_day` is the world day of the spend, counts and money as the partner claims them."""

    campaign: I64
    spend_day: I64
    statement: I64  # 0, 1 or 2
    micros: I64
    impressions: I64
    clicks: I64
    installs: I64


@dataclass(frozen=True)
class Postbacks:
    """One row a postback. Value and coarse are -1 where Apple withholds them."""

    arrived_ms: I64
    campaign: I64
    sequence: I64
    value: I64
    coarse: I64

    def take(self, index: Any) -> Self:
        """Rows by mask, slice or index."""
        return type(self)(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    @classmethod
    def stack(cls, parts: list[Self]) -> Self:
        """The parts one below the other."""
        return cls(**{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)})

    @classmethod
    def none(cls) -> Self:
        """No postbacks."""
        return cls(**{f.name: np.zeros(0, dtype=np.int64) for f in fields(cls)})


def true_spend(market: Market, day: int, installs: float) -> tuple[F64, F64]:
    """Spend in units of each campaign's currency, and installs billed, on a day: the price of what was credited,
    fraud included, give or take the noise of auctions."""
    rng = generator("spend", market.salt, day)
    billed = installs * market.credited_share * market.pace(day)[:-1]
    prices = np.array([c.cpi for c in market.campaigns])
    spend = billed * prices * market.dearness(day) * np.exp(0.08 * rng.normal(size=len(prices)))
    return spend, np.where(market.dearness(day) > 0, billed, 0.0)  # installs that are lost are billed all the same


def draw_costs(market: Market, day: int, installs: float) -> CostRows:
    """The statements that arrive on a world day. The first is some percent short, later ones approach the truth."""
    parts: list[list[I64]] = []
    for statement, delay in enumerate(STATEMENTS):
        spend_day = day - delay
        if spend_day < 0:
            continue
        rng = generator("statement", market.salt, spend_day, statement)
        spend, billed = true_spend(market, spend_day, installs)
        n = len(spend)
        near = (rng.uniform(0.90, 1.01, n), rng.uniform(0.985, 1.005, n), np.ones(n))[statement]
        restates = (np.full(n, True), rng.random(n) < 0.6, rng.random(n) < 0.35)[statement]
        per_install = np.array([c.clicks_per_install for c in market.campaigns])
        per_click = np.array([c.impressions_per_click for c in market.campaigns])
        reported = generator("counts", market.salt, spend_day).poisson(billed)
        clicks = (billed * per_install * near).astype(np.int64)
        rows = np.flatnonzero(restates)
        columns = (
            rows, np.full(n, spend_day)[rows], np.full(n, statement)[rows],
            (spend * near * 100).astype(np.int64)[rows] * 10_000,
            (clicks * per_click).astype(np.int64)[rows], clicks[rows], reported[rows].astype(np.int64),
        )  # fmt: skip
        parts.append([np.asarray(c, dtype=np.int64) for c in columns])
    if not parts:
        empty = np.zeros(0, dtype=np.int64)
        return CostRows(empty, empty, empty, empty, empty, empty, empty)
    return CostRows(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def draw_postbacks(market: Market, cohort: Cohort) -> Postbacks:
    """SKAN postbacks of a cohort, up to three per install. They name no person; the value stands for early quality."""
    rng = generator("skan", market.salt, cohort.day)
    n = len(cohort)
    chosen = (cohort.source == Source.PAID) & (rng.random(n) < 0.30) & market.is_ios
    columns: list[list[I64]] = []
    quality = cohort.people.engagement + 2.0 * (cohort.people.pay_rate > 0)
    for sequence, (share, low, high) in enumerate(((1.0, 3.0, 5.0), (0.35, 8.5, 14.0), (0.15, 36.5, 41.5))):
        rows = np.flatnonzero(chosen & (rng.random(n) < share) & (cohort.people.lifetime >= (0, 3, 8)[sequence]))
        arrived = cohort.people.install_ms[rows] + (rng.uniform(low, high, len(rows)) * DAY_MS).astype(np.int64)
        tier = rng.random(len(rows))
        value = np.clip((20 + 12 * quality[rows] + 3 * rng.normal(size=len(rows))), 0, 63).astype(np.int64)
        coarse = np.digitize(quality[rows], (0.3, 1.5)).astype(np.int64)
        fine = (sequence == 0) & (tier > 0.35)
        columns.append([
            arrived, cohort.campaign[rows], np.full(len(rows), sequence),
            np.where(fine, value, -1), np.where(~fine & (tier > 0.1), coarse, -1),
        ])  # fmt: skip
    return Postbacks(*(np.concatenate(column) for column in zip(*columns, strict=True)))
