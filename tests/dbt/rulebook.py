"""What comes in and which lines of the rules hold: the words in which `reference.py` and its worlds are told.

Here belong records as received, lines of rules, and which line is in force. What follows is in `reference.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TypeVar
from urllib.parse import unquote

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
ALWAYS = date(1970, 1, 1)
DEVICE_IDS = ("gaid", "idfa", "oaid", "idfv", "app_set_id", "android_id")


@dataclass(frozen=True)
class App:
    app_id: str
    platform: str
    implied_installs: bool


@dataclass(frozen=True)
class Record:
    """One received copy of a touch, app event or consent; a field that the kind does not have stays None."""

    app_id: str
    record_id: str
    record_type: str
    event_at: datetime
    received_at: datetime
    payload_hash: str
    request_id: str
    environment: str | None = None
    platform: str | None = None
    install_id: str | None = None
    user_id: str | None = None
    gaid: str | None = None
    idfa: str | None = None
    oaid: str | None = None
    idfv: str | None = None
    app_set_id: str | None = None
    android_id: str | None = None
    click_id: str | None = None
    ip_prefix: str | None = None
    os_name: str | None = None
    device_model: str | None = None
    locale: str | None = None
    has_ad_user_data_consent: bool | None = None
    # Touches.
    partner: str | None = None
    campaign_id: str | None = None
    is_retargeting: bool | None = None
    is_signature_valid: bool | None = None
    # App events.
    referrer: str | None = None
    install_begin_server_at: datetime | None = None
    att_status: str | None = None
    event_name: str | None = None
    revenue_micros: int | None = None
    currency: str | None = None
    order_id: str | None = None
    original_order_id: str | None = None
    receipt_state: str | None = None

    @property
    def day(self) -> date:
        return self.event_at.astimezone(UTC).date()

    @property
    def is_production(self) -> bool:
        return self.environment in (None, "production")

    @property
    def referrer_click_id(self) -> str | None:
        """The click id inside the Play install referrer, which is percent-encoded once."""
        found = re.search(r"(?:^|[?&])(?:click_id|clickid)=([^&]+)", unquote(self.referrer or ""))
        return found.group(1) if found else None

    @property
    def language(self) -> str | None:
        return None if self.locale is None else re.split("[-_]", self.locale)[0].lower()

    @property
    def likeness(self) -> tuple[str, ...] | None:
        """What makes two devices look alike; None if anything of it is not known."""
        looks = (self.ip_prefix, self.os_name, self.device_model, self.language)
        return None if None in looks else (self.app_id, *(text for text in looks if text is not None))


@dataclass(frozen=True)
class Line:
    """A line of a rule: holds on the days from `valid_from` to before `valid_until`; '*' in a scope is for all."""

    app_id: str = "*"
    valid_from: date = ALWAYS
    valid_until: date | None = None

    def holds_on(self, day: date) -> bool:
        return self.valid_from <= day and (self.valid_until is None or day < self.valid_until)


AnyLine = TypeVar("AnyLine", bound=Line)


@dataclass(frozen=True)
class Window(Line):
    partner: str = "*"
    platform: str = "*"
    conversion_type: str = "*"
    touch_type: str = "click"
    match_class: str = "deterministic"
    window_hours: int = 168


@dataclass(frozen=True)
class Policy(Line):
    reinstall_policy: str = "af_organic_events"
    reattribution_window_days: int = 90
    att_second_install_hours: int = 72
    inactivity_days: int = 0
    reengagement_window_days: int = 30
    event_attribution: str = "to_install"
    rank_order: str = "tier_time_method"


@dataclass(frozen=True)
class Partner(Line):
    partner: str = "*"
    is_enabled: bool = True


@dataclass(frozen=True)
class Rate:
    """USD for one unit of a currency, from a date on."""

    currency: str
    valid_from: date
    usd_per_unit: Decimal


@dataclass(frozen=True)
class Rules:
    windows: tuple[Window, ...]
    policies: tuple[Policy, ...]
    partners: tuple[Partner, ...]
    lookback_days: int = 7
    max_touches_alike: int = 50
    max_installs_per_device_id: int = 50
    rates: tuple[Rate, ...] = ()

    def window(self, scope: dict[str, str], touch_type: str, match_class: str, day: date) -> int:
        """Hours; 0 if this kind of match is off or no line says anything."""
        lines = [w for w in self.windows if (w.touch_type, w.match_class) == (touch_type, match_class)]
        line = in_force(lines, day, scope)
        return 0 if line is None else line.window_hours

    def policy(self, app_id: str, day: date) -> Policy:
        line = in_force(self.policies, day, {"app_id": app_id})
        assert line is not None, "some policy is always in force"
        return line

    def is_enabled(self, app_id: str, partner: str, day: date) -> bool:
        line = in_force(self.partners, day, {"app_id": app_id, "partner": partner})
        return line is None or line.is_enabled

    def text_in_force(self, app_id: str, day: date) -> tuple[str, ...]:
        """Every line that concerns the app on the day; the ruleset_id names this content."""
        lines: Iterable[Line] = (*self.windows, *self.policies, *self.partners)
        held = [line for line in lines if line.app_id in (app_id, "*") and line.holds_on(day)]
        return tuple(sorted(repr(replace(line, valid_from=ALWAYS, valid_until=None)) for line in held))


def in_force(lines: Sequence[AnyLine], day: date, scope: dict[str, str]) -> AnyLine | None:
    """The most specific line of the day: one that names the first scope beats all that do not, and so on."""
    fitting = [
        line
        for line in lines
        if line.holds_on(day) and all(getattr(line, name) in (value, "*") for name, value in scope.items())
    ]
    fitting.sort(key=lambda line: line.valid_from, reverse=True)
    fitting.sort(key=lambda line: [getattr(line, name) == "*" for name in scope])
    return fitting[0] if fitting else None


@dataclass(frozen=True)
class World:
    apps: tuple[App, ...]
    touches: tuple[Record, ...]
    events: tuple[Record, ...]
    consents: tuple[Record, ...]
    rules: Rules
