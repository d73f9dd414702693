-- What was earned is the same by cohort and by day, for each campaign and kind; the gross of a cohort that gains no
-- members never falls; parts make the whole; and campaigns together have every entry.
{% set amounts = money_amounts() | map('first') | list %}

with

cohorts as (
    select
        app_id,
        {{ add_days('install_date', 'day_n') }} as date,
        partner,
        campaign_id,
        sum(net_revenue) as net_revenue
    from {{ ref('cohort_revenue') }}
    where day_clock = 'calendar' and mature_installs > 0
    group by 1, 2, 3, 4
),

days as (
    select
        daily.app_id,
        daily.date,
        daily.partner,
        daily.campaign_id,
        sum(daily.cohort_net_revenue) as net_revenue,
        sum(daily.amounts_without_rate) as amounts_without_rate
    from {{ ref('revenue_daily') }} as daily
    inner join {{ ref('int_watermarks') }} as watermark on daily.app_id = watermark.app_id
    where daily.date < watermark.watermark_date
    group by daily.app_id, daily.date, daily.partner, daily.campaign_id
),

lives as (
    select
        *,
        mature_installs = cohort_installs as is_whole,
        cumulative_purchase_revenue + cumulative_subscription_revenue as gross_revenue,
        lag(cumulative_purchase_revenue + cumulative_subscription_revenue) over (
            partition by app_id, install_date, platform, partner, campaign_id, day_clock order by day_n
        ) as gross_revenue_before
    from {{ ref('cohort_revenue') }}
    where mature_installs > 0
),

entries as (
    select app_id, event_date as date, sum(revenue) + coalesce(sum(store_fee), 0) as net_revenue
    from {{ ref('int_money_events') }}
    where is_counted
    group by app_id, event_date
),

campaigns as (
    select app_id, date, sum(net_revenue) as net_revenue, sum(amounts_without_rate) as amounts_without_rate
    from {{ ref('revenue_daily') }}
    group by app_id, date
)

select 'cohorts' as broken, cohorts.app_id, cohorts.date, cohorts.net_revenue as found, days.net_revenue as wanted
from cohorts
left join days
    on
        cohorts.app_id = days.app_id
        and cohorts.date = days.date
        and cohorts.partner = days.partner
        and cohorts.campaign_id = days.campaign_id
where coalesce(days.amounts_without_rate, 0) = 0 and coalesce(cohorts.net_revenue, 0) != coalesce(days.net_revenue, 0)
union all
select 'days' as broken, days.app_id, days.date, days.net_revenue as found, null as wanted
from days
left join cohorts
    on
        days.app_id = cohorts.app_id
        and days.date = cohorts.date
        and days.partner = cohorts.partner
        and days.campaign_id = cohorts.campaign_id
where days.net_revenue != 0 and cohorts.app_id is null
union all
select 'parts' as broken, app_id, date, net_revenue as found, null as wanted
from {{ ref('revenue_daily') }}
where
    net_revenue != {{ amounts | join(' + ') }}
    or (net_revenue is null) != (amounts_without_rate > 0)
    or purchase_revenue + subscription_revenue != validated_revenue + unvalidated_revenue
    or ad_revenue
    != ad_revenue_exact + ad_revenue_publisher_defined + ad_revenue_estimated + ad_revenue_undisclosed
union all
select
    'cohort parts' as broken,
    app_id,
    install_date as date,
    cumulative_net_revenue as found,
    gross_revenue_before as wanted
from lives
where
    (is_whole and gross_revenue < gross_revenue_before)
    or cumulative_net_revenue != cumulative_{{ amounts | join(' + cumulative_') }}
    or net_revenue != {{ amounts | join(' + ') }}
    or (
        reporting_currency = 'USD'
        and cumulative_net_revenue - cumulative_store_fees - cumulative_allocated_ad_revenue != cumulative_revenue_usd
    )
union all
select
    'campaigns' as broken,
    campaigns.app_id,
    campaigns.date,
    campaigns.net_revenue as found,
    entries.net_revenue as wanted
from campaigns
left join entries on campaigns.app_id = entries.app_id and campaigns.date = entries.date
where campaigns.amounts_without_rate = 0 and campaigns.net_revenue != coalesce(entries.net_revenue, 0)
