{{ config(meta={'plan': 'cohort_dates'}, partition_by='install_date') }}

{% set last_day = var('cohort_days') | int %}

with

installs as (
    {{ cohort_installs() }}
),

members as (
    {{ cohort_members('installs') }}
),

-- Opens of the app after the install; the install record itself is never one. Two numbers per install and day at most,
-- whatever the number of events.
activity as (
    select distinct
        install.install_number,
        {{ days_between('install.install_date', 'event.event_date') }} as calendar_day,
        {{ elapsed_days('install.install_at', 'event.event_at') }} as elapsed_day
    from {{ ref('stg_app_events') }} as event
    inner join members as install on event.app_id = install.app_id and event.install_id = install.member_id
    where
        event.record_type in ('session', 'event', 'ad_revenue')
        and event.environment = 'production'
        and event.event_at >= install.install_at
        and {{ planned_dates('event.event_date', days_after=last_day + 1) }}
),

-- The open that made the install is the activity of day 0 and of no other day.
active_days as (
    select distinct install_number, 'calendar' as day_clock, calendar_day as day_n from activity
    union
    select distinct install_number, 'elapsed_24h' as day_clock, elapsed_day as day_n from activity
    union
    select install_number, 'calendar' as day_clock, 0 as day_n from installs
    union
    select install_number, 'elapsed_24h' as day_clock, 0 as day_n from installs
),

retained as (
    select
        install.cohort_number,
        active.day_clock,
        active.day_n,
        count(*) as retained_installs
    from active_days as active
    inner join installs as install on active.install_number = install.install_number
    where
        active.day_n <= {{ last_day }}
        and active.day_n <= case
            when active.day_clock = 'calendar' then install.mature_calendar_day else install.mature_elapsed_day
        end
    group by install.cohort_number, active.day_clock, active.day_n
),

grid as (
    {{ cohort_grid('installs', last_day) }}
)

select
    grid.app_id,
    grid.install_date,
    grid.platform,
    grid.partner,
    grid.campaign_id,
    grid.day_clock,
    grid.day_n,
    grid.cohort_installs,
    grid.mature_installs,
    case when grid.mature_installs > 0 then coalesce(retained.retained_installs, 0) end as retained_installs
from grid
left join retained
    on
        grid.cohort_number = retained.cohort_number
        and grid.day_clock = retained.day_clock
        and grid.day_n = retained.day_n
