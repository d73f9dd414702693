-- What the installs of a day have earned up to day N, against what was spent on that day. A day that is not over has no
-- row, so that sums over campaigns and dates compare the same days of both.
{% set last_day = var('cohort_days') | int %}

with

days as (
    {{ day_numbers(last_day) }}
),

spend as (
    select app_id, date, platform, partner, campaign_id, cost_usd from {{ ref('int_campaign_spend') }}
),

revenue as (
    select app_id, install_date as date, platform, partner, campaign_id, day_n, cumulative_revenue_usd, cohort_installs
    from {{ ref('cohort_revenue') }}
    where day_clock = 'calendar' and {{ is_paid('partner') }}
),

keys as (
    select app_id, date, platform, partner, campaign_id from spend
    union
    select app_id, date, platform, partner, campaign_id from revenue
)

select
    keys.app_id,
    keys.date,
    keys.platform,
    keys.partner,
    keys.campaign_id,
    days.day_n,
    cast(coalesce(revenue.cohort_installs, 0) as bigint) as installs,
    cast(coalesce(revenue.cumulative_revenue_usd, 0) as decimal(18, 6)) as cumulative_revenue_usd,
    cast(coalesce(spend.cost_usd, 0) as decimal(18, 6)) as cost_usd
from keys
inner join {{ ref('int_watermarks') }} as watermark on keys.app_id = watermark.app_id
cross join days
left join spend
    on
        keys.app_id = spend.app_id
        and keys.date = spend.date
        and keys.platform = spend.platform
        and keys.partner = spend.partner
        and keys.campaign_id = spend.campaign_id
left join revenue
    on
        keys.app_id = revenue.app_id
        and keys.date = revenue.date
        and keys.platform = revenue.platform
        and keys.partner = revenue.partner
        and keys.campaign_id = revenue.campaign_id
        and days.day_n = revenue.day_n
where days.day_n < {{ days_between('keys.date', 'watermark.watermark_date') }}
