{{ config(meta={'plan': 'touch_flag_dates'}, partition_by='touch_date') }}

-- A repeat is told by the click before it, which may lie a day back: the date set is a day wider than the touches.
with

touches as (
    select
        app_id,
        record_id as touch_id,
        event_date as touch_date,
        event_at,
        record_type,
        partner,
        campaign_id,
        click_id,
        coalesce(gaid, idfa, oaid, idfv, app_set_id, android_id) as device_key,
        ip_prefix,
        is_signature_valid
    from {{ ref('stg_touchpoints') }}
    where environment = 'production' and {{ planned_dates('event_date', days_before=1) }}
),

clicks as (
    select * from touches where record_type = 'click'
),

-- Of clicks at the same instant the least id is the first, so that every run flags the same ones.
repeats as (
    select
        app_id,
        touch_id,
        touch_date,
        {{ seconds_between(
            'lag(event_at) over (partition by app_id, partner, campaign_id, click_id order by event_at, touch_id)',
            'event_at'
        ) }} as gap_s
    from clicks
    where click_id is not null
    union all
    select
        app_id,
        touch_id,
        touch_date,
        {{ seconds_between(
            'lag(event_at) over (partition by app_id, partner, campaign_id, device_key order by event_at, touch_id)',
            'event_at'
        ) }} as gap_s
    from clicks
    where device_key is not null
),

busy as (
    select
        app_id,
        touch_id,
        touch_date,
        count(*) over (partition by app_id, partner, device_key, touch_date) as day_clicks
    from clicks
    where device_key is not null
),

flags as (
    select
        app_id,
        touch_id,
        touch_date,
        'duplicate_click' as flag_code,
        cast(min(gap_s) as double) as flag_value
    from repeats
    where gap_s <= {{ fraud_threshold('duplicate_click_s', 'touch_date') }}
    group by app_id, touch_id, touch_date
    union all
    select
        app_id,
        touch_id,
        touch_date,
        'click_flood_device' as flag_code,
        cast(day_clicks as double) as flag_value
    from busy
    where day_clicks > {{ fraud_threshold('clicks_per_device_day', 'touch_date') }}
    union all
    select
        app_id,
        touch_id,
        touch_date,
        'signature_invalid' as flag_code,
        cast(null as double) as flag_value
    from touches
    where not is_signature_valid
    union all
    select
        touch.app_id,
        touch.touch_id,
        touch.touch_date,
        'ip_' || list.ip_class as flag_code,
        cast(null as double) as flag_value
    from touches as touch
    inner join {{ ref('rule_ip_lists') }} as list on touch.ip_prefix = list.ip_prefix
)

select
    app_id,
    touch_id,
    touch_date,
    flag_code,
    flag_value
from flags
where {{ planned_dates('touch_date') }}
