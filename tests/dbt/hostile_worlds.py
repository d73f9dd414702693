"""Small worlds in which everything collides: few ids, few instants, rules that change midway. A Hypothesis strategy.

Ages are often exactly a window, a day's end or a policy's term, and now and then a microsecond beside it. Nothing here
knows what the outcome should be. Fields are chosen evenly by one random generator that Hypothesis seeds, as its own
choices repeat themselves too much for so many fields; `smallest` does the shrinking, record by record.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from hypothesis import strategies as st

from tests.dbt.rulebook import ALWAYS, DEVICE_IDS, HOUR, App, Partner, Policy, Rate, Record, Rules, Window, World

T = TypeVar("T")
Row = dict[str, Any]
START = datetime(2026, 3, 1, tzinfo=UTC)
MICRO = timedelta(microseconds=1)
APP_IDS = tuple(f"app{n}" for n in range(12))
MAX_TOUCHES_ALIKE = 2
MAX_INSTALLS_PER_DEVICE_ID = 4
# Steps of six hours after START.
MARKS = (0, 1, 2, 4, 8, 12, 16, 20, 28, 29, 32, 36, 40, 44)
CHANGES = tuple((START + timedelta(days=n)).date() for n in (1, 4, 7, 9))
# From a touch to the open it is near: windows, the look-back in dates, and the future.
AGES = tuple(hours * HOUR for hours in (0, 0, 1, 1, 3, 6, 6, 12, 24, 24, 48, 168, 168, 174, 190, -6, -24))
# From an install to the next one, and from a touch or a return to what follows: policies in days and hours.
GAPS = tuple(hours * HOUR for hours in (0, 1, 6, 6, 24, 24, 48, 48, 72, 168, 200))
ALIKE = {"ip_prefix": "p", "os_name": "android", "device_model": "m", "locale": "de-DE"}
LOOKS: tuple[Row, ...] = (
    {},
    ALIKE,
    ALIKE,
    ALIKE | {"locale": "DE_at"},
    ALIKE | {"locale": "en"},
    ALIKE | {"device_model": None},
)
IDS: tuple[Row, ...] = (
    *({}, {"gaid": "a1"}, {"gaid": "a1"}, {"gaid": "a1"}, {"gaid": "a1", "idfv": "v1"}, {"idfv": "v1"}, {"idfa": "a1"}),
    *({"idfv": "v1", "idfa": "a1"}, {"gaid": "a2"}, {"gaid": "a2", "idfv": "v1"}, {"idfv": "v2"}, {"oaid": "a1"}),
    *({"app_set_id": "v1", "gaid": "a1"}, {"android_id": "v1"}, {"android_id": "v1", "oaid": "a1"}),
    *({"click_id": "k1"}, {"click_id": "k2", "idfv": "v1"}, {"user_id": "u1"}, {"user_id": "u1", "gaid": "a1"}),
)
# What a touch has in common with the open it is near.
COMMON = (
    ("gaid", "idfa", "oaid", "idfv", "app_set_id", "android_id", "user_id", "click_id"),
    ("gaid", "idfa", "oaid", "idfv", "app_set_id", "android_id"),
    ("click_id", "user_id", *ALIKE),
    ("idfv", "app_set_id", "android_id"),
    tuple(ALIKE),
    tuple(ALIKE),
)
RATES = (
    Rate("USD", ALWAYS, Decimal(1)),
    Rate("EUR", ALWAYS, Decimal("1.1")),
    Rate("EUR", CHANGES[1], Decimal("1.123456789")),
    Rate("JPY", ALWAYS, Decimal("0.0067")),
)
DEFAULT_WINDOWS = (
    Window(touch_type="click", window_hours=168),
    Window(touch_type="srn_claim", window_hours=168),
    Window(touch_type="impression", window_hours=24),
    Window(touch_type="click", match_class="probabilistic", window_hours=6),
    Window(platform="ios", touch_type="click", match_class="probabilistic", window_hours=0),
    Window(touch_type="srn_claim", match_class="probabilistic", window_hours=0),
    Window(touch_type="impression", match_class="probabilistic", window_hours=0),
)


def some_world(rng: random.Random, app_count: int) -> World:
    """Several apps with the same ids, record ids included, under one set of rules; they must not hear of each other."""
    app_ids = APP_IDS[:app_count]
    lives = {app_id: _life(rng) for app_id in app_ids}
    return World(
        apps=tuple(App(app_id, rng.choice(("android", "ios")), rng.random() < 0.1) for app_id in app_ids),
        touches=_records(lives, "touches"),
        events=_records(lives, "opens", "sessions", "earnings"),
        consents=_records(lives, "consents"),
        rules=_rules(rng, app_ids),
    )


# Many apps in one world, as a query costs the same for one row and for a thousand.
worlds = st.builds(some_world, st.randoms(use_true_random=True), st.integers(8, len(APP_IDS)))


def smallest(world: World, fails: Callable[[World], bool]) -> World:
    """The world without every app, record and line of a rule that it fails without."""
    for name in ("apps", "events", "touches", "consents"):
        for one in getattr(world, name):
            fewer: dict[str, Any] = {name: _without(getattr(world, name), one)}
            less = dataclasses.replace(world, **fewer)
            if name == "apps":
                less = _of_apps(less, {app.app_id for app in less.apps})
            if less.apps and fails(less):
                world = less
    for name in ("windows", "policies", "partners"):
        for one in getattr(world.rules, name)[1:]:
            fewer = {name: _without(getattr(world.rules, name), one)}
            rules = dataclasses.replace(world.rules, **fewer)
            if fails(dataclasses.replace(world, rules=rules)):
                world = dataclasses.replace(world, rules=rules)
    return world


def _without(items: tuple[Any, ...], one: Any) -> tuple[Any, ...]:
    return tuple(item for item in items if item is not one)


def _of_apps(world: World, app_ids: set[str]) -> World:
    kept: dict[str, Any] = {
        name: tuple(record for record in getattr(world, name) if record.app_id in app_ids)
        for name in ("touches", "events", "consents")
    }
    return dataclasses.replace(world, **kept)


def _records(lives: dict[str, dict[str, list[Row]]], *kinds: str) -> tuple[Record, ...]:
    rows = [(app_id, row) for app_id, life in lives.items() for kind in kinds for row in life[kind]]
    return tuple(Record(app_id=app_id, **row) for app_id, row in rows)


def _life(rng: random.Random) -> dict[str, list[Row]]:
    """What happens to one app: opens, touches near them, what users do afterwards."""
    opens: list[Row] = []
    for n in range(rng.randint(2, 6)):
        opens.append(_open(rng, n, opens))
    touches = [_touch(rng, n, opens) for n in range(rng.randint(3, 10))]
    sessions: list[Row] = []
    for n in range(rng.randint(0, 6)):
        sessions.append(_session(rng, n, touches, opens + sessions * 2))
    earnings = [_earning(rng, n, opens, sessions) for n in range(rng.randint(0, 8))]
    consents = [
        _record(rng, f"c{n}", "consent", rng.choice(opens + sessions)["event_at"] - rng.choice((0, 0, 1, 6)) * HOUR)
        | {"install_id": rng.choice(opens)["install_id"], "has_ad_user_data_consent": rng.choice((True, False, None))}
        for n in range(rng.choice((0, 0, 1, 3)))
    ]
    kinds = {"opens": opens, "touches": touches, "sessions": sessions, "earnings": earnings, "consents": consents}
    return {name: _received(rng, rows) for name, rows in kinds.items()}


def _record(rng: random.Random, record_id: str, record_type: str, at: datetime) -> Row:
    return {
        "record_id": record_id,
        "record_type": record_type,
        "event_at": at + rng.choice((timedelta(0),) * 8 + (MICRO, -MICRO)),
        "payload_hash": rng.choice("ab"),
        "environment": rng.choice((None,) * 12 + ("production", "sandbox")),
        "platform": rng.choice((None, None, None, None, None, "ios", "web")),
    }


def _open(rng: random.Random, n: int, before: list[Row]) -> Row:
    """An install, or for apps without installs a sign of life; often another install of a device seen before."""
    is_again = bool(before) and rng.random() < 0.75
    at = before[-1]["event_at"] + rng.choice(GAPS) if is_again else START + 6 * HOUR * rng.choice(MARKS)
    ids = rng.choice(IDS)
    if is_again and rng.random() < 0.75:
        ids = {name: before[-1][name] for name in DEVICE_IDS if name in before[-1]}
    return (
        _record(rng, f"n{n}", rng.choice(("install",) * 6 + ("session",)), at)
        | ids
        | rng.choice(LOOKS)
        | {
            "install_id": rng.choice((f"i{n}", f"i{n}", f"i{n}", "i1")),
            "referrer": rng.choice((None,) * 6 + ("utm=x%26click_id%3Dk1", "clickid=k2", "utm_source=y")),
            "install_begin_server_at": at - rng.choice((0, 1, 6)) * HOUR if rng.random() < 0.2 else None,
            "att_status": rng.choice((None, "authorized", "authorized", "denied")),
            "has_ad_user_data_consent": rng.choice((None,) * 8 + (True, False)),
        }
    )


def _touch(rng: random.Random, n: int, opens: list[Row]) -> Row:
    near = rng.choice((opens[0], rng.choice(opens)))
    is_retargeting = rng.choice((None, False, True, True))
    gap = rng.choice(GAPS) if is_retargeting and rng.random() < 0.6 else -rng.choice(AGES)
    row = _record(rng, f"t{n}", rng.choice(("click", "click", "impression", "srn_claim")), near["event_at"] + gap)
    if rng.random() < 0.85:
        row |= {name: near[name] for name in rng.choice(COMMON) if name in near}
        row |= {"click_id": rng.choice(("k1", "k2"))} if near["referrer"] and rng.random() < 0.5 else {}
    else:
        row |= rng.choice(IDS) | rng.choice(LOOKS)
    return row | {
        "partner": rng.choice(("net", "Net", "back", None)),
        "campaign_id": rng.choice(("c1", None)),
        "is_retargeting": is_retargeting,
        "install_id": near["install_id"],  # says who saw it, and is no key
        "is_signature_valid": rng.choice((None,) * 10 + (True, False)),
        "has_ad_user_data_consent": rng.choice((None,) * 10 + (True, False)),
    }


def _session(rng: random.Random, n: int, touches: list[Row], before: list[Row]) -> Row:
    """An open some time after a touch, or days after an earlier open."""
    if rng.random() < 0.3:
        last = rng.choice(before)
        at, install_id = last["event_at"] + rng.choice((24, 48)) * HOUR, last["install_id"]
    else:
        touch = rng.choice(touches)
        at, install_id = touch["event_at"] + rng.choice(GAPS), touch["install_id"]
    return _record(rng, f"s{n}", "session", at) | {"install_id": install_id}


def _after(rng: random.Random, rows: list[Row]) -> datetime:
    at: datetime = rng.choice(rows)["event_at"]
    return at + rng.choice(GAPS)


def _earning(rng: random.Random, n: int, opens: list[Row], sessions: list[Row]) -> Row:
    kind = rng.choice(("event", "event", "ad_revenue", "uninstall"))
    return _record(rng, f"e{n}", kind, _after(rng, opens + sessions * 2)) | {
        "install_id": rng.choice([*(row["install_id"] for row in opens * 2 + sessions * 2), None, None]),
        "revenue_micros": rng.choice((None, 0, 1, -1_500_000, 999_999_999)),
        "currency": rng.choice(("USD", "EUR", "JPY", "XXX")),
        "order_id": rng.choice((None, "o1", "o2")),
        "original_order_id": rng.choice((None, "o1", "o2", "o3")),
        "receipt_state": rng.choice((None, None, "valid", "invalid")),
    }


def _received(rng: random.Random, rows: list[Row]) -> list[Row]:
    """The copies that came in: some again as they were, some with another payload, time or the fields of another."""
    copies = list(rows)
    for row in rng.sample(rows, min(len(rows), rng.choice((0, 0, 1, 2)))):
        changes: Sequence[Row] = (
            {},
            {"payload_hash": rng.choice("abc"), "environment": "sandbox"},
            {"event_at": row["event_at"] + rng.choice((-24, -6, 6, 24)) * HOUR},
            {**rng.choice(rows), "record_id": row["record_id"]},
        )
        copies.append(row | rng.choice(changes))
    return [row | {"request_id": f"r{n:02}", "received_at": row["event_at"] + HOUR} for n, row in enumerate(copies)]


def _rules(rng: random.Random, app_ids: Sequence[str]) -> Rules:
    """The defaults, lines that change them midway for all, and lines for some of the apps."""

    def holding() -> Row:
        return {
            "app_id": rng.choice(("*", *app_ids)),
            "valid_from": rng.choice((ALWAYS, *CHANGES)),
            "valid_until": rng.choice((None, None, None, *CHANGES[1:], date(2026, 3, 20))),
        }

    default = dataclasses.replace(_policy(rng, holding()), app_id="*", valid_from=ALWAYS, valid_until=None)
    return Rules(
        windows=_distinct([_window(rng, holding()) for _ in range(rng.randint(0, 8))] + list(DEFAULT_WINDOWS)),
        policies=_distinct([default] + [_policy(rng, holding()) for _ in range(rng.randint(0, 14))]),
        partners=_distinct([Partner()] + [_partner(rng, holding()) for _ in range(rng.randint(0, 4))]),
        rates=RATES,
        max_touches_alike=MAX_TOUCHES_ALIKE,
        max_installs_per_device_id=MAX_INSTALLS_PER_DEVICE_ID,
    )


def _policy(rng: random.Random, holding: Row) -> Policy:
    return Policy(
        **holding,
        reinstall_policy=rng.choice(("af_organic_events", "af_organic_events", "keep_original", "new_after_window")),
        reattribution_window_days=rng.choice((1, 2, 7, 90)),
        att_second_install_hours=rng.choice((6, 24, 72)),
        inactivity_days=rng.choice((0, 0, 1, 1, 2)),
        reengagement_window_days=rng.choice((1, 2, 30)),
        event_attribution=rng.choice(("to_install", "to_latest_reattribution", "double")),
        rank_order=rng.choice(("tier_time_method", "tier_method_time")),
    )


def _window(rng: random.Random, holding: Row) -> Window:
    return Window(
        **holding,
        partner=rng.choice(("*", "net", "back")),
        platform=rng.choice(("*", "ios", "android")),
        conversion_type=rng.choice(("*", "install", "reinstall", "reengagement")),
        touch_type=rng.choice(("click", "impression", "srn_claim")),
        match_class=rng.choice(("deterministic", "probabilistic")),
        window_hours=rng.choice((0, 6, 12, 24, 48, 168)),
    )


def _partner(rng: random.Random, holding: Row) -> Partner:
    return Partner(**holding, partner=rng.choice(("*", "net", "back")), is_enabled=rng.random() < 0.4)


def _distinct(lines: list[T]) -> tuple[T, ...]:
    """Of lines with the same scope and first day only the first: what the tests of the seeds ask for."""
    scopes = ("app_id", "partner", "platform", "conversion_type", "touch_type", "match_class", "valid_from")
    by_scope: dict[tuple[Any, ...], T] = {}
    for line in lines:
        by_scope.setdefault(tuple(getattr(line, name, None) for name in scopes), line)
    return tuple(by_scope.values())
