"""What installs have earned: one row per install in the table `money`, made from the installs in the table `known`.

A day counts as in `campaign_daily`: D7 is days 0 to 7 in UTC dates, null until day 7 is over in the data of the app.
What a user earns after a reinstall is that of the install which counts for it under the rules in force now.
"""

from __future__ import annotations

from typing import Final

# `known` has app_id, install_id, install_date, install_at.
EARNINGS: Final = """
    create temp table earned as
        select known.app_id, known.install_id,
            sum(case when date_diff('day', known.install_date, event_date) <= 7 then revenue_usd else 0 end) as d7,
            sum(case when date_diff('day', known.install_date, event_date) <= 30 then revenue_usd else 0 end) as d30,
            sum(revenue_usd) as total
        from silver.int_revenue_events as revenue
        join silver.int_conversions as member
            on revenue.app_id = member.app_id and revenue.install_id = member.install_id
            and member.conversion_type != 'reengagement'
        join known on member.app_id = known.app_id and member.counted_install_id = known.install_id
        where event_at >= known.install_at
        group by known.app_id, known.install_id;
    create temp table money as
        select app_id, install_id,
            cast(case when mature_day >= 7 then coalesce(d7, 0) end as decimal(18, 6)) as revenue_d7_usd,
            cast(case when mature_day >= 30 then coalesce(d30, 0) end as decimal(18, 6)) as revenue_d30_usd,
            cast(coalesce(total, 0) as decimal(18, 6)) as revenue_usd
        from (
            select known.*, coalesce(date_diff('day', install_date, watermark_date) - 1, -1) as mature_day
            from known left join silver.int_watermarks as watermark on known.app_id = watermark.app_id
        )
        left join earned using (app_id, install_id);
"""
