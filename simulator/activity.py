"""What living people do on one day: sessions, in-app events, purchases and refunds, ads seen, uninstalls.

Rows of numbers only; `records` turns them into JSON. Everything here is a function of the people, the day and a
random generator of that day.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from simulator.people import GENUINE, SPOOFED, People
from simulator.places import PLACE_AD_VALUE, PLACE_CURRENCY, PRICE_MICROS, USD_RATE, draw_times
from simulator.text import DAY_MS, F64, I64, Bools

SECOND: Final = 1000
LATE_SHARE: Final = 0.012  # of active people were offline on earlier days and send now
AD_TYPES: Final = ("rewarded", "interstitial", "banner")
_AD_WEIGHT: Final = np.array([0.30, 0.45, 0.25])
_AD_USD: Final = np.array([0.070, 0.035, 0.005])  # median worth in the United States


@dataclass(frozen=True)
class Sessions:
    """One row a session; `who` are rows of the people given. `order` counts the person's sessions of the day."""

    who: I64
    at_ms: I64
    sent_ms: I64
    length_s: I64
    order: I64
    delay_ms: I64  # from what happens in it to its sending, beyond the usual


@dataclass(frozen=True)
class Events:
    """One row an in-app event without money; `session` are rows of the sessions."""

    session: I64
    at_ms: I64
    name: I64  # 0 tutorial_complete, 1 level_complete
    level: I64


@dataclass(frozen=True)
class Purchases:
    """One row a purchase or refund; refunds come last and name the row of their purchase in `refund_of` (else -1)."""

    session: I64
    at_ms: I64
    product: I64
    currency: I64
    micros: I64
    is_valid: Bools
    refund_of: I64


@dataclass(frozen=True)
class Ads:
    """One row an ad impression that paid, in micros of USD."""

    session: I64
    at_ms: I64
    micros: I64
    kind: I64


@dataclass(frozen=True)
class DayOfPlay:
    """All that some people did on a day."""

    sessions: Sessions
    events: Events
    purchases: Purchases
    ads: Ads


def play(rng: np.random.Generator, people: People, day: int, start_ms: int) -> DayOfPlay:
    """What the people do on a world day. The day of the install begins with a session at the first open."""
    age = day - people.day
    left = (people.lifetime - age + 1) / (0.35 * people.lifetime + 1.0)
    vigour = np.clip(left, 0.25, 1.0)  # play fades before it ends, so that churn can be seen coming
    active = np.flatnonzero(
        (age >= 0) & (age <= people.lifetime) & ((age == 0) | (rng.random(len(people)) < people.activity * vigour))
    )
    sessions = _sessions(rng, people, active, age, vigour, day, start_ms)
    events = _events(rng, people, sessions, age)
    purchases = _purchases(rng, people, sessions, age)
    return DayOfPlay(sessions, events, purchases, _ads(rng, people, sessions))


def uninstalls(people: People, day: int) -> I64:
    """Rows of the people whose uninstall is noticed on the day."""
    return np.flatnonzero(people.uninstall_day == day)


def withdrawals(people: People, day: int) -> I64:
    """Rows of the people who withdraw consent on the day."""
    return np.flatnonzero(people.withdraw_day == day)


def _sessions(
    rng: np.random.Generator, people: People, active: I64, age: I64, vigour: F64, day: int, start_ms: int
) -> Sessions:
    count = 1 + rng.poisson(people.sessions[active] * vigour[active])
    who = np.repeat(active, count)
    order = np.arange(len(who)) - np.repeat(np.cumsum(count) - count, count)
    midnight = start_ms + day * DAY_MS
    at = midnight + draw_times(rng, people.place[who])
    first_day = age[who] == 0
    opened = people.install_ms[who]
    rest = midnight + DAY_MS - opened  # of the day of the install
    at = np.where(
        first_day, opened + 2 * SECOND + (rng.random(len(who)) * (rest - 3 * SECOND).clip(0)).astype(np.int64), at
    )
    at = np.where(first_day & (order == 0), opened + 400, at)
    length = np.exp(5.0 + 0.25 * people.engagement[who] + 0.7 * rng.normal(size=len(who))).clip(5, 7200)
    length = np.where(people.nature[who] == SPOOFED, 60, length).astype(np.int64)

    offline = np.zeros(len(people), dtype=np.int64)  # days since these sessions were played
    late = active[(rng.random(len(active)) < LATE_SHARE) & (age[active] >= 4) & (people.nature[active] == GENUINE)]
    offline[late] = rng.integers(1, 4, len(late))
    delay = offline[who] * DAY_MS
    flush = (rng.exponential(4.0, len(who)) * SECOND).astype(np.int64) + 300
    return Sessions(
        who=who, at_ms=at - delay, sent_ms=at + length * SECOND + flush, length_s=length, order=order, delay_ms=delay
    )  # fmt: skip


def _events(rng: np.random.Generator, people: People, sessions: Sessions, age: I64) -> Events:
    first = np.flatnonzero((age[sessions.who] == 0) & (sessions.order == 0))
    keen = 1.0 / (1.0 + np.exp(-0.6 - 0.9 * people.engagement[sessions.who[first]]))
    tutorial = first[rng.random(len(first)) < keen]
    level = np.repeat(np.arange(len(sessions.who)), rng.poisson(np.minimum(sessions.length_s / 500.0, 3.0)))
    row = np.concatenate([tutorial, level])
    into = rng.random(len(row)) * sessions.length_s[row] * SECOND
    reached = 1 + (age[sessions.who[row]] * 3 + rng.integers(0, 6, len(row)))
    return Events(
        session=row,
        at_ms=sessions.at_ms[row] + into.astype(np.int64),
        name=np.repeat([0, 1], [len(tutorial), len(level)]),
        level=reached,
    )


def _purchases(rng: np.random.Generator, people: People, sessions: Sessions, age: I64) -> Purchases:
    opener = np.flatnonzero((sessions.order == 0) & (people.pay_rate[sessions.who] > 0))
    eager = np.where(age[sessions.who[opener]] == 0, 1.4, 1.0)
    bought = np.repeat(opener, rng.poisson(people.pay_rate[sessions.who[opener]] * eager))
    who = sessions.who[bought]
    currency = PLACE_CURRENCY[people.place[who]]
    wish = np.exp(people.price[who] + 0.45 * rng.normal(size=len(who)))  # what they would like to spend, in USD
    tiers = PRICE_MICROS[currency] * USD_RATE[currency][:, None] / 1e6
    product = (wish[:, None] > tiers * 1.35).sum(axis=1).clip(0, tiers.shape[1] - 1)
    micros = PRICE_MICROS[currency, product]
    at = sessions.at_ms[bought] + (rng.random(len(who)) * sessions.length_s[bought] * SECOND).astype(np.int64)
    valid = people.nature[who] != SPOOFED
    refunded = np.flatnonzero(valid & (rng.random(len(who)) < 0.03))
    later = at[refunded] + rng.integers(600, 7_200, len(refunded)) * SECOND
    return Purchases(
        session=np.concatenate([bought, bought[refunded]]),
        at_ms=np.concatenate([at, later]),
        product=np.concatenate([product, product[refunded]]),
        currency=np.concatenate([currency, currency[refunded]]),
        micros=np.concatenate([micros, -micros[refunded]]),
        is_valid=np.concatenate([valid, valid[refunded]]),
        refund_of=np.concatenate([np.full(len(who), -1), refunded]),
    )


def _ads(rng: np.random.Generator, people: People, sessions: Sessions) -> Ads:
    row = np.repeat(np.arange(len(sessions.who)), rng.poisson(people.ads[sessions.who]))
    who = sessions.who[row]
    kind = np.searchsorted(np.cumsum(_AD_WEIGHT), rng.random(len(row)), side="right").clip(0, 2)
    usd = _AD_USD[kind] * PLACE_AD_VALUE[people.place[who]] * np.exp(0.6 * rng.normal(size=len(row)))
    into = rng.random(len(row)) * sessions.length_s[row] * SECOND
    return Ads(
        session=row,
        at_ms=sessions.at_ms[row] + into.astype(np.int64),
        micros=np.maximum((usd * 1e6).astype(np.int64), 1),
        kind=kind.astype(np.int64),
    )
