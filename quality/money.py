"""Money in = money out: every amount that counts in bronze is in silver, and in the marts as far as they reach.

Amounts are exact (int64 micros, then decimals), so there is no tolerance anywhere.
"""

from __future__ import annotations

from typing import Final

from quality.invariants import Invariant, balance

_REVENUE_IN: Final = Invariant(
    name="revenue_in_is_revenue_out",
    promise="money",
    why="micros received by currency are those of the revenue events; test purchases and refused receipts are no money",
    needs=("silver.stg_app_events", "silver.int_revenue_events"),
    sql=balance(
        "app_id, currency",
        "select app_id, currency, sum(revenue_micros) as n from silver.stg_app_events "
        "where revenue_micros is not null and environment = 'production' "
        "and coalesce(receipt_state, 'none') <> 'invalid' group by all",
        "select app_id, currency, sum(amount_micros) as n from silver.int_revenue_events group by all",
    ),
)
_REVENUE_USD: Final = Invariant(
    name="revenue_has_a_value_in_usd",
    promise="money",
    why="every amount has an exchange rate; one without is missing in all marts",
    needs=("silver.int_revenue_events",),
    sql="select currency as subject, count(*) as expected, count(revenue_usd) as observed "
    "from silver.int_revenue_events group by currency",
)
# Revenue of an install within its first N UTC days, as far as the mart calls day N mature.
_REVENUE_CAMPAIGNS: Final = Invariant(
    name="revenue_reaches_campaigns",
    promise="money",
    why="D0, D7 and D30 revenue of all campaigns is that of the installs that are old enough",
    needs=("silver.int_revenue_events", "silver.int_conversions", "gold.attributed_installs", "gold.campaign_daily"),
    sql=balance(
        "app_id, day",
        """
        with earned as materialized (
            select r.app_id, i.install_date, date_diff('day', i.install_date, r.event_date) as age,
                   sum(r.revenue_usd) as revenue_usd
            from silver.int_revenue_events as r
            inner join silver.int_conversions as c
                on r.app_id = c.app_id and r.install_id = c.install_id and c.conversion_type <> 'reengagement'
            inner join gold.attributed_installs as i on c.app_id = i.app_id and c.counted_install_id = i.install_id
            where i.is_primary and r.event_at >= i.install_at
            group by all
        )
        select e.app_id, m.day, sum(e.revenue_usd) as n
        from earned as e
        inner join (
            unpivot (
                select app_id, date, bool_or(is_mature_d0) as "0", bool_or(is_mature_d7) as "7",
                       bool_or(is_mature_d30) as "30"
                from gold.campaign_daily group by all
            ) on "0", "7", "30" into name day value is_mature
        ) as m on e.app_id = m.app_id and e.install_date = m.date and m.is_mature and e.age <= m.day::int
        group by all
        """,
        """
        unpivot (
            select app_id, sum(revenue_d0_usd) as "0", sum(revenue_d7_usd) as "7", sum(revenue_d30_usd) as "30"
            from gold.campaign_daily group by all
        ) on "0", "7", "30" into name day value n
        """,
    ),
)
_REVENUE_COHORTS: Final = Invariant(
    name="cohort_revenue_matches_campaigns",
    promise="money",
    why="both marts say the same of D0, D7 and D30 revenue",
    needs=("gold.campaign_daily", "gold.cohort_revenue"),
    sql=balance(
        "app_id, partner, day_n",
        """
        select app_id, partner, day::bigint as day_n, n
        from (
            unpivot (
                select app_id, partner, sum(revenue_d0_usd) as "0", sum(revenue_d7_usd) as "7",
                       sum(revenue_d30_usd) as "30"
                from gold.campaign_daily group by all
            ) on "0", "7", "30" into name day value n
        )
        """,
        """
        select app_id, partner, day_n::bigint as day_n, sum(cumulative_revenue_usd) as n
        from gold.cohort_revenue
        where day_clock = 'calendar' and day_n in (0, 7, 30)
        group by all
        """,
    ),
)
# Rounded to micros once per row, half away from zero, before any other product: DuckDB 2.0 narrows a chain of three
# decimals by its statistics and then overflows.
_COST: Final = Invariant(
    name="cost_in_is_cost_out",
    promise="money",
    why="spend in force, in USD at the rate of its day, is the spend of all campaigns",
    needs=("silver.stg_costs", "silver.int_fx_rates", "gold.campaign_daily"),
    sql=balance(
        "app_id",
        """
        select c.app_id, sum(
            (c.cost_micros::decimal(24, 0) * f.usd_per_unit::decimal(13, 9))::decimal(24, 0) * 0.000001::decimal(7, 6)
        ) as n
        from silver.stg_costs as c
        left join silver.int_fx_rates as f
            on c.currency = f.currency and c.cost_date >= f.valid_from and c.cost_date < f.valid_until
        group by all
        """,
        "select app_id, sum(cost_usd) as n from gold.campaign_daily group by all",
    ),
)
_COST_USD: Final = Invariant(
    name="cost_has_a_value_in_usd",
    promise="money",
    why="every spend has an exchange rate; one without is missing in all marts",
    needs=("silver.int_fx_rates", "silver.stg_costs"),
    sql="""
        select c.currency as subject, count(*) as expected, count(f.usd_per_unit) as observed
        from silver.stg_costs as c
        left join silver.int_fx_rates as f
            on c.currency = f.currency and c.cost_date >= f.valid_from and c.cost_date < f.valid_until
        group by c.currency
    """,
)

MONEY_INVARIANTS: Final = (_REVENUE_IN, _REVENUE_USD, _REVENUE_CAMPAIGNS, _REVENUE_COHORTS, _COST, _COST_USD)
