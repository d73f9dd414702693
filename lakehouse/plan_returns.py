"""Dates on which opens may become, or cease to be, returns after a retargeting touch: a part of the date sets."""

from __future__ import annotations

from datetime import date
from typing import Final

import duckdb

from lakehouse.plan_queries import TOUCH_IDS, count, dates_of, following

# The variable activity_lookback_days of the dbt project.
ACTIVITY_DAYS: Final = 30


def reengagement_dates(connection: duckdb.DuckDBPyConnection, days: int) -> set[date]:
    """Dates on which an open may become, or cease to be, one that a retargeting touch brought about.

    Nothing is looked for as long as no touch is of a retargeting campaign.
    """
    touched = following(
        dates_of(
            connection,
            "select event_date from new_touches where is_retargeting"
            " union select event_date from known_touches where is_retargeting",
        ),
        days,
    )
    if (
        not touched
        and not count(connection, "silver.int_reengagement_opens")
        and not count(connection, "silver.stg_touchpoints where is_retargeting")
    ):
        return set()
    keys = " union ".join(
        f"""
        select s.app_id, s.install_id, s.event_date from sessions s
        join installs i on s.app_id = i.app_id and s.install_id = i.install_id
        join touches t on i.app_id = t.app_id and i.{name} = t.{name}
        """
        for name in TOUCH_IDS.split(", ")
    )
    # The click id in a referrer is read out in staging only, so of new installs every referrer is taken for one.
    keys += """
        union
        select s.app_id, s.install_id, s.event_date from sessions s
        join silver.int_installs i on s.app_id = i.app_id and s.install_id = i.install_id
        join touches t on i.app_id = t.app_id and i.referrer_click_id = t.click_id
        union
        select s.app_id, s.install_id, s.event_date from sessions s
        join new_events n on s.app_id = n.app_id and s.install_id = n.install_id
        where n.makes_install and n.referrer is not null
    """
    opened = dates_of(
        connection,
        f"""
        with sessions as (
            select app_id, install_id, event_date from new_events where is_session
            union select app_id, install_id, event_date from known_events where is_session
            -- Sessions that came before the install they belong to.
            union select e.app_id, e.install_id, e.event_date from silver.stg_app_events e
                semi join changed_installs c on e.app_id = c.app_id and e.install_id = c.install_id
                where e.record_type = 'session'
        ),
        installs as (
            select app_id, install_id, {TOUCH_IDS} from silver.int_installs
            union all select app_id, install_id, {TOUCH_IDS} from new_events where makes_install
        ),
        touches as (
            select app_id, {TOUCH_IDS} from silver.stg_touchpoints where is_retargeting
            union all select app_id, {TOUCH_IDS} from new_touches where is_retargeting
        )
        select distinct event_date from ({keys})
        """,
    )
    said = dates_of(
        connection,
        """
        select distinct o.conversion_date from silver.int_reengagement_opens o
            join (
                select app_id, install_id, event_at from bronze_new.bronze_consents
                union all
                select s.app_id, s.install_id, s.event_at from silver.stg_consents s
                    semi join bronze_new.bronze_consents n on s.app_id = n.app_id and s.record_id = n.record_id
            ) said on o.app_id = said.app_id and o.install_id = said.install_id and o.conversion_at >= said.event_at
        union
        select distinct conversion_date from silver.int_reengagement_opens
            semi join changed_installs using (app_id, install_id)
        """,
    )
    # An open changes what the opens after it are: whether they are the first, how long the user had been away.
    later = following(opened, max(days, ACTIVITY_DAYS)) & dates_of(
        connection, "select distinct conversion_date from silver.int_reengagement_opens"
    )
    return touched | opened | said | later
