"""The touches that lead to, claim, or follow the installs of one day, and which of them a last-touch rule would choose.

Touches of people who never install are in `crowd`. A touch happens up to ten days before its install and up to five
after it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final, Self

import numpy as np

from simulator.keys import CLICK_ID, record_keys
from simulator.market import ADSETS, CREATIVES, FRAUD_SITES, SITES, Fraud, Market, Method, Source
from simulator.places import pick
from simulator.text import DAY_MS, I64, U64, Bools, mix

LOOKBACK_DAYS: Final = 10  # no touch is longer before its install
CLICK_WINDOW_MS: Final = 7 * DAY_MS
VIEW_WINDOW_MS: Final = DAY_MS
MINUTE: Final = 60_000
HOUR: Final = 3_600_000


@dataclass(frozen=True)
class Touches:
    """Columns of equal length, one row a touch.

    key: of the record. owner: key of the device, which makes its ids. address: key of its IP address. click: key of the
    click id (clicks only). creative: choice within the campaign.
    """

    key: U64
    owner: U64
    address: U64
    click: U64
    at_ms: I64
    sent_ms: I64
    is_click: Bools
    has_ad_id: Bools
    has_vendor_id: Bools
    campaign: I64
    creative: I64
    site: I64
    place: I64
    device: I64

    def __len__(self) -> int:
        return len(self.key)

    def take(self, index: Any) -> Self:
        """Rows by mask, slice or index."""
        return type(self)(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    @classmethod
    def stack(cls, parts: list[Self]) -> Self:
        """The parts one below the other."""
        return cls(**{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)})


@dataclass(frozen=True)
class Travellers:
    """What journeys need to know of the installs of a day; columns of equal length, one row an install."""

    owner: U64
    address: U64
    install_ms: I64
    begin_ms: I64  # download began
    place: I64
    device: I64
    source: I64
    campaign: I64
    thief: I64
    fraud: I64
    method: I64
    is_click: Bools
    gap_ms: I64  # from the main touch to the install
    has_ad_id: Bools
    is_denied: Bools  # refused that data go to ad partners


@dataclass(frozen=True)
class Outcome:
    """Per install: rows of the touch table, -1 for none.

    true: the touch that caused it. fraud: the touch that claims it wrongly. expected: the winner of last touch with
    its usual rules (clicks 7 days, views 24 hours, by click id, referrer, ad id or vendor id; no click after the Play
    download began, none against a refused consent; no other fraud rule), found by `expected_method`. link: key of the
    click the install names as click id or in its referrer, 0 for none.
    """

    true: I64
    fraud: I64
    expected: I64
    expected_method: I64
    link: U64
    link_ms: I64

    def take(self, rows: I64) -> Self:
        """The outcome of some of the installs."""
        return type(self)(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


def click_gaps(rng: np.random.Generator, rows: int) -> I64:
    """From click to first open, in milliseconds: four of five within minutes, the rest hours to days."""
    quick = np.exp(np.log(4.0) + 1.0 * rng.normal(size=rows))
    slow = np.exp(np.log(300.0) + 1.3 * rng.normal(size=rows))
    minutes = np.where(rng.random(rows) < 0.79, quick, slow)
    return np.asarray(np.clip(minutes * MINUTE, 25_000, 6.9 * DAY_MS), dtype=np.int64)


def view_gaps(rng: np.random.Generator, rows: int) -> I64:
    """From impression to first open, within 24 hours."""
    return np.asarray(
        np.clip(np.exp(np.log(4.0) + 0.9 * rng.normal(size=rows)) * HOUR, MINUTE, 23.8 * HOUR), dtype=np.int64
    )


class _Table:
    """Collects touches as (install row, columns), with what is the same for every touch of an install filled in."""

    def __init__(self, people: Travellers, rng: np.random.Generator, start_ms: int) -> None:
        self.people, self.rng, self.start_ms = people, rng, start_ms
        self.rows: list[tuple[I64, I64, Bools, I64, I64, Bools, Bools, Bools]] = []
        self.count = 0

    def add(
        self, who: I64, at_ms: I64, is_click: Any, campaign: I64, site: I64, ad_id: Any, vendor_id: Any, linked: Any
    ) -> I64:
        """Add one touch per row of `who`; returns their rows in the table. Touches before the world began are
        moved into it, so that no install misses its cause."""
        early = at_ms < self.start_ms
        inside = self.start_ms + (self.rng.random(len(who)) * (self.people.install_ms[who] - self.start_ms) * 0.9)
        at_ms = np.where(early, inside.astype(np.int64), at_ms)
        n = len(who)
        flags = [np.broadcast_to(np.asarray(x, dtype=bool), (n,)) for x in (is_click, ad_id, vendor_id, linked)]
        self.rows.append((who, at_ms, flags[0], campaign, site, flags[1], flags[2], flags[3]))
        self.count += n
        return np.arange(self.count - n, self.count)


def draw_journeys(
    rng: np.random.Generator, market: Market, people: Travellers, day: int, start_ms: int
) -> tuple[Touches, Outcome]:
    """All touches of the installs of a day, and what became of them."""
    n = len(people.owner)
    table = _Table(people, rng, start_ms)
    true, fraud = np.full(n, -1, dtype=np.int64), np.full(n, -1, dtype=np.int64)
    linked_by = np.isin(people.method, (Method.CLICK_ID, Method.REFERRER))

    paid = np.flatnonzero(people.source == Source.PAID)
    by_ad = people.method[paid] == Method.AD_ID
    shares_ad = people.has_ad_id[paid] & (by_ad | (linked_by[paid] & (rng.random(len(paid)) < 0.6)))
    true[paid] = table.add(
        paid, people.install_ms[paid] - people.gap_ms[paid], people.is_click[paid], people.campaign[paid],
        pick(rng, market.site_weight, len(paid)), shares_ad, people.method[paid] == Method.VENDOR_ID, linked_by[paid],
    )  # fmt: skip
    _add_assists(rng, market, table, people, paid)
    _add_strays(rng, market, table, people)
    _add_fraud(rng, table, people, true, fraud)

    who, at_ms, is_click, campaign, site, ad_id, vendor_id, linked = (
        np.concatenate(column) for column in zip(*table.rows, strict=True)
    )
    key = record_keys("click", day, len(who), market.salt)
    click = mix(key, CLICK_ID)
    repeats = (people.fraud[who] == Fraud.DUPLICATE_CLICKS) & linked  # the same click id again and again
    click = np.where(repeats, click[np.maximum(true[who], 0)], click)
    late = np.isin(campaign, _late_campaigns(market)) & (rng.random(len(who)) < 0.08)
    delay = np.where(late, rng.uniform(0.5, 47.0, len(who)) * HOUR, 200 + 3000 * rng.exponential(size=len(who)))
    touches = Touches(
        key=key, owner=people.owner[who], address=people.address[who], click=click, at_ms=at_ms,
        sent_ms=at_ms + delay.astype(np.int64), is_click=is_click, has_ad_id=ad_id, has_vendor_id=vendor_id,
        campaign=campaign, creative=rng.integers(0, ADSETS * CREATIVES, len(who)), site=site,
        place=people.place[who], device=people.device[who],
    )  # fmt: skip
    link, link_ms = _links(rng, people, touches, true, fraud, linked_by)
    expected, method = _last_touch(people, touches, who, link, market.is_ios)
    return touches, Outcome(true, fraud, expected, method, link, link_ms)


def _add_assists(rng: np.random.Generator, market: Market, table: _Table, people: Travellers, paid: I64) -> None:
    """Earlier touches by ad id of people who came through an ad; they never outrank the true touch."""
    ready = paid[people.has_ad_id[paid] & (people.method[paid] != Method.FINGERPRINT)]
    who = np.repeat(ready, rng.poisson(0.9, len(ready)))
    before = people.gap_ms[who] + np.exp(np.log(20 * HOUR) + 1.2 * rng.normal(size=len(who)))
    keep = before < 9.9 * DAY_MS
    who, before = who[keep], before[keep].astype(np.int64)
    at = people.install_ms[who] - before
    keep = at >= table.start_ms
    who, at = who[keep], at[keep]
    is_click = people.is_click[who] & (rng.random(len(who)) < 0.4)
    campaign = pick(rng, market.share, len(who))
    table.add(who, at, is_click, campaign, pick(rng, market.site_weight, len(who)), True, False, False)


def _add_strays(rng: np.random.Generator, market: Market, table: _Table, people: Travellers) -> None:
    """Touches that must not win: too old before organic installs, or after the install."""
    organic = (people.source == Source.ORGANIC) & (people.fraud == Fraud.NONE) & people.has_ad_id
    roll = rng.random(len(organic))
    old_click, old_view = np.flatnonzero(organic & (roll < 0.06)), np.flatnonzero(organic & (roll > 0.90))
    later = np.flatnonzero(people.has_ad_id & (people.source != Source.FAKE) & (rng.random(len(organic)) < 0.04))
    for who, is_click, offset in (
        (old_click, True, -rng.uniform(7.05, 9.8, len(old_click)) * DAY_MS),
        (old_view, False, -rng.uniform(25, 100, len(old_view)) * HOUR),
        (later, False, rng.uniform(1, 110, len(later)) * HOUR),
    ):
        at = people.install_ms[who] + offset.astype(np.int64)
        who, at = who[at >= table.start_ms], at[at >= table.start_ms]
        campaign, site = pick(rng, market.share, len(who)), pick(rng, market.site_weight, len(who))
        table.add(who, at, is_click, campaign, site, True, False, False)


def _add_fraud(rng: np.random.Generator, table: _Table, people: Travellers, true: I64, fraud: I64) -> None:
    def rows(kind: Fraud) -> tuple[I64, I64, I64]:
        who = np.flatnonzero(people.fraud == kind)
        return who, people.install_ms[who], SITES - 1 - rng.integers(0, FRAUD_SITES, len(who))

    who, opened, site = rows(Fraud.CLICK_INJECTION)  # after the download began, seconds before the first open
    at = np.maximum(opened - rng.integers(1_000, 9_000, len(who)), people.begin_ms[who] + 500)
    fraud[who] = table.add(who, at, True, people.thief[who], site, True, False, True)

    who, opened, site = rows(Fraud.CLICK_FLOODING)  # clicks at any time, in the hope of a later install
    for extra in range(4):
        some = np.arange(len(who)) if extra == 0 else np.flatnonzero(rng.random(len(who)) < 0.5)
        at = opened[some] - (rng.uniform(1.5, 165, len(some)) * HOUR).astype(np.int64)
        added = table.add(who[some], at, True, people.thief[who[some]], site[some], True, False, False)
        if extra == 0:
            fraud[who] = added

    who, opened, site = rows(Fraud.SDK_SPOOFING)
    gap = np.maximum(np.exp(np.log(2 * MINUTE) + 0.4 * rng.normal(size=len(who))), 25_000).astype(np.int64)
    fraud[who] = table.add(who, opened - gap, True, people.thief[who], site, False, False, True)

    who, opened, site = rows(Fraud.DEVICE_FARM)  # the same steps over and over: hardly any spread
    gap = (95_000 + 6_000 * rng.normal(size=len(who))).astype(np.int64)
    fraud[who] = table.add(who, opened - gap, True, people.thief[who], site, False, False, True)

    who, opened, site = rows(Fraud.DUPLICATE_CLICKS)
    who_again = np.repeat(who, rng.integers(3, 16, len(who)))
    span = np.minimum(people.gap_ms[who_again] * 0.8, 90_000)
    at = (
        people.install_ms[who_again]
        - people.gap_ms[who_again]
        + (1 + span * rng.random(len(who_again))).astype(np.int64)
    )
    sites = np.zeros(len(people.owner), dtype=np.int64)
    sites[who] = site
    table.add(who_again, at, True, people.thief[who_again], sites[who_again], people.has_ad_id[who_again], False, True)


def _links(
    rng: np.random.Generator, people: Travellers, touches: Touches, true: I64, fraud: I64, linked_by: Bools
) -> tuple[U64, I64]:
    """The click each install names, and when that click was. Injected clicks take over half of the referrers of
    organic victims; scripts and farms name their own click."""
    names = np.where(linked_by & (true >= 0), true, -1)
    own = np.isin(people.fraud, (Fraud.SDK_SPOOFING, Fraud.DEVICE_FARM))
    taken = (people.fraud == Fraud.CLICK_INJECTION) & (people.source == Source.ORGANIC) & (rng.random(len(true)) < 0.5)
    names = np.where(own | taken, fraud, names)
    link, link_ms = np.zeros(len(names), dtype=np.uint64), people.install_ms.copy()
    found = names >= 0
    link[found], link_ms[found] = touches.click[names[found]], touches.at_ms[names[found]]
    return link, link_ms


def _last_touch(people: Travellers, touches: Touches, who: I64, link: U64, is_ios: bool) -> tuple[I64, I64]:
    """Row of the winner per install and the method that finds it; clicks before views, then the latest, then the
    stronger method, then the smaller record key."""
    elapsed = people.install_ms[who] - touches.at_ms
    injected = touches.is_click & (touches.at_ms > people.begin_ms[who]) & (not is_ios)  # only Play tells the begin
    window = np.where(touches.is_click, CLICK_WINDOW_MS, VIEW_WINDOW_MS)
    by_link = touches.is_click & (link[who] != 0) & (touches.click == link[who])
    by_ad = touches.has_ad_id & people.has_ad_id[who]
    first = Method.CLICK_ID if is_ios else Method.REFERRER
    method = np.where(
        by_link, first, np.where(by_ad, Method.AD_ID, np.where(touches.has_vendor_id, Method.VENDOR_ID, 0))
    )
    inside = (elapsed >= 0) & (elapsed <= window) & ~injected
    eligible = np.flatnonzero(inside & (method > 0) & ~people.is_denied[who])
    order = eligible[
        np.lexsort((
            ~touches.key[eligible], -method[eligible], touches.at_ms[eligible], touches.is_click[eligible],
            who[eligible],
        ))
    ]  # fmt: skip
    winner, found = np.full(len(people.owner), -1, dtype=np.int64), np.zeros(len(people.owner), dtype=np.int64)
    winner[who[order]] = order  # the last assignment per install stays
    found[who[order]] = method[order]
    return winner, found


def _late_campaigns(market: Market) -> list[int]:
    """Campaigns of partners that send their logs by batch."""
    return [i for i, c in enumerate(market.campaigns) if c.partner in ("adwave", "clickmill")]
