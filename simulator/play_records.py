"""Records of play: sessions, in-app events, purchases and refunds, ad revenue."""

from __future__ import annotations

import numpy as np

from simulator.activity import AD_TYPES, DayOfPlay
from simulator.app_records import same_text, versions
from simulator.keys import INSTALL_ID, ORDER_ID, SESSION_ID, USER_ID, record_keys
from simulator.market import Market
from simulator.parts import Money, Part, head, tail
from simulator.people import People, has_account
from simulator.places import CURRENCIES, DEVICES, PLACES, PRODUCTS
from simulator.text import (
    I64,
    U64,
    Bools,
    Text,
    choose,
    decimals,
    either,
    hex16,
    join,
    mix,
    numbers,
    only,
    take,
)

AD_NETWORKS = ("admob", "applovin", "unity", "meta")
PRECISIONS = ("exact", "estimated", "publisher_defined")


def play_parts(market: Market, people: People, acts: DayOfPlay, day: int, part: int) -> list[Part]:
    """Sessions, events, purchases and ad revenue of a day; `part` numbers the slice of the people."""
    sessions = acts.sessions
    owner = mix(people.key, market.salt)
    keys = record_keys("session", day, len(sessions.who), market.salt, part)
    fragment: list[Text] = []  # who plays, per session; made once, when the first lines are asked for

    def device(rows: I64) -> Text:
        if not fragment:
            fragment.append(_who(market, people.take(sessions.who), owner[sessions.who], day))
        return take(fragment[0], rows)

    def session_lines() -> Text:
        return join(
            *head(market, "session", keys, sessions.at_ms),
            device(np.arange(len(keys))),
            ',"session_id":"',
            hex16(mix(keys, SESSION_ID)),
            '","session_length_s":',
            numbers(sessions.length_s),
            *tail(sessions.sent_ms),
        )

    events, buys, ads = acts.events, acts.purchases, acts.ads
    event_keys = record_keys("event", day, len(events.session) + len(buys.session), market.salt, part)
    level_keys, buy_keys = event_keys[: len(events.session)], event_keys[len(events.session) :]
    ad_keys = record_keys("ad_revenue", day, len(ads.session), market.salt, part)

    def flush(rows: I64, at_ms: I64, key: U64) -> I64:
        return at_ms + sessions.delay_ms[rows] + 500 + (key % np.uint64(20_000)).astype(np.int64)

    level_sent = flush(events.session, events.at_ms, level_keys)
    buy_sent = flush(buys.session, buys.at_ms, buy_keys)
    ad_sent = flush(ads.session, ads.at_ms, ad_keys)

    def inside(rows: I64) -> Text:
        return join(device(rows), ',"session_id":"', hex16(mix(keys[rows], SESSION_ID)), '"')

    def level_lines() -> Text:
        level = join('level_complete","properties":{"level":', numbers(events.level), "}")
        first = same_text(len(level_keys), 'tutorial_complete"')
        return join(
            *head(market, "event", level_keys, events.at_ms),
            inside(events.session),
            ',"event_name":"',
            only(events.name == 0, first),
            only(events.name == 1, level),
            *tail(level_sent),
        )

    def buy_lines() -> Text:
        refund = buys.refund_of >= 0
        origin = buy_keys[np.where(refund, buys.refund_of, np.arange(len(buy_keys)))]
        order = hex16(mix(origin, ORDER_ID))
        state = np.where(refund, 2, np.where(buys.is_valid, 0, 1))
        return join(
            *head(market, "event", buy_keys, buys.at_ms),
            inside(buys.session),
            ',"event_name":"',
            either(refund, "refund", "purchase"),
            '","revenue":',
            decimals(buys.micros, 2),
            ',"currency":"',
            choose(CURRENCIES, buys.currency),
            '","quantity":1,"product_id":"',
            choose(PRODUCTS, buys.product),
            '","order_id":"',
            order,
            '","receipt_state":"',
            choose(("valid", "invalid", "refunded"), state),
            '"',
            *tail(buy_sent),
        )

    def ad_lines() -> Text:
        roll = mix(ad_keys, 9)
        units = [f',"ad_unit":"{kind}_main","placement":"{kind}_slot","ad_type":"{kind}"' for kind in AD_TYPES]
        return join(
            *head(market, "ad_revenue", ad_keys, ads.at_ms),
            inside(ads.session),
            ',"revenue":',
            decimals(ads.micros, 6),
            ',"currency":"USD","mediation":"max","ad_network":"',
            choose(AD_NETWORKS, (roll % np.uint64(4)).astype(np.int64)),
            '","revenue_precision":"',
            choose(PRECISIONS, np.minimum(roll >> np.uint64(61), 2).astype(np.int64)),
            '","ad_impressions":1',
            choose(units, ads.kind),
            *tail(ad_sent),
        )

    def money(rows: I64, micros: I64, currency: I64, valid: Bools) -> Money:
        return Money(micros, currency, valid, people.key[sessions.who[rows]])

    usd, sure = np.zeros(len(ad_keys), dtype=np.int64), np.ones(len(ad_keys), dtype=bool)
    return [
        Part("session", keys, sessions.at_ms, sessions.sent_ms, session_lines),
        Part("event", level_keys, events.at_ms, level_sent, level_lines),
        Part(
            "event", buy_keys, buys.at_ms, buy_sent, buy_lines,
            money(buys.session, buys.micros, buys.currency, buys.is_valid),
        ),
        Part(
            "ad_revenue", ad_keys, ads.at_ms, ad_sent, ad_lines,
            money(ads.session, ads.micros, usd, sure),
        ),
    ]  # fmt: skip


def _who(market: Market, people: People, owner: U64, day: int) -> Text:
    """Install, account, country, system and app version, as JSON."""
    places = [f'","country":"{p.country}"' for p in PLACES]
    systems = [f',"os_version":"{d.os_version}","device_model":"{d.model}"' for d in DEVICES[market.app.platform]]
    account = join('","user_id":"u', hex16(mix(owner, USER_ID)))
    return join(
        ',"install_id":"',
        hex16(mix(owner, INSTALL_ID)),
        only(has_account(owner, market.salt), account),
        choose(places, people.place),
        choose(systems, people.device),
        ',"app_version":"',
        versions(people.key, day),
        '"',
    )
