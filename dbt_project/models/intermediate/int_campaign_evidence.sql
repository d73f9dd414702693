{{ config(meta={'plan': 'touch_dates'}, partition_by='event_date') }}

-- What touches of a day say about their campaign; one row per app_id, event_date, partner, campaign_id, campaign_name,
-- channel and adset_id. What they cost and how many they are is in int_campaign_touches.
select
    app_id,
    event_date,
    coalesce(partner, 'unknown') as partner,
    campaign_id,
    campaign_name,
    channel,
    adset_id,
    max(event_at) as last_at
from {{ ref('stg_touchpoints') }}
where
    campaign_id is not null
    and environment = 'production'
    and {{ planned_dates('event_date') }}
group by app_id, event_date, coalesce(partner, 'unknown'), campaign_id, campaign_name, channel, adset_id
