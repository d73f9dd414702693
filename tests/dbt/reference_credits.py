"""Who has each event, ad revenue and uninstall, and what it earned, as the rules tell it (`reference.py`)."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from tests.dbt.reference_terms import Conversion, Credit, Decision
from tests.dbt.rulebook import DAY, Record, Rules


def credits(decisions: list[Decision], events: list[Record], rules: Rules) -> list[Credit]:
    """Who has each event, ad revenue and uninstall: the install, or a return that took it, or both."""
    by_install = {d.conversion.install.key: d for d in decisions if d.conversion.kind != "reengagement"}
    found = []
    for event in events:
        if event.record_type not in ("event", "ad_revenue", "uninstall") or not event.is_production:
            continue
        install_id = event.install_id or subscriber(event, events)
        if install_id is None or (event.app_id, install_id) not in by_install:
            continue
        decision = by_install[event.app_id, install_id]
        own = credited_install(decision, by_install)
        taken = taking_return(event, decision.conversion, decisions)
        is_copied = taken is not None and taken.policy.event_attribution == "double"
        shares = [(taken or own, True)] + ([(own, False)] if is_copied else [])
        found += [
            Credit(
                event, install_id, conversion, is_primary, is_primary and taken is not None, event.install_id is None,
                revenue_usd(event, rules),
            )
            for conversion, is_primary in shares
        ]  # fmt: skip
    return found


def earns(event: Record) -> bool:
    return event.revenue_micros is not None and event.receipt_state != "invalid"


def subscriber(event: Record, events: list[Record]) -> str | None:
    """The install that first told the order that a renewal or refund without an install looks back at."""
    if not earns(event):
        return None
    assert event.revenue_micros is not None
    order_id = event.original_order_id or (event.order_id if event.revenue_micros < 0 else None)
    if order_id is None:
        return None
    told = [
        (e.event_at, e.record_id, e.install_id)
        for e in events
        if e.app_id == event.app_id and e.is_production and e.install_id is not None
        and (e.original_order_id or e.order_id) == order_id
    ]  # fmt: skip
    return min(told)[2] if told else None


def credited_install(decision: Decision, by_install: dict[tuple[str, str], Decision]) -> Conversion:
    """The conversion that has the events of an install. An install told again is the one it tells.

    A reinstall leaves its events to the install that counts, unless it is organic.
    """
    told = by_install[decision.conversion.place.told.key]
    if told.conversion.kind == "install" or told.reason == "organic_reinstall":
        return told.conversion
    return by_install[told.conversion.place.counted.key].conversion


def taking_return(event: Record, owner: Conversion, decisions: list[Decision]) -> Conversion | None:
    """The latest return of the device before the event, if the event lies in its window."""
    returns = [
        d.conversion
        for d in decisions
        if d.reason == "attributed" and d.conversion.kind in ("reinstall", "reengagement")
        and d.conversion.policy.event_attribution != "to_install"
        and (d.conversion.app_id, d.conversion.place.device_id) == (owner.app_id, owner.place.device_id)
        and d.conversion.at <= event.event_at
    ]  # fmt: skip
    if not returns:
        return None
    latest_at = max(r.at for r in returns)
    latest = min((r for r in returns if r.at == latest_at), key=lambda r: r.conversion_id)
    return latest if event.event_at < latest.at + latest.policy.reengagement_window_days * DAY else None


def revenue_usd(event: Record, rules: Rules) -> Decimal | None:
    """Exact to six digits, at the rate of the event's day; None if the event earns nothing or there is no rate."""
    rates = [r for r in rules.rates if r.currency == event.currency and r.valid_from <= event.day]
    if not earns(event) or not rates:
        return None
    assert event.revenue_micros is not None
    exact = Decimal(event.revenue_micros) / 1_000_000 * max(rates, key=lambda r: r.valid_from).usd_per_unit
    return exact.quantize(Decimal("0.000001"), ROUND_HALF_UP)
