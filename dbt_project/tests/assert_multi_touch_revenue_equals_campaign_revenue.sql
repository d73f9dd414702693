-- Money is shared, not made: each model's revenue of a date is that of campaign_daily, and is known when that is.
with

credited as (
    select
        app_id,
        conversion_date,
        model,
        sum(credited_revenue_d7_usd) as revenue_d7_usd,
        sum(credited_revenue_d30_usd) as revenue_d30_usd
    from {{ ref('multi_touch_credit') }}
    group by app_id, conversion_date, model
),

campaigns as (
    select app_id, date, sum(revenue_d7_usd) as revenue_d7_usd, sum(revenue_d30_usd) as revenue_d30_usd
    from {{ ref('campaign_daily') }}
    group by app_id, date
)

select
    credited.*,
    campaigns.revenue_d7_usd as campaign_d7_usd,
    campaigns.revenue_d30_usd as campaign_d30_usd
from credited
inner join campaigns on credited.app_id = campaigns.app_id and credited.conversion_date = campaigns.date
where
    credited.revenue_d7_usd is distinct from campaigns.revenue_d7_usd
    or credited.revenue_d30_usd is distinct from campaigns.revenue_d30_usd
