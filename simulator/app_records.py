"""Records of the app's beginning and end: installs, consents and their withdrawal, uninstalls."""

from __future__ import annotations

import numpy as np

from lakehouse.contract import FIELDS
from simulator.cohorts import Cohort
from simulator.keys import AD_ID, INSTALL_ID, VENDOR_ID, record_keys
from simulator.market import Market
from simulator.parts import Part, head, tail
from simulator.people import FARMED, SPOOFED, People
from simulator.places import DEVICES, OS_NAMES, PLACE_GDPR, PLACES
from simulator.text import (
    I64,
    U64,
    Bools,
    Text,
    addresses,
    choose,
    either,
    hex16,
    instants,
    join,
    mix,
    only,
    uuids,
)

ATT_STATUS = next(f.choices for f in FIELDS if f.name == "att_status")
NO_ID = "00000000-0000-0000-0000-000000000000"


def install_part(market: Market, cohort: Cohort, rows: I64 | None = None, resent_after_ms: int = 0) -> Part:
    """Installs of a cohort; with `rows` these only, sent again some time after the first sending."""
    keys = record_keys("install", cohort.day, len(cohort), market.salt)
    is_new = rows is None
    if rows is not None:
        keys, cohort = keys[rows], cohort.take(rows)
    opened = cohort.people.install_ms
    sent = opened + 800 + (keys % np.uint64(4000)).astype(np.int64) + resent_after_ms
    return Part("install", keys, opened, sent, lambda: _install_lines(market, cohort, keys, sent), is_new=is_new)


def _install_lines(market: Market, cohort: Cohort, keys: U64, sent: I64) -> Text:
    people, owner, opened = cohort.people, cohort.owner, cohort.people.install_ms
    devices = [
        f',"os_name":"{OS_NAMES[market.app.platform]}","os_version":"{d.os_version}","device_model":"{d.model}"'
        for d in DEVICES[market.app.platform]
    ]
    places = [f',"locale":"{p.locale}","country":"{p.country}","time_zone":"{p.time_zone}"' for p in PLACES]
    gdpr = PLACE_GDPR[people.place]
    consent = join(',"is_gdpr_subject":true,"has_ad_user_data_consent":', either(cohort.is_denied, "false", "true"))
    ad_id = join(f',"{"idfa" if market.is_ios else "gaid"}":"', only(cohort.has_ad_id, uuids(owner, AD_ID)))
    return join(
        *head(market, "install", keys, opened),
        ',"install_id":"',
        hex16(mix(owner, INSTALL_ID)),
        f'","{"idfv" if market.is_ios else "app_set_id"}":"',
        uuids(owner, VENDOR_ID),
        '"',
        ad_id,
        either(cohort.has_ad_id, '"', f'{NO_ID}","is_limit_ad_tracking":true'),
        ',"ip":"',
        addresses(cohort.address),
        '"',
        choose(devices, people.device),
        choose(places, people.place),
        ',"app_version":"',
        versions(people.key, cohort.day),
        '","download_at":"',
        instants(cohort.begin_ms),
        '"',
        _ios_proof(cohort) if market.is_ios else _play_proof(market, cohort),
        only(gdpr, consent),
        *tail(sent),
    )


def _ios_proof(cohort: Cohort) -> Text:
    link = cohort.outcome.link
    return join(
        ',"store":"app_store","att_status":"',
        choose(ATT_STATUS, cohort.att),
        '"',
        only(link != 0, join(',"click_id":"', hex16(link), '"')),
        only(~cohort.is_integrity_missing, same_text(len(cohort), ',"integrity_verdict":"valid"')),
    )


def _play_proof(market: Market, cohort: Cohort) -> Text:
    out = cohort.outcome
    named = out.link != 0
    gains = np.where(cohort.thief >= 0, cohort.thief, np.maximum(cohort.campaign, 0))
    paid = join("click_id=", hex16(out.link), "&", choose(market.utm_table, gains))
    organic = same_text(len(cohort), "utm_source=google-play&utm_medium=organic")
    clicked = instants(out.link_ms)
    begun = instants(cohort.begin_ms)
    click = join(',"referrer_click_at":"', clicked, '","referrer_click_server_at":"', clicked, '"')
    farmed = cohort.people.nature == FARMED
    verdict = join(',"integrity_verdict":"', either(farmed, "meets_basic_integrity", "meets_device_integrity"), '"')
    return join(
        ',"store":"google_play","referrer":"',
        only(named, paid),
        only(~named, organic),
        '"',
        only(named, click),
        ',"install_begin_at":"',
        begun,
        '","install_begin_server_at":"',
        begun,
        '","is_instant":false',
        only(~cohort.is_integrity_missing, verdict),
    )


def consent_parts(market: Market, cohort: Cohort) -> list[Part]:
    """What was asked at the first open: everybody on iOS, people under the GDPR on Android; scripts ask nothing."""
    people = cohort.people
    asked = (PLACE_GDPR[people.place] | market.is_ios) & (people.nature != SPOOFED)
    rows = np.flatnonzero(asked)
    at = people.install_ms[rows] + 5000
    agrees = ~cohort.is_denied[rows]
    return [_consent_part(market, people.take(rows), cohort.day, at, agrees, cohort.att[rows], part=0)]


def withdrawal_part(market: Market, people: People, day: int, at_ms: I64, part: int) -> Part:
    """Consent taken back."""
    denied = np.full(len(people), ATT_STATUS.index("denied"), dtype=np.int64)
    return _consent_part(market, people, day, at_ms, np.zeros(len(people), dtype=bool), denied, part=part + 1)


def _consent_part(market: Market, people: People, day: int, at_ms: I64, agrees: Bools, att: I64, part: int) -> Part:
    keys = record_keys("consent", day, len(people), market.salt, part)
    owner = mix(people.key, market.salt)

    def lines() -> Text:
        status = join(',"att_status":"', choose(ATT_STATUS, att), '"') if market.is_ios else ""
        return join(
            *head(market, "consent", keys, at_ms),
            ',"install_id":"',
            hex16(mix(owner, INSTALL_ID)),
            '"',
            status,
            ',"is_gdpr_subject":',
            either(PLACE_GDPR[people.place], "true", "false"),
            ',"has_ad_user_data_consent":',
            either(agrees, "true", "false"),
            ',"has_ad_personalization_consent":',
            either(agrees & (att != ATT_STATUS.index("denied")), "true", "false"),
            ',"country":"',
            choose([p.country for p in PLACES], people.place),
            '"',
            *tail(at_ms + 1500),
        )

    return Part("consent", keys, at_ms, at_ms + 1500, lines)


def uninstall_part(market: Market, people: People, day: int, at_ms: I64, part: int) -> Part:
    """Uninstalls, at the time they are noticed."""
    keys = record_keys("uninstall", day, len(people), market.salt, part)
    detector = "apns" if market.is_ios else "fcm"

    def lines() -> Text:
        install = hex16(mix(mix(people.key, market.salt), INSTALL_ID))
        return join(
            *head(market, "uninstall", keys, at_ms),
            ',"install_id":"',
            install,
            f'","uninstall_detector":"{detector}"',
            *tail(at_ms + 2000),
        )

    return Part("uninstall", keys, at_ms, at_ms + 2000, lines)


def versions(keys: U64, day: int) -> Text:
    """App version on a day: a release every two weeks, taken up over five days."""
    minor = np.maximum(day - (keys % np.uint64(6)).astype(np.int64), 0) // 14
    first = int(minor.min()) if len(minor) else 0
    return choose([f"2.{first + i}.0" for i in range(3)], minor - first)


def same_text(rows: int, text: str) -> Text:
    """A constant as a column."""
    return choose([text], np.zeros(rows, dtype=np.int64))
