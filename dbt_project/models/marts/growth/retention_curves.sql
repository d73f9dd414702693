{% set days, weeks, months = var('cohort_days') | int, var('cohort_weeks') | int, var('cohort_months') | int %}
{% set last = {'day': days, 'week': weeks, 'month': months} %}

-- One row per app_id, cohort_kind, cohort_date, dimension, platform, partner, campaign_id, country, unit, day_clock and
-- period_n. Built whole: whoever comes back on any day belongs to the rolling number of a cohort of long ago. What it
-- reads are days of users, not events. The periods in which a user was active are a set of bits: a user is one row.
with

users as (
    {{ active_users() }}
),

members as (
    {{ cohort_members('users') }}
),

activity as (
    select
        member.user_number,
        member.install_at,
        day.activity,
        day.active_date,
        day.first_active_at,
        day.last_active_at
    from {{ ref('int_activity_days') }} as day
    inner join members as member on day.app_id = member.app_id and day.install_id = member.member_id
    where day.last_active_at >= member.install_at
),

entries as (
    select user_number, 'install' as cohort_kind, install_at as cohort_at, install_date as cohort_date from users
    union all
    -- An event that a wrong clock puts before the install counts from the install on.
    select
        event.user_number,
        event.activity as cohort_kind,
        event.cohort_at,
        {{ local_date('event.cohort_at', 'member.time_zone', utc_date('event.cohort_at')) }} as cohort_date
    from (
        select user_number, activity, greatest(min(first_active_at), min(install_at)) as cohort_at
        from activity
        where activity != 'any'
        group by user_number, activity
    ) as event
    inner join users as member on event.user_number = member.user_number
),

entered as (
    select
        entry.user_number,
        entry.cohort_kind,
        entry.cohort_at,
        entry.cohort_date,
        row_number() over (order by entry.user_number, entry.cohort_kind) as entry_number,
        member.app_id,
        member.platform,
        member.partner,
        member.campaign_id,
        member.country,
        member.week_starts_on,
        {{ week_number('entry.cohort_date', 'member.week_starts_on') }} as cohort_week,
        {{ month_number('entry.cohort_date') }} as cohort_month,
        {{ days_between('entry.cohort_date', 'member.watermark_date') }} as calendar_age,
        {{ week_number('member.watermark_date', 'member.week_starts_on') }} as watermark_week,
        {{ month_number('member.watermark_date') }} as watermark_month,
        {{ elapsed_days('entry.cohort_at', 'member.watermark_at') }} as elapsed_age
    from entries as entry
    inner join users as member on entry.user_number = member.user_number
),

-- The day the cohort began is a visit of itself.
spans as (
    select
        entry.entry_number,
        coalesce(greatest({{ days_between('entry.cohort_date', 'day.active_date') }}, 0), 0) as calendar_day,
        coalesce(greatest({{ week_number('day.active_date', 'entry.week_starts_on') }} - entry.cohort_week, 0), 0)
            as calendar_week,
        coalesce(greatest({{ month_number('day.active_date') }} - entry.cohort_month, 0), 0) as calendar_month,
        coalesce({{ elapsed_days('entry.cohort_at', 'greatest(day.first_active_at, entry.cohort_at)') }}, 0)
            as first_elapsed_day,
        coalesce({{ elapsed_days('entry.cohort_at', 'day.last_active_at') }}, 0) as last_elapsed_day
    from entered as entry
    left join activity as day
        on
            entry.user_number = day.user_number
            and day.activity = 'any'
            and entry.cohort_at <= day.last_active_at
),

visits as (
    select
        entry_number, 'calendar' as day_clock, calendar_day as day_n, calendar_week as week_n, calendar_month as month_n
    from spans
    union all
    select
        entry_number, 'elapsed_24h' as day_clock, last_elapsed_day as day_n,
        cast(floor(last_elapsed_day / 7.0) as integer) as week_n,
        cast(floor(last_elapsed_day / 30.0) as integer) as month_n
    from spans
    union all
    select
        entry_number, 'elapsed_24h' as day_clock, first_elapsed_day as day_n,
        cast(floor(first_elapsed_day / 7.0) as integer) as week_n,
        cast(floor(first_elapsed_day / 30.0) as integer) as month_n
    from spans
    where first_elapsed_day != last_elapsed_day
),

bracket_days as (
    select days.day_n, bit_or({{ shifted('bracket.bracket_n') }}) as brackets
    from range(0, 401) as days (day_n)
    inner join {{ ref('rule_retention_brackets') }} as bracket
        on days.day_n >= bracket.first_day and days.day_n <= bracket.last_day
    group by days.day_n
),

lives as (
    select
        visit.entry_number,
        visit.day_clock,
        bit_or(coalesce(bracket.brackets, 0)) as brackets,
    {% for unit, end in last.items() -%}
        bit_or({{ set_of('visit.' ~ unit ~ '_n', end) }}) | {{ shifted(0) }} as {{ unit }}s,
        max(visit.{{ unit }}_n) as last_{{ unit }},
        min(case when visit.{{ unit }}_n >= 1 then visit.{{ unit }}_n end)
            as return_{{ unit }}{{ ',' if not loop.last }}
    {% endfor %}
    from visits as visit
    left join bracket_days as bracket on visit.day_n = bracket.day_n
    group by visit.entry_number, visit.day_clock
),

-- A number stands for the strings of a cohort while users are counted. Those that come from records may be null.
series as (
    select
        row_number() over (
            order by dimension, app_id, cohort_kind, platform, partner, campaign_id, country
        ) as series_number,
        *
    from (
        select distinct
            'campaign' as dimension, app_id, cohort_kind, platform, partner, campaign_id, '' as country
        from entered
        union all
        select distinct
            'country' as dimension, app_id, cohort_kind, platform, '' as partner, '' as campaign_id, country
        from entered
    ) as named
),

memberships as (
    {% for dimension, same_dimension in [
        ('campaign', 'entry.partner is not distinct from series.partner and entry.campaign_id = series.campaign_id'),
        ('country', 'entry.country = series.country')
    ] -%}
        select
            series.series_number, entry.entry_number, entry.cohort_date, entry.cohort_week, entry.cohort_month,
            entry.week_starts_on, entry.watermark_week, entry.watermark_month, entry.calendar_age, entry.elapsed_age
        from entered as entry
        inner join series
            on
                series.dimension = '{{ dimension }}'
                and entry.app_id = series.app_id
                and entry.cohort_kind = series.cohort_kind
                and entry.platform is not distinct from series.platform
                and {{ same_dimension }}
        {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

aged as (
    select
        member.series_number,
        life.*,
        member.cohort_date as day_date,
        {{ add_days("date '1970-01-05'", '7 * member.cohort_week + member.week_starts_on - 1') }} as week_date,
        {{ month_of('member.cohort_date') }} as month_date,
        case when life.day_clock = 'calendar' then member.calendar_age else member.elapsed_age end - 1 as mature_day,
        case
            when life.day_clock = 'calendar' then member.watermark_week - member.cohort_week
            else cast(floor(member.elapsed_age / 7.0) as integer)
        end - 1 as mature_week,
        case
            when life.day_clock = 'calendar' then member.watermark_month - member.cohort_month
            else cast(floor(member.elapsed_age / 30.0) as integer)
        end - 1 as mature_month
    from lives as life
    inner join memberships as member on life.entry_number = member.entry_number
),

-- Users of a cohort who are alike: few rows, as most come once or never again.
patterns as (
    {% for unit, by, numbers in [
        ('day', 'day', 'days'), ('week', 'week', 'weeks'), ('month', 'month', 'months'), ('bracket', 'day', 'brackets')
    ] -%}
        select
            series_number, {{ by }}_date as cohort_date, day_clock, '{{ unit }}' as unit, {{ numbers }} as numbers,
            last_{{ by }} as last_n, return_{{ by }} as return_n, mature_{{ by }} as mature_n, count(*) as users
        from aged
        group by
            series_number, {{ by }}_date, day_clock, {{ numbers }}, last_{{ by }}, return_{{ by }}, mature_{{ by }}
        {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

periods as (
    {% for unit, end in last.items() -%}
        select '{{ unit }}' as unit, day_n as period_n, day_n as first_n, day_n as last_n
        from ({{ day_numbers(end) }}) as {{ unit }}_numbers
        union all
    {% endfor -%}
    select 'bracket' as unit, bracket_n as period_n, first_day as first_n, last_day as last_n
    from {{ ref('rule_retention_brackets') }}
),

cohorts as (
    select row_number() over (order by series_number, cohort_date, day_clock, unit) as cohort_number, *
    from (select distinct series_number, cohort_date, day_clock, unit from patterns) as cohort
),

numbered as (
    select cohort.cohort_number, alike.unit, alike.numbers, alike.last_n, alike.return_n, alike.mature_n, alike.users
    from patterns as alike
    inner join cohorts as cohort
        on
            alike.series_number = cohort.series_number
            and alike.cohort_date = cohort.cohort_date
            and alike.day_clock = cohort.day_clock
            and alike.unit = cohort.unit
),

counted as (
    select
        cohort.cohort_number,
        period.period_n,
        period.first_n,
        period.last_n,
        sum(cohort.users) as cohort_users,
        sum(case when cohort.mature_n >= period.last_n then cohort.users else 0 end) as mature_users,
        {% for name, is_met in [
            ('active_users', holds('cohort.numbers', 'period.period_n')),
            ('rolling_users', 'cohort.last_n >= period.first_n'),
            ('cumulative_users', 'cohort.return_n <= period.last_n')
        ] -%}
        sum(case when cohort.mature_n >= period.last_n and {{ is_met }} then cohort.users else 0 end)
            as {{ name }}{{ ',' if not loop.last }}
    {% endfor %}
    from numbered as cohort
    inner join periods as period on cohort.unit = period.unit
    group by all
)

select
    series.app_id,
    series.cohort_kind,
    cohort.cohort_date,
    series.dimension,
    series.platform,
    series.partner,
    series.campaign_id,
    series.country,
    cohort.unit,
    cohort.day_clock,
    counted.period_n,
    cast(counted.first_n as integer) as first_n,
    cast(counted.last_n as integer) as last_n,
    cast(counted.cohort_users as bigint) as cohort_users,
    cast(counted.mature_users as bigint) as mature_users,
    case when counted.mature_users > 0 then cast(counted.active_users as bigint) end as active_users,
    case when counted.mature_users > 0 then cast(counted.rolling_users as bigint) end as rolling_users,
    case when counted.mature_users > 0 and counted.last_n >= 1 then cast(counted.cumulative_users as bigint) end
        as cumulative_users
from counted
inner join cohorts as cohort on counted.cohort_number = cohort.cohort_number
inner join series on cohort.series_number = series.series_number
