{{ config(meta={'plan': 'event_dates'}, partition_by='event_date') }}

-- One row per app_id, install_id, event_date, active_date and activity. A row spans less than 24 hours, as it lies
-- within a UTC date: so its first and last instant tell exactly in which blocks of 24 hours, counted from anywhere,
-- there was activity, and marts need no single event. The install record is no activity, but what activity returns to.
with

opens as (
    select
        event.app_id,
        event.install_id,
        event.event_date,
        {{ local_date('event.event_at', "coalesce(app.time_zone, 'UTC')", 'event.event_date') }} as active_date,
        event.record_type,
        event.event_name,
        event.event_at,
        event.session_length_s
    from {{ ref('stg_app_events') }} as event
    left join {{ source('config', 'apps') }} as app on event.app_id = app.app_id
    where
        event.record_type in ('session', 'event', 'ad_revenue')
        and event.environment = 'production'
        and event.install_id is not null
        and {{ planned_dates('event.event_date') }}
)

select
    app_id,
    install_id,
    event_date,
    active_date,
    'any' as activity,
    min(event_at) as first_active_at,
    max(event_at) as last_active_at,
    cast(sum(case when record_type = 'session' then 1 else 0 end) as bigint) as sessions,
    cast(coalesce(sum(case when record_type = 'session' then session_length_s end), 0) as bigint) as session_length_s,
    count(case when record_type = 'session' then session_length_s end) as sessions_with_length
from opens
group by app_id, install_id, event_date, active_date
union all
select
    opens.app_id,
    opens.install_id,
    opens.event_date,
    opens.active_date,
    rule.cohort_kind as activity,
    min(opens.event_at) as first_active_at,
    max(opens.event_at) as last_active_at,
    cast(0 as bigint) as sessions,
    cast(0 as bigint) as session_length_s,
    cast(0 as bigint) as sessions_with_length
from opens
inner join {{ ref('rule_cohort_events') }} as rule
    on opens.event_name = rule.event_name and rule.app_id in (opens.app_id, '*')
where opens.record_type = 'event'
group by opens.app_id, opens.install_id, opens.event_date, opens.active_date, rule.cohort_kind
