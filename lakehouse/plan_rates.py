"""Dates of amounts that new exchange rates are for, by where the amount stands: part of the date sets of a plan."""

from __future__ import annotations

from datetime import date
from typing import Final

import duckdb

_RATED: Final = "join new_rates r on r.currency = {0}.currency and {0}.{1} >= r.since and {0}.{1} < r.until"
_REPORTED: Final = (
    "join new_rates r on r.currency in (e.currency, e.reporting_currency) "
    "and e.event_date >= r.since and e.event_date < r.until"
)
_QUERIES: Final = {
    # What is reported in a currency changes with its rate too, whatever it was paid in.
    "revenue": f"select e.event_date from silver.int_money_events e {_REPORTED}",
    "cohorts": f"select c.counted_install_date from silver.int_money_events e {_REPORTED} "
    "join silver.int_conversions c using (app_id, install_id)",
    "touches": f"select t.event_date from silver.stg_touchpoints t {_RATED.format('t', 'event_date')} "
    "where t.cost_micros is not null",
    "costs": f"select c.cost_date from silver.stg_costs c {_RATED.format('c', 'cost_date')}",
    "installs": "select l.install_date from silver.int_link_install_costs l "
    "join new_rates r on l.install_date >= r.since and l.install_date < r.until",
}


def rated_dates(connection: duckdb.DuckDBPyConnection) -> dict[str, set[date]]:
    """UTC dates under revenue, cohorts, touches, costs and installs, over views `bronze_new` and `silver`.

    A rate holds from its date until that of the next one, so it reaches the days between too.
    """
    if not connection.execute("select count(*) from bronze_new.bronze_fx_rates").fetchall()[0][0]:
        return {name: set() for name in _QUERIES}
    connection.execute(
        """
        create temp table new_rates as
            select n.currency, n.rate_date as since, coalesce(min(k.valid_from), date '9999-12-31') as until
            from bronze_new.bronze_fx_rates n
            left join silver.int_fx_rates k on n.currency = k.currency and k.valid_from > n.rate_date
            group by n.currency, n.rate_date
        """
    )
    return {
        name: {row[0] for row in connection.execute(f"select distinct * from ({query})").fetchall()}
        for name, query in _QUERIES.items()
    }
