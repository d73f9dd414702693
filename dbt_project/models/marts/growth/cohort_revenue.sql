{{ config(meta={'plan': 'cohort_dates'}, partition_by='install_date') }}

{% set last_day = var('cohort_days') | int %}
{% set amounts = money_amounts() | map('first') | list %}
{% set counts = money_counts() | map('first') | list %}

with

installs as (
    {{ cohort_installs() }}
),

members as (
    {{ cohort_members('installs') }}
),

payments as (
    select
        install.install_number,
        install.cohort_number,
        install.mature_calendar_day,
        install.mature_elapsed_day,
        {{ days_between('install.install_date', 'entry.event_date') }} as calendar_day,
        {{ elapsed_days('install.install_at', 'entry.event_at') }} as elapsed_day,
        entry.revenue_usd,
        {%- for name, amount in money_amounts() %}
            {{ amount }} as {{ name }},
        {%- endfor %}
        {%- for name, counted in money_counts() %}
            {{ counted }} as {{ name }},
        {%- endfor %}
        entry.entry_code in ('purchase', 'subscription') and entry.amount_micros > 0 as is_purchase
    from {{ ref('int_money_events') }} as entry
    inner join members as install on entry.app_id = install.app_id and entry.install_id = install.member_id
    where
        entry.event_at >= install.install_at
        and {{ planned_dates('entry.event_date', days_after=last_day + 1) }}
),

clocked as (
    select *, 'calendar' as day_clock, calendar_day as day_n, mature_calendar_day as mature_day from payments
    union all
    select *, 'elapsed_24h' as day_clock, elapsed_day as day_n, mature_elapsed_day as mature_day from payments
),

-- Few rows per cohort: users of one install date come of age within a day of each other.
revenue_by_day as (
    select
        cohort_number,
        day_clock,
        mature_day,
        day_n,
        {%- for name in amounts %}
            sum({{ name }}) as {{ name }},
        {%- endfor %}
        {%- for name in counts %}
            count({{ name }}) as {{ name }},
        {%- endfor %}
        sum(revenue_usd) as revenue_usd
    from clocked
    where day_n <= {{ last_day }}
    group by cohort_number, day_clock, mature_day, day_n
),

first_purchases as (
    select cohort_number, day_clock, mature_day, day_n, count(*) as payers
    from (
        select install_number, cohort_number, day_clock, mature_day, min(day_n) as day_n
        from clocked
        where is_purchase
        group by install_number, cohort_number, day_clock, mature_day
    ) as first_purchase
    group by cohort_number, day_clock, mature_day, day_n
),

days as (
    {{ day_numbers(last_day) }}
),

-- Day N looks at the same users in every column: those whose day N is over.
revenue as (
    select
        part.cohort_number,
        part.day_clock,
        days.day_n,
        {%- for name in amounts + counts %}
            sum(case when part.day_n = days.day_n then part.{{ name }} end) as {{ name }},
            sum(part.{{ name }}) as cumulative_{{ name }},
        {%- endfor %}
        sum(case when part.day_n = days.day_n then part.revenue_usd else 0 end) as revenue_usd,
        sum(part.revenue_usd) as cumulative_revenue_usd
    from revenue_by_day as part
    inner join days on part.day_n <= days.day_n and part.mature_day >= days.day_n
    group by part.cohort_number, part.day_clock, days.day_n
),

paying as (
    select part.cohort_number, part.day_clock, days.day_n, sum(part.payers) as paying_installs
    from first_purchases as part
    inner join days on part.day_n <= days.day_n and part.mature_day >= days.day_n
    group by part.cohort_number, part.day_clock, days.day_n
),

grid as (
    {{ cohort_grid('installs', last_day) }}
)

select
    grid.app_id,
    grid.install_date,
    grid.platform,
    grid.partner,
    grid.campaign_id,
    grid.day_clock,
    grid.day_n,
    grid.cohort_installs,
    grid.mature_installs,
    case when grid.mature_installs > 0 then cast(coalesce(revenue.revenue_usd, 0) as decimal(18, 6)) end as revenue_usd,
    case when grid.mature_installs > 0 then cast(coalesce(revenue.cumulative_revenue_usd, 0) as decimal(18, 6)) end
        as cumulative_revenue_usd,
    case when grid.mature_installs > 0 then cast(coalesce(paying.paying_installs, 0) as bigint) end as paying_installs,
    {%- for name in amounts %}
        case
            when grid.mature_installs > 0 and coalesce(revenue.amounts_without_rate, 0) = 0
                then cast(coalesce(revenue.{{ name }}, 0) as decimal(18, 6))
        end as {{ name }},
    {%- endfor %}
    case
        when grid.mature_installs > 0 and coalesce(revenue.amounts_without_rate, 0) = 0
            then
                cast(
                    {%- for name in amounts %}
                        {{ '+ ' if not loop.first }}coalesce(revenue.{{ name }}, 0)
                    {%- endfor %}
                    as decimal(18, 6)
                )
    end as net_revenue,
    {%- for name in counts %}
        case when grid.mature_installs > 0 then cast(coalesce(revenue.{{ name }}, 0) as bigint) end
            as {{ name }},
    {%- endfor %}
    {%- for name in amounts %}
        case
            when grid.mature_installs > 0 and coalesce(revenue.cumulative_amounts_without_rate, 0) = 0
                then cast(coalesce(revenue.cumulative_{{ name }}, 0) as decimal(18, 6))
        end as cumulative_{{ name }},
    {%- endfor %}
    case
        when grid.mature_installs > 0 and coalesce(revenue.cumulative_amounts_without_rate, 0) = 0
            then
                cast(
                    {%- for name in amounts %}
                        {{ '+ ' if not loop.first }}coalesce(revenue.cumulative_{{ name }}, 0)
                    {%- endfor %}
                    as decimal(18, 6)
                )
    end as cumulative_net_revenue,
    {%- for name in counts %}
        case when grid.mature_installs > 0 then cast(coalesce(revenue.cumulative_{{ name }}, 0) as bigint) end
            as cumulative_{{ name }},
    {%- endfor %}
    coalesce(own.reporting_currency, everyone.reporting_currency) as reporting_currency
from grid
left join revenue
    on
        grid.cohort_number = revenue.cohort_number
        and grid.day_clock = revenue.day_clock
        and grid.day_n = revenue.day_n
left join paying
    on
        grid.cohort_number = paying.cohort_number
        and grid.day_clock = paying.day_clock
        and grid.day_n = paying.day_n
{{ join_app_rule('rule_revenue_policies', 'grid.app_id', 'own', 'everyone') }}
