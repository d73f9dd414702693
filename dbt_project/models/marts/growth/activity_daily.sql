{{ config(meta={'plan': 'activity_dates', 'plan_column': 'date'}) }}

-- One row per app_id, platform and date, from days of users: users of a month are not the sum of its days.
-- Each active day of a user adds one to the users of a period and takes it back when the period ends or the next active
-- day carries on, so a running sum counts distinct users.
{% set back = activity_days_before() | int %}

with

users as (
    {{ active_users() }}
),

members as (
    {{ cohort_members('users') }}
),

days as (
    select
        user_number,
        active_date,
        sum(sessions) as sessions,
        sum(session_length_s) as session_length_s,
        sum(sessions_with_length) as sessions_with_length
    from (
        select member.user_number, day.active_date, day.sessions, day.session_length_s, day.sessions_with_length
        from {{ ref('int_activity_days') }} as day
        inner join members as member on day.app_id = member.app_id and day.install_id = member.member_id
        where
            day.activity = 'any'
            and day.last_active_at >= member.install_at
            -- Dates are local, days of activity are kept by UTC date.
            and {{ planned_dates('day.event_date', days_before=back + 1, days_after=1) }}
        union all
        select user_number, install_date as active_date, 0 as sessions, 0 as session_length_s, 0 as sessions_with_length
        from users
        where {{ planned_dates('install_date', days_before=back) }}
    ) as part
    group by user_number, active_date
),

steps as (
    select
        member.app_id,
        member.platform,
        member.churn_days,
        day.*,
        day.active_date = member.install_date as is_new,
        {{ days_between('lag(day.active_date) over user_days', 'day.active_date') }} as days_away,
        {{ days_between('day.active_date', 'lead(day.active_date) over user_days') }} as days_until_next
    from days as day
    inner join users as member on day.user_number = member.user_number
    window user_days as (partition by day.user_number order by day.active_date)
),

changes as (
    select
        app_id,
        platform,
        active_date as date,
        1 as active_users,
        1 as weekly_change,
        1 as monthly_change,
        case when is_new then 1 else 0 end as new_users,
        case when not is_new and days_away <= churn_days then 1 else 0 end as retained_users,
        case when not is_new and coalesce(days_away > churn_days, true) then 1 else 0 end as resurrected_users,
        0 as churned_users,
        sessions,
        session_length_s,
        sessions_with_length
    from steps
    union all
    {% for days, change in [('7', 'weekly'), ('30', 'monthly'), ('churn_days', 'churned')] -%}
        select
            app_id,
            platform,
            {% if change == 'churned' -%}
                {{ add_days('active_date', days) }} as date,
            {% else -%}
                {{ add_days('active_date', 'least(coalesce(days_until_next, ' ~ days ~ '), ' ~ days ~ ')') }} as date,
            {% endif -%}
            0 as active_users,
            {{ -1 if change == 'weekly' else 0 }} as weekly_change,
            {{ -1 if change == 'monthly' else 0 }} as monthly_change,
            0 as new_users,
            0 as retained_users,
            0 as resurrected_users,
            {{ 1 if change == 'churned' else 0 }} as churned_users,
            0 as sessions,
            0 as session_length_s,
            0 as sessions_with_length
        from steps
        {% if change == 'churned' -%}
            where coalesce(days_until_next > churn_days, true)
        {% else -%}
            union all
        {% endif -%}
    {% endfor %}
),

spine as (
    select part.app_id, part.platform, part.watermark_date, {{ add_days('part.first_date', 'days.n') }} as date
    from (
        select app_id, platform, min(install_date) as first_date, max(watermark_date) as watermark_date
        from users
        group by app_id, platform
    ) as part
    inner join range(0, 36600) as days (n) on days.n <= {{ days_between('part.first_date', 'part.watermark_date') }}
),

daily as (
    select
        spine.app_id,
        spine.platform,
        spine.date,
        spine.date < spine.watermark_date as is_complete,
        {% for name in [
            'active_users', 'weekly_change', 'monthly_change', 'new_users', 'retained_users', 'resurrected_users',
            'churned_users', 'sessions', 'session_length_s', 'sessions_with_length'
        ] -%}
        coalesce(sum(changes.{{ name }}), 0) as {{ name }}{{ ',' if not loop.last }}
    {% endfor %}
    from spine
    left join changes using (app_id, platform, date)
    group by spine.app_id, spine.platform, spine.date, spine.watermark_date
),

summed as (
    select
        *,
        sum(weekly_change) over running as weekly_users,
        sum(monthly_change) over running as monthly_users,
        sum(new_users + resurrected_users - churned_users) over running as live_users
    from daily
    window running as (partition by app_id, platform order by date rows unbounded preceding)
)

select
    app_id,
    platform,
    date,
    is_complete,
    {% for name in [
        'active_users', 'weekly_users', 'monthly_users', 'live_users', 'new_users', 'retained_users',
        'resurrected_users', 'churned_users', 'sessions', 'session_length_s', 'sessions_with_length'
    ] -%}
    case when is_complete then cast({{ name }} as bigint) end as {{ name }}{{ ',' if not loop.last }}
{% endfor %}
from summed
where {{ planned_dates('date') }}
