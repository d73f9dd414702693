"""Planted incidents: what goes wrong with a campaign from a day on, so that what watches the business can be tested.

An incident changes how much a campaign brings or costs; the plan of the other campaigns stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from simulator.market import CAMPAIGNS


class Kind(StrEnum):
    """STOPPED: no installs, no cost. LOST: 60 % of the installs are missing, but the network counts and bills them all.
    DEARER: the price of an install doubles."""

    STOPPED = "stopped"
    LOST = "lost"
    DEARER = "dearer"


_INSTALLS: Final = {Kind.STOPPED: 0.0, Kind.LOST: 0.4, Kind.DEARER: 1.0}
_COST: Final = {Kind.STOPPED: 0.0, Kind.LOST: 1.0, Kind.DEARER: 2.0}


@dataclass(frozen=True, slots=True)
class Incident:
    """`first_day` and `days` count days of the world, 0 is its first."""

    kind: Kind
    campaign_id: str
    first_day: int
    days: int = 10_000

    def __post_init__(self) -> None:
        known = [campaign.campaign_id for campaigns in CAMPAIGNS.values() for campaign in campaigns]
        if self.campaign_id not in known:
            raise ValueError(f"there is no campaign {self.campaign_id}; there are {', '.join(known)}")
        if self.first_day < 0 or self.days < 1:
            raise ValueError("an incident begins on day 0 or later and takes at least a day")

    @classmethod
    def parse(cls, text: str) -> Self:
        """KIND:CAMPAIGN:DAY or KIND:CAMPAIGN:DAY:DAYS; ValueError says what is wrong."""
        parts = text.split(":")
        kind, numbers = parts[0], parts[2:]
        if kind not in list(Kind) or len(numbers) not in (1, 2) or not all(number.isdigit() for number in numbers):
            kinds = ", ".join(Kind)
            raise ValueError(f"{text} is not KIND:CAMPAIGN:DAY or KIND:CAMPAIGN:DAY:DAYS with a kind of {kinds}")
        return cls(Kind(kind), parts[1], *map(int, numbers))

    def __str__(self) -> str:
        return f"{self.kind}:{self.campaign_id}:{self.first_day}:{self.days}"

    def installs(self, campaign_id: str, day: int) -> float:
        """By how much it changes the installs of a campaign on a day."""
        return _INSTALLS[self.kind] if self._covers(campaign_id, day) else 1.0

    def cost(self, campaign_id: str, day: int) -> float:
        """By how much it changes what a campaign costs on a day."""
        return _COST[self.kind] if self._covers(campaign_id, day) else 1.0

    def _covers(self, campaign_id: str, day: int) -> bool:
        return campaign_id == self.campaign_id and 0 <= day - self.first_day < self.days
