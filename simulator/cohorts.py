"""The installs of one day of one app: who brought them, who they are, and the touches around them.

A cohort is a function of (seed, app, day, installs per day) alone, so any day can be made without the days before it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np

from simulator.journeys import HOUR, MINUTE, Outcome, Touches, Travellers, click_gaps, draw_journeys, view_gaps
from simulator.keys import ADDRESS, generator
from simulator.market import Fraud, Market, Method, Source
from simulator.people import FARMED, GENUINE, SPOOFED, People, draw_people
from simulator.places import DEVICES, PLACE_GDPR, draw_places, draw_times, pick
from simulator.text import DAY_MS, F64, I64, U64, Bools, mix

AUTHORIZED, DENIED, NOT_DETERMINED = 3, 2, 0  # places in the contract's att_status choices
FARM_BLOCKS: Final = 12  # neighbourhoods of addresses that a day's farms sit in


@dataclass(frozen=True)
class Cohort:
    """Columns of equal length, one row an install; instants in milliseconds since 1970, UTC.

    owner: key of the device. `campaign` is the true one, `thief` the one that gains by fraud, -1 for none.
    """

    day: int
    people: People
    owner: U64
    address: U64
    source: I64
    campaign: I64
    thief: I64
    fraud: I64
    method: I64
    has_ad_id: Bools
    is_denied: Bools
    att: I64
    begin_ms: I64
    is_integrity_missing: Bools
    touches: Touches
    outcome: Outcome

    def __len__(self) -> int:
        return len(self.owner)

    def take(self, rows: I64) -> Cohort:
        """Some of the installs; the touches stay whole."""
        names = [f.name for f in fields(self) if isinstance(getattr(self, f.name), np.ndarray)]
        columns = {name: getattr(self, name)[rows] for name in names}
        return replace(self, people=self.people.take(rows), outcome=self.outcome.take(rows), **columns)


def draw_cohort(market: Market, day: int, installs: float, start_ms: int) -> Cohort:
    """The installs of a world day (0 = first day, at `start_ms`); `installs` is the mean number of the app's installs a
    day before season and budgets."""
    rng = generator("cohort", market.salt, day)
    brought = market.brought(day)
    pace = market.pace(day) * brought
    speed = np.array([pace[s.thief if s.thief >= 0 else s.campaign] for s in market.streams])
    counts = rng.poisson(installs * market.stream_share * speed)
    kind = np.repeat(np.arange(len(counts)), counts)
    n = len(kind)
    source = np.array([s.source for s in market.streams], dtype=np.int64)[kind]
    fraud = np.array([s.fraud for s in market.streams], dtype=np.int64)[kind]
    thief = np.array([s.thief for s in market.streams], dtype=np.int64)[kind]
    campaign = np.array([s.campaign for s in market.streams], dtype=np.int64)[kind]
    victims = campaign == -2  # of any campaign that has no fraud of its own
    honest = np.where(np.isin(np.arange(len(market.share)), thief[victims]), 0.0, market.share * brought[:-1])
    campaign = np.where(victims, pick(rng, honest, n) if n else campaign, campaign)

    nature = np.where(fraud == Fraud.SDK_SPOOFING, SPOOFED, np.where(fraud == Fraud.DEVICE_FARM, FARMED, GENUINE))
    place = draw_places(rng, n)
    device = rng.integers(0, len(DEVICES[market.app.platform]), n)
    device = np.where(nature == FARMED, device % 2, device)
    install_ms = start_ms + day * DAY_MS + draw_times(rng, place)
    shifts = market.engagement[campaign], market.spend[campaign]
    people = draw_people(rng, day, install_ms, place, device, nature, shifts, market.is_ios)
    owner = mix(people.key, market.salt)
    address = mix(owner, ADDRESS)
    block = mix((people.key % np.uint64(FARM_BLOCKS)) + np.uint64(day), market.salt ^ ADDRESS)
    near = (block & ~np.uint64(255)) | (owner % np.uint64(250)) | np.uint64(1 << 24)
    address = np.where(nature == FARMED, near, address)

    method = _methods(rng, market, campaign, source)
    views = np.array([c.view_share for c in market.campaigns] + [0.0])[campaign]
    is_click = ~((method == Method.AD_ID) & (rng.random(n) < views) & (fraud == Fraud.NONE))
    has_ad_id, att = _privacy(rng, market, method, fraud, nature)
    gap = np.where(is_click, click_gaps(rng, n), view_gaps(rng, n))
    begin = (install_ms - _downloads(rng, gap, source == Source.FAKE)) // 1000 * 1000  # Play tells whole seconds
    is_denied = PLACE_GDPR[place] & (rng.random(n) < 0.12)
    travellers = Travellers(
        owner, address, install_ms, begin, place, device, source, campaign, thief, fraud, method, is_click, gap,
        has_ad_id, is_denied,
    )  # fmt: skip
    touches, outcome = draw_journeys(rng, market, travellers, day, start_ms)
    missing = np.where(nature == SPOOFED, rng.random(n) < 0.7, rng.random(n) < 0.04)
    return Cohort(
        day, people, owner, address, source, campaign, thief, fraud, method, has_ad_id, is_denied, att,
        begin, missing, touches, outcome,
    )  # fmt: skip


def _methods(rng: np.random.Generator, market: Market, campaign: I64, source: I64) -> I64:
    """How the true touch of each paid install can be found."""
    edges = np.cumsum(market.methods, axis=1) / np.sum(market.methods, axis=1, keepdims=True)
    drawn = (rng.random(len(campaign))[:, None] >= edges[campaign]).sum(axis=1) + 1
    return np.where(source == Source.PAID, np.minimum(drawn, Method.FINGERPRINT), Method.NONE).astype(np.int64)


def _privacy(rng: np.random.Generator, market: Market, method: I64, fraud: I64, nature: I64) -> tuple[Bools, I64]:
    """Whether the app may read the ad id, and the answer to Apple's question. Farms reset and hide their ids."""
    n = len(method)
    open_share = 0.24 if market.is_ios else 0.88
    needed = (method == Method.AD_ID) | np.isin(fraud, (Fraud.CLICK_INJECTION, Fraud.CLICK_FLOODING))
    has_ad_id = (needed | (rng.random(n) < open_share)) & (nature != FARMED)
    silent = rng.random(n) < 0.25
    return has_ad_id, np.where(has_ad_id, AUTHORIZED, np.where(silent, NOT_DETERMINED, DENIED)).astype(np.int64)


def _downloads(rng: np.random.Generator, gap: I64, is_fake: Bools) -> I64:
    """From the begin of the download to the first open: minutes, and never before the click."""
    usual: F64 = np.exp(np.log(1.5 * MINUTE) + 0.6 * rng.normal(size=len(gap)))
    slow = rng.random(len(gap)) < 0.06  # downloaded now, opened hours later
    usual = np.where(slow, usual + rng.uniform(0.5, 20, len(gap)) * HOUR, usual)
    usual = np.where(is_fake, rng.uniform(12_000, 20_000, len(gap)), usual)
    return np.asarray(np.clip(usual, 12_000, np.maximum(gap * 0.75, 12_000)), dtype=np.int64)
