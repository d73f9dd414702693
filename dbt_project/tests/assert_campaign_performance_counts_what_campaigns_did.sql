-- Mapping moves costs between campaigns, never touches, installs or revenue.
with

performance as (
    select
        app_id,
        date,
        sum(impressions + clicks + installs) as counted,
        sum(coalesce(roas_d7_revenue_usd, 0)) as revenue_usd
    from {{ ref('campaign_performance') }}
    group by app_id, date
),

campaigns as (
    select
        app_id,
        date,
        sum(impressions + clicks + installs) as counted,
        sum(coalesce(roas_d7_revenue_usd, 0)) as revenue_usd
    from {{ ref('campaign_daily') }}
    group by app_id, date
)

select campaigns.app_id, campaigns.date, campaigns.counted, performance.counted as performance_counted
from campaigns
left join performance on campaigns.app_id = performance.app_id and campaigns.date = performance.date
where
    campaigns.counted != coalesce(performance.counted, 0)
    or campaigns.revenue_usd != coalesce(performance.revenue_usd, 0)
