"""Dates that the revenue models are built anew for: a part of the date sets of a plan.

Entries of revenue look back at their order, however long ago it began, and a network's total is shared among all who
used the app that day.
"""

from __future__ import annotations

from datetime import date

import duckdb

from lakehouse.plan_queries import dates_of


def dates_looking_back(connection: duckdb.DuckDBPyConnection) -> set[date]:
    """Dates of renewals, refunds and states whose order has news of earlier times, or of who began it."""
    return dates_of(
        connection,
        """
        select distinct m.event_date from silver.int_money_events m
        join (
            select app_id, original_order_id, event_at, install_id is not null as says_whose
            from new_events where original_order_id is not null
            union all
            select app_id, original_order_id, event_at, true from known_events where original_order_id is not null
        ) o on m.app_id = o.app_id and m.past_order_id = o.original_order_id
        where m.event_at >= o.event_at or m.is_inherited and o.says_whose
        """,
    )


def cohorts_of_shared_totals(connection: duckdb.DuckDBPyConnection, event_dates: set[date]) -> set[date]:
    """Install dates of all who share a total on one of the dates: another session changes the shares of all."""
    shared = event_dates & dates_of(
        connection,
        """
        select distinct event_date from silver.int_money_events where entry_code in ('ad_total', 'ad_allocated')
        union
        select event_date from new_events where is_ad_total
        """,
    )
    if not shared:
        return set()
    listed = ", ".join(f"date '{day.isoformat()}'" for day in sorted(shared))
    return dates_of(
        connection,
        f"""
        select distinct c.counted_install_date from silver.stg_app_events s
            join silver.int_conversions c using (app_id, install_id)
            where s.record_type = 'session' and s.event_date in ({listed})
        """,
    )
