{{ config(meta={'plan': 'journey_dates'}, partition_by='path_date') }}

-- Journeys that ended without a conversion. A person is the strongest id on a touch; a journey ends at a touch that no
-- other follows within the look-back, and holds the touches of the look-back before that one, as a conversion's path
-- does. So a date depends on touches and installs at most the look-back away, and can be built by itself.
{% set lookback = var('attribution_lookback_days') | int %}
{% set ids = ['gaid', 'idfa', 'oaid', 'idfv', 'app_set_id', 'android_id', 'user_id', 'click_id'] %}

with

touches as (
    select
        app_id,
        record_id as touch_id,
        event_at as touch_at,
        event_date as touch_date,
        coalesce(partner, 'unknown') as partner,
        coalesce(campaign_id, '') as campaign_id,
        case
            {% for id in ids -%}
            when {{ id }} is not null then concat('{{ id }}:', {{ id }})
            {% endfor -%}
        end as person_key
    from {{ ref('stg_touchpoints') }}
    where
        environment = 'production'
        -- What could never win an install is no lost chance either.
        and coalesce(is_signature_valid, true)
        and coalesce(has_ad_user_data_consent, true)
        and not coalesce(is_retargeting, false)
        and {{ is_path_touch('record_type') }}
        and {{ planned_dates('event_date', days_before=lookback, days_after=lookback) }}
),

followed as (
    select
        *,
        lead(touch_at) over (partition by app_id, person_key order by touch_at, touch_id) as next_touch_at
    from touches
    where person_key is not null
),

-- The last touch of a journey: nobody followed, or only after the look-back.
ends as (
    select
        *,
        case
            when next_touch_at is null or {{ add_hours('touch_at', 24 * lookback) }} < next_touch_at then touch_id
        end as end_id
    from followed
),

grouped as (
    select
        *,
        min(case when end_id is not null then touch_at end) over journey_from_here as end_at
    from ends
    window
        journey_from_here as (
            partition by app_id, person_key
            order by touch_at, touch_id
            rows between current row and unbounded following
        )
),

matched as (
    select distinct app_id, touch_id
    from {{ ref('int_touch_matches') }}
    where {{ planned_dates('install_date', days_before=lookback, days_after=lookback) }}
),

placed as (
    select
        grouped.*,
        row_number() over journey as place,
        count(*) over (partition by grouped.app_id, grouped.person_key, grouped.end_at) as touch_count,
        max(case when matched.touch_id is null then 0 else 1 end) over (
            partition by grouped.app_id, grouped.person_key, grouped.end_at
        ) as has_match
    from grouped
    left join matched on grouped.app_id = matched.app_id and grouped.touch_id = matched.touch_id
    where grouped.end_at <= {{ add_hours('grouped.touch_at', 24 * lookback) }}
    window
        journey as (
            partition by grouped.app_id, grouped.person_key, grouped.end_at
            order by grouped.touch_at, grouped.touch_id
        )
),

kept as (
    select
        *,
        {{ kept_position('place', 'touch_count') }} as position
    from placed
    where has_match = 0
),

journeys as (
    select
        app_id,
        cast(end_at as date) as path_date,
        {{ path_text('partner', 'position') }} as partner_path,
        {{ path_text('campaign_id', 'position') }} as campaign_path
    from kept
    where position is not null
    group by app_id, person_key, end_at
)

select
    app_id,
    path_date,
    partner_path,
    campaign_path,
    count(*) as path_count
from journeys
where {{ planned_dates('path_date') }}
group by app_id, path_date, partner_path, campaign_path
