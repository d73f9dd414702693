-- Identities of curves and of activity: each row is a fault with its name.
with

curves as (
    select
        *,
        lag(mature_users) over periods as mature_before,
        lag(rolling_users) over periods as rolling_before,
        lag(cumulative_users) over periods as cumulative_before
    from {{ ref('retention_curves') }}
    where unit != 'bracket'
    window
        periods as (
            partition by
                app_id, cohort_kind, cohort_date, dimension, platform, partner, campaign_id, country, unit, day_clock
            order by period_n
        )
),

-- The same users are in every split, on every clock and in every unit, and those of install cohorts are the installs.
splits as (
    select app_id, cohort_kind, dimension, unit, day_clock, sum(cohort_users) as users
    from {{ ref('retention_curves') }}
    where period_n = 0 and unit != 'bracket'
    group by app_id, cohort_kind, dimension, unit, day_clock
),

most as (
    select app_id, cohort_kind, max(users) as users from splits group by app_id, cohort_kind
),

installs as (
    select app_id, count(*) as users from {{ ref('attributed_installs') }} where is_primary group by app_id
),

-- Blocks of 24 hours know no zone, so the older mart has the same sums whatever the app reports in.
classic as (
    select app_id, platform, partner, campaign_id, period_n as day_n, sum(active_users) as users
    from {{ ref('retention_curves') }}
    where cohort_kind = 'install' and dimension = 'campaign' and unit = 'day' and day_clock = 'elapsed_24h'
    group by app_id, platform, partner, campaign_id, period_n
),

retained as (
    select app_id, platform, partner, campaign_id, day_n, sum(retained_installs) as users
    from {{ ref('cohort_retention') }}
    where day_clock = 'elapsed_24h'
    group by app_id, platform, partner, campaign_id, day_n
)

select app_id, 'a cumulative number falls, a rolling one rises, or a classic one exceeds it' as fault
from curves
where
    rolling_users < active_users
    or (period_n >= 1 and cumulative_users < active_users)
    or (mature_users = mature_before and (rolling_users > rolling_before or cumulative_users < cumulative_before))
union all
select splits.app_id, 'a split lost users of its cohorts' as fault
from splits
inner join most on splits.app_id = most.app_id and splits.cohort_kind = most.cohort_kind
left join installs on splits.app_id = installs.app_id
where splits.users != most.users or (splits.cohort_kind = 'install' and splits.users is distinct from installs.users)
union all
select app_id, 'cohort_retention is not the classic curve of installs' as fault
from classic
full outer join retained using (app_id, platform, partner, campaign_id, day_n)
where classic.users is distinct from retained.users
union all
select app_id, 'new, retained and resurrected users are not the active ones, or more than the live ones' as fault
from {{ ref('activity_daily') }}
where
    active_users != new_users + retained_users + resurrected_users
    or active_users > weekly_users
    or weekly_users > monthly_users
    or live_users < active_users
