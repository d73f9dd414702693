{{ config(meta={'plan': 'conversion_dates'}, partition_by='conversion_date') }}

-- The first open after a touch of a retargeting campaign. Matched by ids alone: likeness never tells that a user who
-- has the app came back. Touches that match by several ids count once, as the opens are gathered, not the touches.
{% set lookback = var('attribution_lookback_days') %}
{% set ids = ['click_id', 'gaid', 'idfa', 'oaid', 'idfv', 'app_set_id', 'android_id', 'user_id'] %}
{% set keys = [('referrer_click_id', 'click_id')] %}
{% for name in ids %}{% do keys.append((name, name)) %}{% endfor %}

with

touches as (
    select *
    from {{ ref('stg_touchpoints') }}
    where
        is_retargeting
        and environment = 'production'
        and {{ planned_dates('event_date', days_before=lookback) }}
),

touched_installs as (
    {% for install_key, touch_key in keys -%}
        select
            install.app_id,
            install.install_id,
            touch.record_id as touch_id,
            touch.event_at as touch_at,
            touch.event_date as touch_date
        from touches as touch
        inner join {{ ref('int_installs') }} as install
            on touch.app_id = install.app_id and touch.{{ touch_key }} = install.{{ install_key }}
        where install.install_at < touch.event_at
        {% if not loop.last %}union{% endif %}
    {% endfor %}
),

opens as (
    select
        session.app_id,
        session.install_id,
        session.record_id,
        session.event_at,
        session.event_date,
        touched.touch_id,
        row_number() over (
            partition by session.app_id, session.install_id, touched.touch_id
            order by session.event_at, session.record_id
        ) as open_number
    from touched_installs as touched
    inner join {{ ref('stg_app_events') }} as session
        on touched.app_id = session.app_id and touched.install_id = session.install_id
    where
        session.record_type = 'session'
        and session.environment = 'production'
        and session.event_at >= touched.touch_at
        and {{ days_between('touched.touch_date', 'session.event_date') }} <= {{ lookback }}
        and {{ planned_dates('session.event_date', days_before=lookback) }}
)

select distinct
    app_id,
    record_id as conversion_id,
    install_id,
    event_at as conversion_at,
    event_date as conversion_date
from opens
where open_number = 1 and {{ planned_dates('event_date') }}
