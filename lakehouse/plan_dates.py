"""The date sets of a plan: which days a new record may reach, set by set.

A set may be larger than needed, never smaller: full refresh and incremental give the same rows.

    event_dates     dates of new app events, and of rows they collide with (same id, other date); dates of revenue that
                    a new exchange rate is for
    touch_dates     the same for touchpoints and their prices
    touch_flag_dates  touch_dates and the days after them, as a repeated click is told by the click before it
    consent_dates   dates of new consents, and of rows they collide with
    cost_dates      cost days of new cost rows, and of rows they collide with; those that a new exchange rate is for
    skan_dates      the same for postbacks, and the dates of those that they repeat
    install_dates   installs to decide again: new or changed ones, others of their devices, those a new touch, consent
                    or refused receipt may reach, and those of the days on which fraud rules judge a site anew
    fraud_dates     conversion_dates, touch_flag_dates and cost_dates
    conversion_dates  install_dates, and the same for opens after a touch of a retargeting campaign
    credit_dates    event_dates, and every date on which a user of such a conversion did or paid something
    revenue_dates   credit_dates, and every date on which such a user opened the app
    activity_dates  revenue_dates and the days after them until churn, in the zones of apps; dates that watermarks pass
    cohort_dates    install dates of users with new events within their cohort's days, and of cohorts that come of age
    campaign_dates  cohort_dates, touch_dates, cost_dates, and every day that comes of age
    journey_dates   last days of journeys that a new touch or conversion may lengthen, cut or turn into an install
    path_dates      cohort_dates and journey_dates
    ingest_dates    receipt days of new rows, and of rows they are copies of
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

import duckdb

from lakehouse.contract import bronze_schemas
from lakehouse.plan_activity import activity_dates
from lakehouse.plan_internal import find_internal_installs
from lakehouse.plan_queries import DEVICE_IDS, TOUCH_IDS, count, dates_of, following, prefixed
from lakehouse.plan_rates import rated_dates
from lakehouse.plan_reports import reported_dates
from lakehouse.plan_returns import reengagement_dates
from lakehouse.plan_revenue import cohorts_of_shared_totals, dates_looking_back

COHORT_DAYS: Final = 30
# The variable max_installs_per_device_id of the dbt project.
DEVICE_INSTALLS: Final = 50
# Ids of an install with their kind; an absent one is null.
_KINDED_IDS: Final = ", ".join(f"'{name}:' || {name}" for name in DEVICE_IDS.split(", "))


def date_sets(
    connection: duckdb.DuckDBPyConnection, implied_apps: list[str], lookback_days: int
) -> dict[str, set[date]]:
    """The date sets by name, over views `bronze_new`, `silver` and `rules`.

    Apps of `implied_apps` send no installs.

    `lookback_days` is how far a conversion looks for touches, in UTC dates.
    """
    apps = ", ".join("'" + app.replace("'", "''") + "'" for app in sorted(implied_apps)) or "null"
    find_internal_installs(connection)
    connection.execute(
        f"""
        -- Apps that send no installs: only a record that is not later than the known install can stand for it.
        create temp table new_events as
            select n.app_id, n.record_id, n.event_date, n.ingest_date, n.install_id, n.event_at, n.received_at,
                n.receipt_state, n.referrer,
                n.record_type = 'install'
                or n.app_id in ({apps}) and coalesce(n.event_at <= i.install_at, true) as makes_install,
                n.record_type = 'session' as is_session,
                n.record_type = 'ad_revenue' and n.install_id is null and n.user_id is null as is_ad_total,
                coalesce(n.original_order_id, n.order_id) as original_order_id, {prefixed("n", TOUCH_IDS)}
            from bronze_new.bronze_app_events n left join silver.int_installs i
                on n.app_id in ({apps}) and n.app_id = i.app_id and n.install_id = i.install_id;
        create temp table new_touches as
            select app_id, record_id, event_date, coalesce(is_retargeting, false) as is_retargeting, {TOUCH_IDS}
            from bronze_new.bronze_touchpoints;
        -- Rows already in silver under an id that arrived again.
        create temp table known_events as
            select s.app_id, s.record_id, s.event_date, s.event_at, s.received_at, s.install_id, s.receipt_state,
                s.record_type = 'session' as is_session, coalesce(s.original_order_id, s.order_id) as original_order_id,
                s.record_type = 'install'
                or s.app_id in ({apps}) and coalesce(s.event_at <= i.install_at, true) as makes_install
            from silver.stg_app_events s semi join new_events n on s.app_id = n.app_id and s.record_id = n.record_id
                left join silver.int_installs i
                on s.app_id in ({apps}) and s.app_id = i.app_id and s.install_id = i.install_id;
        create temp table known_touches as
            select s.event_date, s.received_at, coalesce(s.is_retargeting, false) as is_retargeting
            from silver.stg_touchpoints s semi join new_touches n on s.app_id = n.app_id and s.record_id = n.record_id;
        -- Installs that may look different after this run; others of their devices are added below.
        create temp table changed_installs as
            select app_id, install_id from new_events where makes_install and install_id is not null
            union select app_id, install_id from known_events where makes_install and install_id is not null
            union select app_id, install_id from internal_installs;
        """
    )
    event_dates = dates_of(
        connection,
        """
        select event_date from new_events
        union select event_date from known_events
        union select e.event_date from silver.stg_app_events e semi join internal_installs using (app_id, install_id)
        """,
    )
    event_dates |= dates_looking_back(connection)
    touch_dates = dates_of(connection, "select event_date from new_touches union select event_date from known_touches")
    consent_dates = dates_of(
        connection,
        """
        select event_date from bronze_new.bronze_consents
        union select s.event_date from silver.stg_consents s
            semi join bronze_new.bronze_consents n on s.app_id = n.app_id and s.record_id = n.record_id
        union select s.event_date from silver.stg_consents s semi join internal_installs using (app_id, install_id)
        """,
    )
    cost_dates, skan_dates = reported_dates(connection)
    _add_installs_of_the_same_devices(connection)
    install_dates = dates_of(
        connection,
        """
        select event_date from new_events where makes_install
        union select event_date from known_events join changed_installs using (app_id, install_id)
        union select i.install_date from silver.int_installs i join changed_installs using (app_id, install_id)
        """,
    )
    days = _longest_window_days(connection)
    returning = reengagement_dates(connection, days)
    # A journey holds touches of the look-back before its last one, and waits the look-back for another or an install.
    journey_dates = {
        day + timedelta(days=n)
        for day in touch_dates | install_dates | returning
        for n in range(-lookback_days, lookback_days + 1)
    }
    touch_flag_dates = following(touch_dates, 1) & (
        touch_dates | dates_of(connection, "select distinct event_date from silver.stg_touchpoints")
    )
    built = dates_of(connection, "select distinct install_date from silver.int_installs")
    install_dates |= following(touch_flag_dates, days) & built
    # A site is judged on each install date by the installs and clicks of the days up to it.
    install_dates |= following(install_dates | touch_dates, _site_days(connection) - 1) & built
    install_dates |= dates_of(
        connection,
        """
        -- A receipt that the store does not know speaks against the install, however late it comes.
        with refused as (
            select app_id, install_id from new_events where receipt_state = 'invalid'
            union select app_id, install_id from known_events where receipt_state = 'invalid'
        )
        select i.install_date from silver.int_installs i join refused using (app_id, install_id)
        """,
    )
    install_dates |= dates_of(
        connection,
        """
        -- A consent is heard by installs at or after it, also the one that an earlier copy of it named.
        with said as (
            select app_id, record_id, install_id, event_at from bronze_new.bronze_consents
            union all
            select s.app_id, s.record_id, s.install_id, s.event_at from silver.stg_consents s
                semi join bronze_new.bronze_consents n on s.app_id = n.app_id and s.record_id = n.record_id
        )
        select distinct i.install_date from silver.int_installs i
            join said s on i.app_id = s.app_id and i.install_id = s.install_id and i.install_at >= s.event_at
        """,
    )
    rated = rated_dates(connection)
    event_dates |= rated["revenue"]
    touch_dates |= rated["touches"]
    cost_dates |= rated["costs"]
    install_dates |= rated["installs"]
    conversion_dates = install_dates | returning
    ageing, lived = _ageing_dates(connection)
    cohort_dates = (
        install_dates
        | rated["cohorts"]
        | dates_of(
            connection,
            f"""
        -- No mart of cohorts looks at what users do later; on the clock of 24 hours the last day ends a date later.
        with active as (
            select app_id, install_id, event_date from new_events
            union select app_id, install_id, event_date from known_events
        )
        select distinct c.counted_install_date from silver.int_conversions c join active using (app_id, install_id)
        where active.event_date <= c.counted_install_date + {COHORT_DAYS + 1}
        """,
        )
    )
    cohort_dates |= dates_of(
        connection,
        """
        -- Renewals name no install; both the one that has them and the one that may get them are meant.
        with orders as (
            select app_id, original_order_id from new_events union select app_id, original_order_id from known_events
        )
        select distinct c.counted_install_date from silver.int_subscriptions s
            semi join orders o on s.app_id = o.app_id and s.original_order_id = o.original_order_id
            join silver.int_conversions c on s.app_id = c.app_id and s.install_id = c.install_id
        """,
    )
    cohort_dates |= cohorts_of_shared_totals(connection, event_dates)
    cohort_dates |= ageing & dates_of(connection, "select distinct install_date from silver.int_installs")
    received = " union ".join(
        f"select ingest_date from bronze_new.{table.partition('/')[2]}" for table in bronze_schemas()
    )
    # A copy that was received earlier takes the place of the known one, whose day then counts it as a duplicate.
    again = " union ".join(
        f"select s.received_at::date from {known} s"
        f" semi join bronze_new.{new} n on s.app_id = n.app_id and s.record_id = n.record_id"
        for known, new in (
            ("silver.stg_consents", "bronze_consents"),
            ("silver.stg_cost_statements", "bronze_costs"),
            ("silver.stg_skan_deliveries", "bronze_skan_postbacks"),
        )
    )
    internal = " union ".join(
        f"select received_at::date from silver.{known} semi join internal_installs using (app_id, install_id)"
        for known in ("stg_app_events", "stg_consents")
    )
    ingest_dates = dates_of(
        connection,
        f"{received} union {again} union select received_at::date from known_events"
        f" union select received_at::date from known_touches union {internal}",
    )
    credited, opened = _active_dates(connection, conversion_dates)
    revenue_dates = event_dates | install_dates | credited | opened
    return {
        "event_dates": event_dates,
        "touch_dates": touch_dates,
        "touch_flag_dates": touch_flag_dates,
        "consent_dates": consent_dates,
        "cost_dates": cost_dates,
        "skan_dates": skan_dates,
        "install_dates": install_dates,
        "conversion_dates": conversion_dates,
        "fraud_dates": conversion_dates | touch_flag_dates | cost_dates,
        "credit_dates": event_dates | credited,
        "revenue_dates": revenue_dates,
        "activity_dates": activity_dates(connection, revenue_dates, lived),
        "cohort_dates": cohort_dates,
        "campaign_dates": cohort_dates | touch_dates | cost_dates | ageing,
        "journey_dates": journey_dates,
        "path_dates": cohort_dates | journey_dates,
        "ingest_dates": ingest_dates,
    }


def _add_installs_of_the_same_devices(connection: duckdb.DuckDBPyConnection) -> None:
    """Let `changed_installs` grow until no other install shares a device id with one of them.

    An id with more installs than a device may have, not counting those that change, makes no device before or after
    this run and is passed over: one id of a broken SDK would otherwise bring back all history every day.
    """
    connection.execute(
        f"""
        create temp table crowded as
            select app_id, id
            from (
                select app_id, unnest([{_KINDED_IDS}]) as id
                from silver.int_installs anti join changed_installs using (app_id, install_id)
            )
            where id is not null group by app_id, id having count(*) > {DEVICE_INSTALLS};
        create temp table frontier as
            select app_id, unnest([{_KINDED_IDS}]) as id from new_events where makes_install
            union
            select app_id, unnest([{_KINDED_IDS}])
            from silver.int_installs semi join changed_installs using (app_id, install_id)
        """
    )
    while True:
        connection.execute(
            f"""
            create or replace temp table found as
                select i.app_id, i.install_id
                from (select app_id, install_id, unnest([{_KINDED_IDS}]) as id from silver.int_installs) i
                semi join (from frontier anti join crowded using (app_id, id)) f on i.app_id = f.app_id and i.id = f.id
                anti join changed_installs c on i.app_id = c.app_id and i.install_id = c.install_id
                group by all
            """
        )
        if not count(connection, "found"):
            return
        connection.execute(
            f"""
            insert into changed_installs select * from found;
            create or replace temp table frontier as
                select app_id, unnest([{_KINDED_IDS}]) as id
                from silver.int_installs semi join found using (app_id, install_id)
            """
        )


def _active_dates(connection: duckdb.DuckDBPyConnection, conversion_dates: set[date]) -> tuple[set[date], set[date]]:
    """Dates with events, and dates with opens, of users whose conversion may be decided anew, on any install of
    their device."""
    if not conversion_dates:
        return set(), set()
    connection.execute("create temp table conversion_dates (conversion_date date)")
    connection.execute(
        "insert into conversion_dates select unnest(?::date[])", [[d.isoformat() for d in sorted(conversion_dates)]]
    )
    rows = connection.execute(
        f"""
        with devices as (
            select distinct app_id, device_id
            from silver.int_conversions semi join conversion_dates using (conversion_date)
        ),
        installs as (
            select distinct app_id, install_id from silver.int_conversions semi join devices using (app_id, device_id)
        ),
        -- One that is new to the lake has no conversion yet, and what came in before it may be its own.
        credited as (from installs union select app_id, install_id from changed_installs)
        select distinct e.event_date, e.record_type = 'session' as is_open
            from silver.stg_app_events e semi join installs using (app_id, install_id)
            where e.event_date >= date '{min(conversion_dates).isoformat()}'
            and e.record_type in ('event', 'ad_revenue', 'uninstall', 'session')
        union
        -- Renewals name no install, but are credited through one.
        select distinct r.event_date, false from silver.int_money_events r semi join credited using (app_id, install_id)
            where r.is_inherited
        union
        -- Of an install that is new to the lake also what a wrong clock put before it.
        select distinct e.event_date, e.record_type = 'session' as is_open
            from silver.stg_app_events e semi join changed_installs using (app_id, install_id)
            where e.record_type in ('event', 'ad_revenue', 'uninstall', 'session')
        """
    ).fetchall()
    return {day for day, is_open in rows if not is_open}, {day for day, is_open in rows if is_open}


def _site_days(connection: duckdb.DuckDBPyConnection) -> int:
    """Days over which the fraud rules judge a site; the longest that ever was in force."""
    sql = "select max(threshold_value) from rules.rule_fraud_thresholds where threshold = 'site_window_days'"
    return max(int(connection.execute(sql).fetchall()[0][0]), 1)


def _ageing_dates(connection: duckdb.DuckDBPyConnection) -> tuple[set[date], set[date]]:
    """Install dates whose maturity may change, as some app's watermark (its latest lived instant) moves; and the dates
    that watermarks pass, with one more on either side, as apps may report in other zones."""
    connection.execute(
        """
        create temp table arrived as
            select n.app_id, max(least(n.event_at, n.received_at)) as latest,
                min(least(n.event_at, n.received_at)) as earliest, any_value(w.watermark_at) as before
            from new_events n left join silver.int_watermarks w using (app_id) group by n.app_id;
        -- A copy with another time replaces the known row, which takes the watermark back if no other row is as late.
        create temp table shaken as
            select distinct app_id from known_events k semi join arrived a
                on k.app_id = a.app_id and least(k.event_at, k.received_at) >= a.before;
        """
    )
    # All of history is looked at only if a row that the watermark rests on came again.
    kept = (
        """
        select s.app_id, max(least(s.event_at, s.received_at)) as watermark
        from silver.stg_app_events s
        semi join shaken on s.app_id = shaken.app_id
        anti join new_events n on s.app_id = n.app_id and s.record_id = n.record_id
        group by s.app_id
        """
        if count(connection, "shaken")
        else "select null::varchar as app_id, null::timestamptz as watermark where false"
    )
    rows = connection.execute(
        f"""
        with kept as ({kept})
        select
            case when s.app_id is null then coalesce(a.before, a.earliest)
                else least(a.before, coalesce(greatest(k.watermark, a.earliest), a.earliest)) end::date,
            greatest(a.before, a.latest)::date
        from arrived a left join kept k using (app_id) left join shaken s using (app_id)
        """
    ).fetchall()
    ageing: set[date] = set()
    lived: set[date] = set()
    for earliest, latest in rows:
        first = earliest - timedelta(days=COHORT_DAYS + 2)
        ageing |= {first + timedelta(days=n) for n in range((latest - first).days + 1)}
        lived |= {earliest + timedelta(days=n) for n in range(-1, (latest - earliest).days + 2)}
    return ageing, lived


def _longest_window_days(connection: duckdb.DuckDBPyConnection) -> int:
    hours = connection.execute("select max(window_hours) from rules.rule_attribution_windows").fetchall()[0][0]
    return -(-int(hours) // 24)
