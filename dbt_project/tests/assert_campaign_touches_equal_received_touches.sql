with

campaigns as (
    select app_id, date, sum(clicks) as clicks, sum(impressions) as impressions
    from {{ ref('campaign_daily') }}
    group by app_id, date
),

touches as (
    select
        app_id,
        event_date as date,
        sum(case when record_type = 'click' then 1 else 0 end) as clicks,
        sum(case when record_type = 'impression' then 1 else 0 end) as impressions
    from {{ ref('stg_touchpoints') }}
    where environment = 'production'
    group by app_id, event_date
)

select
    coalesce(campaigns.app_id, touches.app_id) as app_id,
    coalesce(campaigns.date, touches.date) as date,
    campaigns.clicks as campaign_clicks,
    touches.clicks as received_clicks
from campaigns
full outer join touches on campaigns.app_id = touches.app_id and campaigns.date = touches.date
where
    coalesce(campaigns.clicks, 0) != coalesce(touches.clicks, 0)
    or coalesce(campaigns.impressions, 0) != coalesce(touches.impressions, 0)
