-- For calendar days that are over, what cohorts earned up to day 30 is what their users' events say, and campaign_daily
-- says the same.
with

cohorts as (
    select app_id, install_date, sum(cumulative_revenue_usd) as revenue_usd
    from {{ ref('cohort_revenue') }}
    where day_clock = 'calendar' and day_n = 30 and mature_installs > 0
    group by app_id, install_date
),

campaigns as (
    select app_id, date as install_date, sum(revenue_d30_usd) as revenue_usd
    from {{ ref('campaign_daily') }}
    where is_mature_d30 and installs > 0
    group by app_id, date
),

events as (
    select
        install.app_id,
        install.install_date,
        sum(
            case
                when
                    revenue.event_at >= install.install_at
                    and {{ days_between('install.install_date', 'revenue.event_date') }} <= 30
                    then revenue.revenue_usd
                else 0
            end
        ) as revenue_usd
    from {{ ref('attributed_installs') }} as install
    inner join {{ ref('int_watermarks') }} as watermark on install.app_id = watermark.app_id
    left join {{ ref('int_conversions') }} as member
        on
            install.app_id = member.app_id
            and install.install_id = member.counted_install_id
            and member.conversion_type != 'reengagement'
    left join {{ ref('int_revenue_events') }} as revenue
        on member.app_id = revenue.app_id and member.install_id = revenue.install_id
    where {{ days_between('install.install_date', 'watermark.watermark_date') }} > 30
    group by install.app_id, install.install_date
)

select
    events.app_id,
    events.install_date,
    events.revenue_usd as event_revenue_usd,
    cohorts.revenue_usd as cohort_revenue_usd,
    campaigns.revenue_usd as campaign_revenue_usd
from events
left join cohorts on events.app_id = cohorts.app_id and events.install_date = cohorts.install_date
left join campaigns on events.app_id = campaigns.app_id and events.install_date = campaigns.install_date
where
    coalesce(cohorts.revenue_usd, -1) != coalesce(events.revenue_usd, 0)
    or coalesce(campaigns.revenue_usd, -1) != coalesce(events.revenue_usd, 0)
