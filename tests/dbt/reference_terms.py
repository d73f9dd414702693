"""The terms in which the reference speaks: installs, conversions, candidates, decisions, credits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

from tests.dbt.rulebook import Policy, Record

# The strongest first. `rule_match_methods`, `rule_touch_types`.
METHODS = ("referrer", "click_id", "ad_id", "vendor_id", "user_id", "probabilistic")
TIERS = {
    ("click", "deterministic"): 1,
    ("srn_claim", "deterministic"): 1,
    ("click", "probabilistic"): 2,
    ("srn_claim", "probabilistic"): 2,
    ("impression", "deterministic"): 3,
    ("impression", "probabilistic"): 4,
}


@dataclass(frozen=True)
class Install:
    """The first open of an install id."""

    record: Record
    platform: str

    @property
    def key(self) -> tuple[str, str]:
        assert self.record.install_id is not None
        return self.record.app_id, self.record.install_id

    @property
    def at(self) -> datetime:
        return self.record.event_at


@dataclass(frozen=True)
class Place:
    """What an install is among the installs of its device."""

    device_id: str
    number: int
    kind: str
    counted: Install
    # The install that it tells again after the tracking prompt; itself if it is no such thing.
    told: Install


@dataclass(frozen=True)
class Conversion:
    kind: str
    conversion_id: str
    at: datetime
    install: Install
    place: Place
    policy: Policy

    @property
    def app_id(self) -> str:
        return self.install.record.app_id

    @property
    def day(self) -> date:
        return self.at.astimezone(UTC).date()

    @property
    def needs_retargeting(self) -> bool:
        """The user had the app already, so that only an ad for existing users can have brought the conversion."""
        if self.kind == "install":
            return self.place.number > 1 and self.policy.reinstall_policy == "new_after_window"
        return self.kind in ("reinstall", "reengagement")


@dataclass
class Candidate:
    conversion: Conversion
    touch: Record
    method: str
    confidence: float
    window_s: int = 0
    drop_reason: str | None = None
    rank: int | None = None
    reason: str = ""

    @property
    def match_class(self) -> str:
        return "probabilistic" if self.method == "probabilistic" else "deterministic"

    @property
    def tier(self) -> int:
        return TIERS[self.touch.record_type, self.match_class]

    @property
    def strength(self) -> int:
        return METHODS.index(self.method)


@dataclass(frozen=True)
class Decision:
    conversion: Conversion
    candidates: tuple[Candidate, ...]
    winner: Candidate | None
    reason: str


@dataclass(frozen=True)
class Credit:
    event: Record
    install_id: str
    conversion: Conversion
    is_primary: bool
    is_retargeting: bool
    is_inherited: bool
    revenue_usd: Decimal | None


@dataclass(frozen=True)
class Attribution:
    conversions: list[Conversion]
    decisions: list[Decision]
    credits: list[Credit]
