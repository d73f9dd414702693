"""Touches of people who never install: most of what a network logs, honest or not.

People come back within a week, so their touches form paths without a conversion; flooders and repeated clicks are
among them.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from simulator.journeys import Touches
from simulator.keys import ADDRESS, CLICK_ID, crowd_keys
from simulator.market import ADSETS, CREATIVES, FRAUD_SITES, SITES, Market
from simulator.places import DEVICES, PLACE_WEIGHT, draw_times, pick
from simulator.text import DAY_MS, F64, I64, U64, mix

CLICK_SHARE: Final = 0.34
REPEAT_SHARE: Final = 0.02  # of the touches repeat the one before, as a click that is sent again and again
FLOOD_SHARE: Final = 0.5  # of the clicks of a campaign that floods
_FLOODERS: Final = ("ad-scale", "ia-affil", "aa-affil")
_PERSON: Final = np.uint64(1 << 62)  # keeps these people apart from those who install


def draw_crowd(
    rng: np.random.Generator, market: Market, day: int, part: int, rows: int, daily_rows: int, start_ms: int
) -> Touches:
    """`rows` touches of a day; `daily_rows`, the usual number of a day, sets how many people there are."""
    key = crowd_keys(day, rows, market.salt, part)
    crowd = max(daily_rows * 2, 10)  # people of a week; each is seen about three times
    number = rng.integers(0, crowd, rows)
    week = (day + number % 7) // 7  # weeks of different people begin on different days
    campaign = pick(rng, market.log_weight * market.pace(day)[:-1], rows)
    is_click = rng.random(rows) < CLICK_SHARE
    site = pick(rng, market.site_weight, rows)
    flooders = [i for i, c in enumerate(market.campaigns) if c.campaign_id in _FLOODERS]
    floods = is_click & np.isin(campaign, flooders) & (rng.random(rows) < FLOOD_SHARE)
    site = np.where(floods, SITES - 1 - rng.integers(0, FRAUD_SITES, rows), site)
    number = np.where(floods, number % max(crowd // 20, 1), number)  # many clicks on few devices
    owner = mix(_PERSON + (week.astype(np.uint64) << np.uint64(36)) + number.astype(np.uint64), market.salt)

    place = _of_owner(owner, PLACE_WEIGHT)
    at = start_ms + day * DAY_MS + draw_times(rng, place)
    click = mix(key, CLICK_ID)
    repeat = np.flatnonzero(rng.random(rows) < REPEAT_SHARE)
    repeat = repeat[(repeat > 0) & is_click[repeat - 1]]
    same = np.arange(rows)
    same[repeat] = repeat - 1
    at[repeat] = at[same[repeat]] + rng.integers(200, 20_000, len(repeat))
    share = 0.3 if market.is_ios else 0.85
    touches = Touches(
        key=key, owner=owner[same], address=mix(owner[same], ADDRESS), click=click[same], at_ms=at,
        sent_ms=at + 200 + (3000 * rng.exponential(size=rows)).astype(np.int64), is_click=is_click[same],
        has_ad_id=(mix(owner[same], 7) % np.uint64(100)).astype(np.int64) < share * 100,
        has_vendor_id=np.array([c.partner == "crosspromo" for c in market.campaigns])[campaign[same]],
        campaign=campaign[same], creative=rng.integers(0, ADSETS * CREATIVES, rows)[same], site=site[same],
        place=place[same], device=(mix(owner[same], 5) % np.uint64(len(DEVICES[market.app.platform]))).astype(np.int64),
    )  # fmt: skip
    return touches


def _of_owner(owner: U64, weights: F64) -> I64:
    """An index by weight that stays with the person."""
    edges = np.cumsum(weights) / np.sum(weights)
    unit = (mix(owner, 3) >> np.uint64(11)) * 2.0**-53
    return np.minimum(np.searchsorted(edges, unit, side="right"), len(weights) - 1).astype(np.int64)
