"""Attribution as the rules tell it, in plain loops over short lists: what the SQL models are held against.

Written from `dbt_project/seeds/_*.yml`, the descriptions of the models and the cases, not from the SQL, and slow on
purpose. Here belongs which conversions there are and who wins them; who has their events is in `reference_credits.py`,
the terms are in `reference_terms.py`. Records and rules are in `rulebook.py`, inventing worlds is in
`hostile_worlds.py`, running the models in `compiled.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta

from tests.dbt.reference_credits import credits
from tests.dbt.reference_terms import (
    METHODS,
    Attribution,
    Candidate,
    Conversion,
    Decision,
    Install,
    Place,
)
from tests.dbt.rulebook import DAY, DEVICE_IDS, HOUR, App, Record, Rules, World


def attribute(world: World) -> Attribution:
    """Everything that the rules say about a world."""
    touches, events, consents = (first_copies(copies) for copies in (world.touches, world.events, world.consents))
    installs = first_opens(events, world.apps)
    places = {
        install.key: place
        for device in devices(installs, world.rules.max_installs_per_device_id)
        for install, place in walk(device, world.rules)
    }
    conversions = [
        Conversion(
            places[install.key].kind, install.record.record_id, install.at, install, places[install.key],
            world.rules.policy(install.record.app_id, install.record.day),
        )
        for install in installs
    ]  # fmt: skip
    for install, session in returning_opens(installs, touches, events, world.rules):
        policy = world.rules.policy(session.app_id, session.day)
        conversions.append(
            Conversion("reengagement", session.record_id, session.event_at, install, places[install.key], policy)
        )
    decisions = [
        decide(conversion, judged(conversion, touches, events, consents, world.rules)) for conversion in conversions
    ]
    return Attribution(conversions, decisions, credits(decisions, events, world.rules))


def first_copies(copies: Iterable[Record]) -> list[Record]:
    """Each record once: of several copies the least (event_at, payload hash, request) stands."""
    by_id: dict[tuple[str, str], list[Record]] = {}
    for copy in copies:
        by_id.setdefault((copy.app_id, copy.record_id), []).append(copy)
    return [min(some, key=lambda c: (c.event_at, c.payload_hash, c.request_id)) for some in by_id.values()]


def first_opens(events: list[Record], apps: Iterable[App]) -> list[Install]:
    """The install of each install id: its first install record, or its first sign of life where none are sent."""
    by_id = {app.app_id: app for app in apps}
    firsts: dict[tuple[str, str], Record] = {}
    for event in sorted(events, key=lambda e: (e.event_at, e.payload_hash, e.record_id)):
        implied = by_id[event.app_id].implied_installs
        tells = event.record_type != "uninstall" if implied else event.record_type == "install"
        if tells and event.is_production and event.install_id is not None:
            firsts.setdefault((event.app_id, event.install_id), event)
    return [Install(event, event.platform or by_id[event.app_id].platform) for event in firsts.values()]


def devices(installs: list[Install], max_installs: int) -> list[list[Install]]:
    """Installs by device, each device in order of time. Whatever can be reached over shared ids is one device."""

    def ids(install: Install) -> set[tuple[str, str, str]]:
        values = {name: getattr(install.record, name) for name in DEVICE_IDS}
        return {(install.record.app_id, name, value) for name, value in values.items() if value is not None}

    holders = {one: [i for i in installs if one in ids(i)] for install in installs for one in ids(install)}
    telling = {one for one, some in holders.items() if len(some) <= max_installs}
    found: list[list[Install]] = []
    left = list(installs)
    while left:
        device = [left.pop()]
        for member in device:  # grows while it is walked through
            near = [other for other in left if ids(member) & ids(other) & telling]
            left = [other for other in left if other not in near]
            device += near
        found.append(sorted(device, key=lambda i: (i.at, i.key)))
    return found


def walk(device: list[Install], rules: Rules) -> list[tuple[Install, Place]]:
    """What each install of a device is by the policy of its own day, from the first to the last."""
    first = device[0]
    assert first.record.install_id is not None
    device_id = first.record.install_id
    places = [(first, Place(device_id, 1, "install", first, first))]
    for number, install in enumerate(device[1:], start=2):
        previous, before = places[-1]
        policy = rules.policy(install.record.app_id, install.record.day)
        is_now_allowed = install.record.att_status == "authorized" and previous.record.att_status != "authorized"
        gap = install.at - previous.at
        if install.platform == "ios" and is_now_allowed and gap <= policy.att_second_install_hours * HOUR:
            kind = "att_second_install"
        elif (
            policy.reinstall_policy == "keep_original"
            or install.at - before.counted.at <= policy.reattribution_window_days * DAY
        ):
            kind = "reinstall"
        else:
            kind = "install"
        counted = install if kind == "install" else before.counted
        told = before.told if kind == "att_second_install" else install
        places.append((install, Place(device_id, number, kind, counted, told)))
    return places


def shared_methods(install: Install, touch: Record) -> list[str]:
    """The ids that an install and a touch of the same app share, by the name of the method."""
    mine = install.record
    if mine.app_id != touch.app_id:
        return []
    pairs = [
        ("referrer", mine.referrer_click_id, touch.click_id),
        ("click_id", mine.click_id, touch.click_id),
        ("ad_id", mine.gaid, touch.gaid),
        ("ad_id", mine.idfa, touch.idfa),
        ("ad_id", mine.oaid, touch.oaid),
        ("vendor_id", mine.idfv, touch.idfv),
        ("vendor_id", mine.app_set_id, touch.app_set_id),
        ("vendor_id", mine.android_id, touch.android_id),
        ("user_id", mine.user_id, touch.user_id),
    ]
    return [method for method, left, right in pairs if left is not None and left == right]


def returning_opens(
    installs: list[Install], touches: list[Record], events: list[Record], rules: Rules
) -> list[tuple[Install, Record]]:
    """The first open after each touch of a retargeting campaign, for installs that the touch shares an id with."""
    found: dict[tuple[str, str], tuple[Install, Record]] = {}
    for install in installs:
        opens = sessions(install, events)
        for touch in touches:
            if not touch.is_retargeting or not touch.is_production or touch.event_at <= install.at:
                continue
            after = [e for e in opens if e.event_at >= touch.event_at]
            if shared_methods(install, touch) and after and (after[0].day - touch.day).days <= rules.lookback_days:
                found[after[0].app_id, after[0].record_id] = (install, after[0])
    return list(found.values())


def sessions(install: Install, events: list[Record]) -> list[Record]:
    """Opens of the install, in order of time."""
    opens = [
        e for e in events
        if e.record_type == "session" and e.is_production and (e.app_id, e.install_id) == install.key
    ]  # fmt: skip
    return sorted(opens, key=lambda e: (e.event_at, e.record_id))


def gather(conversion: Conversion, touches: list[Record], rules: Rules) -> list[Candidate]:
    """Every touch that may be told to belong to the conversion, with the strongest method."""
    if conversion.kind == "att_second_install":
        return []
    found = []
    for touch in touches:
        if not 0 <= (conversion.day - touch.day).days <= rules.lookback_days:
            continue
        methods = shared_methods(conversion.install, touch)
        if methods and (touch.is_retargeting or conversion.kind != "reengagement"):
            found.append(Candidate(conversion, touch, min(methods, key=METHODS.index), 1.0))
        elif not methods and (alike := crowd(conversion, touch, touches, rules)) is not None:
            found.append(Candidate(conversion, touch, "probabilistic", 1 / alike))
    return found


def crowd(conversion: Conversion, touch: Record, touches: list[Record], rules: Rules) -> int | None:
    """Touches of the day that look like this one; None if the touch is no match by likeness.

    Likeness never tells that a user came back, and a crowd beyond the limit tells nobody apart.
    """
    mine = conversion.install.record
    if conversion.kind != "install" or conversion.needs_retargeting:
        return None
    if mine.likeness is None or mine.likeness != touch.likeness:
        return None
    if any(
        getattr(mine, name) != getattr(touch, name)
        for name in DEVICE_IDS
        if None not in (getattr(mine, name), getattr(touch, name))
    ):
        return None
    longest = longest_window_of_likeness(conversion, rules)
    if longest == 0 or not timedelta(0) <= conversion.at - touch.event_at <= longest * HOUR:
        return None
    alike = len([other for other in touches if other.likeness == touch.likeness and other.day == touch.day])
    return alike if alike <= rules.max_touches_alike else None


def longest_window_of_likeness(conversion: Conversion, rules: Rules) -> int:
    """Hours that any partner could have for a match by likeness with the conversion."""
    partners = {line.partner for line in rules.windows}
    kinds = {line.touch_type for line in rules.windows}
    return max(
        rules.window(scope_of(conversion, partner), kind, "probabilistic", conversion.day)
        for partner in partners
        for kind in kinds
    )


def scope_of(conversion: Conversion, partner: str) -> dict[str, str]:
    return {
        "app_id": conversion.app_id,
        "partner": partner,
        "platform": conversion.install.platform,
        "conversion_type": conversion.kind,
    }


def judged(
    conversion: Conversion, touches: list[Record], events: list[Record], consents: list[Record], rules: Rules
) -> list[Candidate]:
    """The candidates of a conversion, each with the first reason that speaks against it, if any."""
    candidates = gather(conversion, touches, rules)
    for candidate in candidates:
        partner = (candidate.touch.partner or "").lower()
        hours = rules.window(
            scope_of(conversion, partner), candidate.touch.record_type, candidate.match_class, conversion.day
        )
        candidate.window_s = hours * 3600
        reasons = drop_reasons(candidate, events, consents, rules)
        candidate.drop_reason = next((reason for reason, applies in reasons if applies()), None)
    return candidates


def drop_reasons(
    candidate: Candidate, events: list[Record], consents: list[Record], rules: Rules
) -> list[tuple[str, Callable[[], bool]]]:
    """Every reason to drop a candidate, in the order in which they are given."""
    conversion, touch, install = candidate.conversion, candidate.touch, candidate.conversion.install.record
    age = conversion.at - touch.event_at

    def began_before_the_click() -> bool:
        begun = install.install_begin_server_at
        is_click = touch.record_type in ("click", "srn_claim")
        return conversion.kind != "reengagement" and is_click and begun is not None and touch.event_at > begun

    def refused() -> bool:
        return said_before(conversion, consents) is False or touch.has_ad_user_data_consent is False

    return [
        ("after_install", lambda: age < timedelta(0)),
        ("after_install_begin", began_before_the_click),
        ("not_retargeting", lambda: conversion.needs_retargeting and not touch.is_retargeting),
        (
            "partner_not_enabled",
            lambda: not rules.is_enabled(conversion.app_id, (touch.partner or "").lower(), conversion.day),
        ),
        ("method_not_allowed", lambda: candidate.window_s == 0),
        ("outside_window", lambda: age > timedelta(seconds=candidate.window_s)),
        ("below_inactivity", lambda: opened_too_recently(conversion, events)),
        ("environment_mismatch", lambda: not touch.is_production),
        ("consent_denied", refused),
        ("signature_invalid", lambda: touch.is_signature_valid is False),
    ]


def opened_too_recently(conversion: Conversion, events: list[Record]) -> bool:
    """The user came back sooner after the last open than the policy calls a return."""
    if conversion.kind != "reengagement" or conversion.policy.inactivity_days == 0:
        return False
    opens = [e.event_at for e in sessions(conversion.install, events) if e.event_at < conversion.at]
    return conversion.at - max([conversion.install.at, *opens]) < conversion.policy.inactivity_days * DAY


def said_before(conversion: Conversion, consents: list[Record]) -> bool | None:
    """The person's last word before the conversion; what the install says is said at its first open."""
    install = conversion.install
    words = [
        (c.event_at, 0, c.payload_hash, c.record_id, c.has_ad_user_data_consent)
        for c in consents
        if (c.app_id, c.install_id) == install.key and c.is_production and c.event_at <= conversion.at
        and c.has_ad_user_data_consent is not None
    ]  # fmt: skip
    if install.record.has_ad_user_data_consent is not None:
        words.append((install.at, 1, "", "", install.record.has_ad_user_data_consent))
    return max(words)[-1] if words else None


def decide(conversion: Conversion, candidates: list[Candidate]) -> Decision:
    """Rank what is eligible, tell every other why it lost, and name the winner or why there is none."""
    by_method = conversion.policy.rank_order == "tier_method_time"

    def standing(c: Candidate) -> tuple[object, ...]:
        age = conversion.at - c.touch.event_at
        middle = (c.strength, age) if by_method else (age, c.strength)
        return (c.tier, *middle, c.touch.record_id)

    eligible = sorted((c for c in candidates if c.drop_reason is None), key=standing)
    winner = eligible[0] if eligible else None
    for rank, candidate in enumerate(eligible, start=1):
        assert winner is not None
        candidate.rank = rank
        candidate.reason = "won" if rank == 1 else why_lost(candidate, winner, by_method)
    for candidate in candidates:
        candidate.reason = candidate.drop_reason or candidate.reason
    return Decision(conversion, tuple(candidates), winner, reason_of(conversion, candidates, winner))


def why_lost(candidate: Candidate, winner: Candidate, by_method: bool) -> str:
    """The first respect in which the winner is better."""
    respects = [
        ("lost_to_later_touch", candidate.touch.event_at != winner.touch.event_at),
        ("lost_to_stronger_method", candidate.method != winner.method),
    ]
    if by_method:
        respects.reverse()
    respects = [("lost_to_higher_tier", candidate.tier != winner.tier), *respects, ("lost_to_tie_break", True)]
    return next(reason for reason, is_worse in respects if is_worse)


def reason_of(conversion: Conversion, candidates: list[Candidate], winner: Candidate | None) -> str:
    if winner is not None:
        return "attributed"
    if conversion.kind == "att_second_install":
        return "kept_original"
    if conversion.kind == "reinstall":
        is_organic = conversion.policy.reinstall_policy == "af_organic_events"
        return "organic_reinstall" if is_organic else "kept_original"
    return "organic_no_eligible_candidate" if candidates else "organic_no_candidate"
