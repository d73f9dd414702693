"""Dates whose active users are counted anew: part of the date sets of a plan."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

import duckdb

from lakehouse.plan_queries import dates_of, following

_MONTH: Final = 30


def activity_dates(connection: duckdb.DuckDBPyConnection, active: set[date], lived: set[date]) -> set[date]:
    """Dates in the zones of apps, over what `lakehouse.plan_dates` has made.

    `active` are UTC dates on which users may be active who were not, or the other way round; they tell who was lost,
    kept or back until the longest wait for churn is over. `lived` are the dates that watermarks pass.
    """
    days = max(_MONTH, _longest_wait_for_churn(connection))
    dates = following({day - timedelta(days=1) for day in active}, days + 2) | lived
    reached = dates_of(connection, "select max(watermark_date) + 1 from silver.int_watermarks") | lived
    if not reached:
        return set()
    last = max(reached)
    if (first := _first_date(connection)) is not None:
        dates |= {first + timedelta(days=n) for n in range(-1, (last - first).days + 1)}
    return {day for day in dates if day <= last}


def _first_date(connection: duckdb.DuckDBPyConnection) -> date | None:
    """First date of installs that may begin the row of dates of an app and platform sooner or later than before.

    Which platform a new install has is not looked at: it may have one that the app did not have.
    """
    begun = dates_of(
        connection,
        """
        with firsts as (
            select app_id, max(first_date) as first_date
            from (
                select app_id, min(install_date) as first_date from silver.int_conversions
                where is_counted group by app_id, platform
            )
            group by app_id
        )
        select min(event_date) from new_events where makes_install
        union select min(event_date) from known_events where makes_install
        union select min(i.install_date) from silver.int_installs i
            join changed_installs using (app_id, install_id) join firsts f on i.app_id = f.app_id
            where i.install_date <= f.first_date
        """,
    )
    return min(begun, default=None)


def _longest_wait_for_churn(connection: duckdb.DuckDBPyConnection) -> int:
    return int(connection.execute("select max(churn_days) from rules.rule_activity").fetchall()[0][0])
