"""Who advertises what, where and how well: apps, partners, campaigns, sites, and the mix of installs and of fraud.

Tables and what follows from them for one app; nothing here draws a person or makes a record.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Final

import numpy as np

from simulator.keys import salt_of
from simulator.text import F64, I64, mix

if TYPE_CHECKING:
    from simulator.incidents import Incident


class Source(IntEnum):
    """What an install is owed to."""

    ORGANIC = 0
    PAID = 1
    FAKE = 2


class Method(IntEnum):
    """How the touch that caused an install can be found; a smaller number is the stronger proof."""

    NONE = 0
    CLICK_ID = 1
    REFERRER = 2
    AD_ID = 3
    VENDOR_ID = 4
    FINGERPRINT = 5


class Fraud(IntEnum):
    """What was done to claim an install."""

    NONE = 0
    CLICK_INJECTION = 1
    CLICK_FLOODING = 2
    SDK_SPOOFING = 3
    DEVICE_FARM = 4
    DUPLICATE_CLICKS = 5


@dataclass(frozen=True, slots=True)
class AppSpec:
    """One app. `share` is its part of all installs."""

    app_id: str
    platform: str
    time_zone: str
    currency: str
    share: float


@dataclass(frozen=True, slots=True)
class Campaign:
    """One campaign.

    `share`: part of the app's installs; `engagement` and `spend`: shift of its users' latent quality in standard
    deviations; `cpi`: price of an install in `currency`; `clicks_per_install` and `impressions_per_click`: what the
    partner reports; `methods`: weights of click id, referrer, ad id, vendor id, fingerprint; `view_share`: part of the
    installs by ad id that come from an impression; `log_weight`: its part of the touch records that led nowhere.
    """

    campaign_id: str
    name: str
    partner: str
    share: float
    engagement: float
    spend: float
    cpi: float
    clicks_per_install: float
    impressions_per_click: float
    methods: tuple[float, float, float, float, float]
    view_share: float = 0.25
    log_weight: float = 1.0
    cost_model: str = "cpi"
    currency: str = "USD"
    time_zone: str = "UTC"


APPS: Final = (
    AppSpec("puzzle.ios", "ios", "America/New_York", "USD", 0.42),
    AppSpec("puzzle.android", "android", "Europe/Berlin", "EUR", 0.58),
)

_IOS = (0.40, 0.0, 0.35, 0.0, 0.25)
_SEARCH = (0.85, 0.0, 0.0, 0.0, 0.15)
_PLAY = (0.0, 0.62, 0.32, 0.0, 0.06)
_OWN_IOS = (0.1, 0.0, 0.0, 0.9, 0.0)
_OWN_PLAY = (0.0, 0.15, 0.0, 0.85, 0.0)
_IN_NY = ("cpi", "USD", "America/New_York")
_CPM_EUR = ("cpm", "EUR", "Europe/Berlin")
_CPI_EUR = ("cpi", "EUR", "Europe/Berlin")

CAMPAIGNS: Final = {
    "puzzle.ios": (
        Campaign("is-brand", "iOS Search Brand", "searchly", 0.06, 0.50, 0.5, 3.40, 12, 9, _SEARCH, 0, 0.4, "cpc"),
        Campaign("is-generic", "iOS Search Generic", "searchly", 0.08, 0.15, 0.2, 2.60, 25, 14, _SEARCH, 0, 0.8, "cpc"),
        Campaign("io-alike", "iOS Social Alike", "socialink", 0.12, 0.30, 0.4, 3.00, 40, 60, _IOS, 0.25, 1.0, *_IN_NY),
        Campaign("io-broad", "iOS Social Broad", "socialink", 0.12, -0.10, 0.0, 1.70, 60, 70, _IOS, 0.3, 1.4, *_IN_NY),
        Campaign("iv-reward", "iOS Video Reward", "vidrush", 0.11, -0.40, -0.5, 0.90, 90, 25, _IOS, 0.3, 1.6),
        Campaign(
            "id-prosp", "iOS DSP Finder", "adwave", 0.06, -0.15, -0.1, 1.35, 300, 90, _IOS, 0.35, 2.0, *_CPM_EUR,
        ),
        Campaign("ia-affil", "iOS Affiliate", "clickmill", 0.03, -0.45, -0.4, 1.10, 500, 4, _IOS, 0, 1.2),
        Campaign("ix-cross", "iOS Cross Promo", "crosspromo", 0.05, 0.35, 0.1, 0.35, 18, 30, _OWN_IOS, 0, 0.6),
    ),
    "puzzle.android": (
        Campaign("as-search", "Android Search", "searchly", 0.09, 0.25, 0.2, 1.60, 20, 12, _PLAY, 0, 0.9, "cpc"),
        Campaign(
            "ao-alike", "Android Social Alike", "socialink", 0.11, 0.25, 0.3, 1.50, 45, 60, _PLAY, 0.25, 1.0, *_IN_NY,
        ),
        Campaign(
            "ao-broad", "Android Social Broad", "socialink", 0.12, -0.10, -0.1, 0.80, 70, 70, _PLAY, 0.3, 1.4, *_IN_NY,
        ),
        Campaign("av-reward", "Android Video Reward", "vidrush", 0.12, -0.45, -0.6, 0.45, 100, 25, _PLAY, 0.3, 1.6),
        Campaign(
            "ad-prosp", "Android DSP Finder", "adwave", 0.06, -0.15, -0.1, 0.70, 300, 90, _PLAY, 0.35, 1.6, *_CPM_EUR,
        ),
        Campaign(
            "ad-scale", "Android DSP Scale", "adwave", 0.02, -0.30, -0.3, 0.60, 4000, 8, _PLAY, 0.1, 2.2, *_CPI_EUR,
        ),
        Campaign("aa-affil", "Android Affiliate", "clickmill", 0.03, -0.45, -0.5, 0.65, 700, 4, _PLAY, 0, 1.4),
        Campaign("ax-cross", "Android Cross Promo", "crosspromo", 0.05, 0.30, 0.0, 0.20, 18, 30, _OWN_PLAY, 0, 0.6),
    ),
}  # fmt: skip
ORGANIC_SHARE: Final = {"puzzle.ios": 0.29, "puzzle.android": 0.28}
ORGANIC_ENGAGEMENT: Final = 0.25

# (fraud, true source, campaign that gains, share of all installs). A PAID victim belongs to any other campaign.
FRAUD: Final = {
    "puzzle.ios": (
        (Fraud.CLICK_FLOODING, Source.ORGANIC, "id-prosp", 0.020),
        (Fraud.SDK_SPOOFING, Source.FAKE, "ia-affil", 0.012),
        (Fraud.DEVICE_FARM, Source.FAKE, "ia-affil", 0.018),
        (Fraud.DUPLICATE_CLICKS, Source.PAID, "iv-reward", 0.010),
    ),
    "puzzle.android": (
        (Fraud.CLICK_INJECTION, Source.ORGANIC, "aa-affil", 0.020),
        (Fraud.CLICK_INJECTION, Source.PAID, "aa-affil", 0.010),
        (Fraud.CLICK_FLOODING, Source.ORGANIC, "ad-scale", 0.035),
        (Fraud.SDK_SPOOFING, Source.FAKE, "aa-affil", 0.018),
        (Fraud.DEVICE_FARM, Source.FAKE, "aa-affil", 0.018),
        (Fraud.DUPLICATE_CLICKS, Source.PAID, "av-reward", 0.012),
    ),
}

SITES: Final = 24  # per partner; honest traffic falls off from site 0 upwards
FRAUD_SITES: Final = 4  # the last ones of a partner; fraud comes from there, and only a little else
ADSETS: Final = 2
CREATIVES: Final = 3


@dataclass(frozen=True, slots=True)
class Stream:
    """A sort of install: who brought it, who claims it, and how often it occurs among the app's installs."""

    source: Source
    fraud: Fraud
    campaign: int  # true campaign; -1 for none; -2 for any that has no fraud of its own
    thief: int  # campaign that gains by fraud; -1 for none
    share: float


class Market:
    """The market of one app. Campaign indices are places in `campaigns`."""

    def __init__(self, index: int, seed: int, incidents: tuple[Incident, ...] = ()) -> None:
        self.index = index
        self.incidents = incidents
        self.app = APPS[index]
        self.campaigns = CAMPAIGNS[self.app.app_id]
        self.is_ios = self.app.platform == "ios"
        self.salt = salt_of("app", seed, index)

    @cached_property
    def streams(self) -> tuple[Stream, ...]:
        """All sorts of install; their shares sum to 1."""
        names = [c.campaign_id for c in self.campaigns]
        found = [Stream(Source.ORGANIC, Fraud.NONE, -1, -1, ORGANIC_SHARE[self.app.app_id])]
        found += [Stream(Source.PAID, Fraud.NONE, i, -1, c.share) for i, c in enumerate(self.campaigns)]
        for fraud, source, gainer, share in FRAUD[self.app.app_id]:
            thief = names.index(gainer)
            own = thief if fraud is Fraud.DUPLICATE_CLICKS else -2
            found.append(Stream(source, fraud, own if source is Source.PAID else -1, thief, share))
        total = sum(s.share for s in found)
        return tuple(Stream(s.source, s.fraud, s.campaign, s.thief, s.share / total) for s in found)

    @cached_property
    def stream_share(self) -> F64:
        return np.array([s.share for s in self.streams])

    @cached_property
    def share(self) -> F64:
        """Part of the app's installs per campaign, without fraud."""
        return np.array([c.share for c in self.campaigns])

    @cached_property
    def credited_share(self) -> F64:
        """Part of the app's installs each campaign will claim, fraud included: what the partner bills."""
        out = np.zeros(len(self.campaigns))
        for stream in self.streams:
            if stream.thief >= 0 or stream.campaign >= 0:
                out[stream.thief if stream.thief >= 0 else stream.campaign] += stream.share
        return out

    @cached_property
    def engagement(self) -> F64:
        return np.array([c.engagement for c in self.campaigns] + [ORGANIC_ENGAGEMENT])  # index -1 is organic

    @cached_property
    def spend(self) -> F64:
        return np.array([c.spend for c in self.campaigns] + [0.1])

    @cached_property
    def methods(self) -> F64:
        """Weights of Method 1..5 per campaign."""
        return np.array([c.methods for c in self.campaigns])

    @cached_property
    def log_weight(self) -> F64:
        return np.array([c.log_weight * (c.share + 0.02) for c in self.campaigns])

    @cached_property
    def site_weight(self) -> F64:
        """Weight of each site within any campaign for honest traffic."""
        weight = 1.0 / (np.arange(SITES) + 2.0)
        weight[-FRAUD_SITES:] *= 0.3
        return np.asarray(weight, dtype=np.float64)

    @cached_property
    def creative_table(self) -> list[str]:
        """JSON of partner, campaign, ad set and creative; row = (campaign x ADSETS + ad set) x CREATIVES + creative."""
        return [
            f'"partner":"{c.partner}","campaign_id":"{c.campaign_id}","campaign_name":"{c.name}",'
            f'"adset_id":"{c.campaign_id}-s{a}","creative_id":"{c.campaign_id}-s{a}-c{k}","cost_model":"{c.cost_model}"'
            for c in self.campaigns
            for a in range(ADSETS)
            for k in range(CREATIVES)
        ]

    @cached_property
    def site_table(self) -> list[str]:
        """Site ids; row = campaign x SITES + site."""
        return [f"{c.partner[:4]}-{s:03d}" for c in self.campaigns for s in range(SITES)]

    @cached_property
    def utm_table(self) -> list[str]:
        """Campaign part of a Play referrer."""
        return [f"utm_source={c.partner}&utm_medium=cpc&utm_campaign={c.campaign_id}" for c in self.campaigns]

    def pace(self, day: int) -> F64:
        """How hard each campaign, and last organic, runs on a day; 1 on average.

        Weekly budgets move by about a quarter and days by 15 %, so that spend varies enough to learn from.
        """
        ids = np.arange(len(self.campaigns) + 1, dtype=np.uint64)
        week = _unit(mix(ids + np.uint64((day // 7) * 100_000), self.salt ^ 0x5EED))
        daily = _unit(mix(ids + np.uint64(day * 100_000), self.salt ^ 0xDA11))
        out = (0.75 + 0.5 * week) * (0.85 + 0.3 * daily) * self.weekday(day)
        out[-1] = (0.95 + 0.1 * daily[-1]) * self.weekday(day)
        return np.asarray(out, dtype=np.float64)

    def brought(self, day: int) -> F64:
        """Part of its usual installs that each campaign, and last organic, brings on a day: 1 without incidents."""
        factors = [prod(i.installs(c.campaign_id, day) for i in self.incidents) for c in self.campaigns]
        return np.array([*factors, 1.0])

    def dearness(self, day: int) -> F64:
        """What each campaign costs on a day by its usual cost: 1 without incidents."""
        return np.array([float(prod(i.cost(c.campaign_id, day) for i in self.incidents)) for c in self.campaigns])

    @staticmethod
    def weekday(day: int) -> float:
        """More installs on two days of seven."""
        return 1.18 if day % 7 in (2, 3) else 0.928


def _unit(keys: np.ndarray[tuple[int, ...], np.dtype[np.uint64]]) -> F64:
    return np.asarray((keys >> np.uint64(11)) * 2.0**-53, dtype=np.float64)


def creative_rows(campaign: I64, choice: I64) -> I64:
    """Rows of `creative_table`; `choice` in 0..ADSETS x CREATIVES - 1."""
    return campaign * (ADSETS * CREATIVES) + choice
