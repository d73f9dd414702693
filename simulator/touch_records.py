"""Records that partners and Apple send: clicks, impressions, cost statements, SKAN postbacks."""

from __future__ import annotations

import numpy as np

from simulator.journeys import Touches
from simulator.keys import AD_ID, TRANSACTION_ID, VENDOR_ID, record_keys
from simulator.market import SITES, Market, creative_rows
from simulator.parts import Part, head, tail
from simulator.places import DEVICES, OS_NAMES, PLACES
from simulator.reports import CostRows, Postbacks
from simulator.text import (
    DAY_MS,
    Text,
    addresses,
    choose,
    dates,
    decimals,
    either,
    hex16,
    instants,
    join,
    numbers,
    only,
    uuids,
)

COARSE = ("low", "medium", "high")
REPORT_HOUR = 6  # UTC; partners state their costs in the morning


def touch_parts(market: Market, touches: Touches) -> list[Part]:
    """Clicks and impressions."""
    clicks, views = touches.take(touches.is_click), touches.take(~touches.is_click)
    return [_touch_part(market, "click", clicks), _touch_part(market, "impression", views)]


def _touch_part(market: Market, record_type: str, rows: Touches) -> Part:
    ios = market.is_ios
    os_name = OS_NAMES[market.app.platform]
    devices = [
        f',"os_name":"{os_name}","os_version":"{d.os_version}","device_model":"{d.model}"'
        for d in DEVICES[market.app.platform]
    ]
    countries = [f',"country":"{p.country}"' for p in PLACES]

    def lines() -> Text:
        ad_id = join(f',"{"idfa" if ios else "gaid"}":"', uuids(rows.owner, AD_ID), '"')
        vendor = join(f',"{"idfv" if ios else "app_set_id"}":"', uuids(rows.owner, VENDOR_ID), '"')
        click = join(',"click_id":"', hex16(rows.click), '"') if record_type == "click" else ""
        return join(
            *head(market, record_type, rows.key, rows.at_ms),
            ",",
            choose(market.creative_table, creative_rows(rows.campaign, rows.creative)),
            ',"site_id":"',
            choose(market.site_table, rows.campaign * SITES + rows.site),
            '"',
            click,
            only(rows.has_ad_id, ad_id),
            only(rows.has_vendor_id, vendor),
            ',"ip":"',
            addresses(rows.address),
            '"',
            choose(devices, rows.device),
            choose(countries, rows.place),
            *tail(rows.sent_ms),
        )

    return Part(record_type, rows.key, rows.at_ms, rows.sent_ms, lines)


def cost_part(market: Market, day: int, rows: CostRows, start_ms: int) -> Part:
    """Cost statements that arrive on a world day."""
    n = len(rows.campaign)
    keys = record_keys("cost", day, n, market.salt)
    as_of = np.full(n, start_ms + day * DAY_MS + REPORT_HOUR * 3_600_000, dtype=np.int64)
    sent = as_of + 1000 * (1 + np.arange(n, dtype=np.int64) % 50)
    campaigns = [
        f',"partner":"{c.partner}","campaign_id":"{c.campaign_id}","campaign_name":"{c.name}",'
        f'"cost_model":"{c.cost_model}","currency":"{c.currency}","time_zone":"{c.time_zone}"'
        for c in market.campaigns
    ]

    def lines() -> Text:
        return join(
            *head(market, "cost", keys, as_of),
            choose(campaigns, rows.campaign),
            ',"cost":',
            decimals(rows.micros, 2),
            ',"cost_date":"',
            dates(start_ms // DAY_MS + rows.spend_day),
            '","as_of":"',
            instants(as_of),
            '","impressions":',
            numbers(rows.impressions),
            ',"clicks":',
            numbers(rows.clicks),
            ',"installs":',
            numbers(rows.installs),
            *tail(sent),
        )

    return Part("cost", keys, as_of, sent, lines)


def skan_part(market: Market, day: int, rows: Postbacks) -> Part:
    """Postbacks that arrive on a world day. They are not signed: nobody but Apple could."""
    keys = record_keys("skan_postback", day, len(rows.campaign), market.salt)
    networks = sorted({c.partner for c in market.campaigns})
    campaigns = [
        f',"partner":"{c.partner}","campaign_id":"{c.campaign_id}",'
        f'"ad_network_id":"{c.partner}.skadnetwork","source_identifier":"{52 + i:02d}{networks.index(c.partner):02d}"'
        for i, c in enumerate(market.campaigns)
    ]

    def lines() -> Text:
        fine = join(',"conversion_value":', numbers(np.maximum(rows.value, 0)))
        coarse = join(',"coarse_conversion_value":"', choose(COARSE, np.maximum(rows.coarse, 0)), '"')
        return join(
            *head(market, "skan_postback", keys, rows.arrived_ms),
            ',"skan_version":"4.0","transaction_id":"',
            uuids(keys, TRANSACTION_ID),
            '"',
            choose(campaigns, rows.campaign),
            ',"source_app_id":"525463029","is_redownload":false,"did_win":true,"fidelity_type":',
            either(rows.sequence == 0, "1", "0"),
            ',"postback_sequence_index":',
            numbers(rows.sequence),
            only(rows.value >= 0, fine),
            only(rows.coarse >= 0, coarse),
            *tail(rows.arrived_ms + 500),
        )

    return Part("skan_postback", keys, rows.arrived_ms, rows.arrived_ms + 500, lines)
