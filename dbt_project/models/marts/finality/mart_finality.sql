-- One row per mart, measure, app, date, record type and source: how far a number can still move, and why.
-- Built whole: it reads counts by date, never records. Its rows are the dates of campaign_daily times the lines of
-- rule_finality times the ways in that an app uses for them.

with

arrivals as (
    select
        app_id,
        event_date as date,
        record_type,
        source,
        -- The day of receipt by the calendar, as the age of a date counts days, too.
        greatest({{ days_between('event_date', 'ingest_date') }}, 0) as lag_days,
        lateness_step_s,
        max_lateness_s,
        record_count,
        cast(record_count as decimal(18, 6)) as weight,
        {{ add_days(utc_date('latest_at'), -1) }} as complete_date
    from {{ ref('int_arrivals') }}
    union all
    -- A cost comes as often as it is restated; what weighs is the money that a statement adds or takes.
    select
        app_id,
        cost_date as date,
        'cost' as record_type,
        'partner' as source,
        greatest(days_after, 0) as lag_days,
        greatest(days_after, 0) * 86400 as lateness_step_s,
        greatest(days_after, 0) * 86400 as max_lateness_s,
        1 as record_count,
        change_usd as weight,
        cost_date as complete_date
    from {{ ref('cost_restatements') }}
    union all
    select
        app_id,
        install_date as date,
        'skan_postback' as record_type,
        'partner' as source,
        greatest({{ days_between('install_date', 'arrival_date') }}, 0) as lag_days,
        greatest({{ days_between('install_date', 'arrival_date') }}, 0) * 86400 as lateness_step_s,
        greatest({{ days_between('install_date', 'arrival_date') }}, 0) * 86400 as max_lateness_s,
        1 as record_count,
        cast(1 as decimal(18, 6)) as weight,
        {{ add_days('arrival_date', -1) }} as complete_date
    from {{ ref('skan_postback_facts') }}
    where is_counted
),

by_step as (
    select
        app_id,
        date,
        record_type,
        source,
        lateness_step_s,
        max(max_lateness_s) as max_lateness_s,
        sum(record_count) as record_count
    from arrivals
    group by app_id, date, record_type, source, lateness_step_s
),

counted as (
    select
        *,
        sum(record_count) over (
            partition by app_id, date, record_type, source order by lateness_step_s rows unbounded preceding
        ) as arrived,
        sum(record_count) over (partition by app_id, date, record_type, source) as total
    from by_step
),

seen as (
    select
        app_id,
        date,
        record_type,
        source,
        max(total) as record_count,
        min(case when arrived * 2 >= total then lateness_step_s end) as lateness_p50_s,
        min(case when arrived * 100 >= total * 95 then lateness_step_s end) as lateness_p95_s,
        min(case when arrived * 100 >= total * 99 then lateness_step_s end) as lateness_p99_s,
        max(max_lateness_s) as lateness_max_s
    from counted
    group by app_id, date, record_type, source
),

waits as (
    select record_type, max(final_days) as final_days from {{ ref('rule_finality') }} group by record_type
),

streams as (
    select
        arrival.app_id,
        arrival.record_type,
        arrival.source,
        watermark.watermark_date,
        min({{ add_days('arrival.date', 'arrival.lag_days') }}) as listening_since,
        least(max(arrival.complete_date), {{ add_days('watermark.watermark_date', -1) }}) as complete_until_date,
        -- Dates that are old enough to have all their records, and not so old that they tell of other times.
        {{ add_days('watermark.watermark_date', '-1 - max(wait.final_days)') }} as last_judged_date,
        {{ add_days('watermark.watermark_date', '-1 - max(wait.final_days) - ' ~ var('finality_history_days')) }}
            as before_judged_date
    from arrivals as arrival
    inner join waits as wait on arrival.record_type = wait.record_type
    inner join {{ ref('int_watermarks') }} as watermark on arrival.app_id = watermark.app_id
    group by arrival.app_id, arrival.record_type, arrival.source, watermark.watermark_date
),

judged as (
    select
        stream.app_id,
        stream.record_type,
        stream.source,
        arrival.date,
        arrival.lag_days,
        arrival.weight,
        -- A date before the first receipt was loaded afterwards, and tells nothing of how records come.
        arrival.date > stream.listening_since as is_witnessed
    from streams as stream
    inner join arrivals as arrival
        on
            stream.app_id = arrival.app_id
            and stream.record_type = arrival.record_type
            and stream.source = arrival.source
            and arrival.date <= stream.last_judged_date
            and arrival.date > stream.before_judged_date
),

history as (
    select
        app_id,
        record_type,
        source,
        count(distinct case when is_witnessed then date end) as judged_days,
        sum(case when is_witnessed then weight else 0 end) as total_weight,
        count(*) as old_rows
    from judged
    group by app_id, record_type, source
),

by_lag as (
    select app_id, record_type, source, lag_days, sum(weight) as weight
    from judged
    where is_witnessed
    group by app_id, record_type, source, lag_days
),

distribution as (
    select
        app_id,
        record_type,
        source,
        lag_days,
        lead(lag_days, 1, 1000000) over (partition by app_id, record_type, source order by lag_days) as next_lag_days,
        sum(weight) over (partition by app_id, record_type, source order by lag_days rows unbounded preceding)
            as arrived_weight
    from by_lag
),

dates as (
    select app_id, date from {{ ref('campaign_daily') }} group by app_id, date
),

statements as (
    select
        rule.mart,
        rule.measure,
        date.app_id,
        date.date,
        stream.record_type,
        stream.source,
        rule.reach_days,
        rule.open_days,
        rule.final_days,
        rule.max_share_to_come,
        stream.watermark_date,
        stream.complete_until_date,
        {{ days_between('date.date', 'stream.watermark_date') }} - rule.reach_days as age_days
    from dates as date
    cross join {{ ref('rule_finality') }} as rule
    inner join streams as stream on date.app_id = stream.app_id and rule.record_type = stream.record_type
),

expected as (
    select
        statement.*,
        coalesce(history.judged_days, 0) as judged_days,
        case
            when statement.age_days < 1 then 'not_over'
            when history.old_rows > 0 and history.judged_days = 0 then 'loaded_later'
            when coalesce(history.judged_days, 0) < {{ var('finality_min_days') }} then 'too_little_history'
            when history.total_weight <= 0 then 'too_little_history'
        end as unknown_reason,
        -- What comes on the day of the watermark itself is not waited for, as that day is not over.
        1 - cast(coalesce(distribution.arrived_weight, 0) as double) / cast(nullif(history.total_weight, 0) as double)
            as share_to_come
    from statements as statement
    left join history
        on
            statement.app_id = history.app_id
            and statement.record_type = history.record_type
            and statement.source = history.source
    left join distribution
        on
            statement.app_id = distribution.app_id
            and statement.record_type = distribution.record_type
            and statement.source = distribution.source
            and statement.age_days - 1 >= distribution.lag_days
            and statement.age_days - 1 < distribution.next_lag_days
)

select
    expected.mart,
    expected.measure,
    expected.app_id,
    expected.date,
    expected.record_type,
    expected.source,
    case
        when expected.age_days < 1 or expected.age_days <= expected.open_days then 'open'
        -- A day whose cost nobody has stated is not cheap, it is unknown.
        when expected.record_type = 'cost' and expected.date > expected.complete_until_date then 'open'
        when expected.age_days <= expected.final_days then 'settling'
        when expected.unknown_reason is null and abs(expected.share_to_come) > expected.max_share_to_come then 'settling'
        else 'final'
    end as status,
    expected.complete_until_date,
    expected.watermark_date,
    expected.reach_days,
    {{ add_days('expected.date', 'expected.reach_days + expected.final_days + 1') }} as final_from_date,
    case when expected.unknown_reason is null then expected.share_to_come end as share_to_come,
    expected.unknown_reason as share_unknown_reason,
    expected.judged_days,
    cast(coalesce(seen.record_count, 0) as bigint) as record_count,
    cast(seen.lateness_p50_s as bigint) as lateness_p50_s,
    cast(seen.lateness_p95_s as bigint) as lateness_p95_s,
    cast(seen.lateness_p99_s as bigint) as lateness_p99_s,
    cast(seen.lateness_max_s as bigint) as lateness_max_s
from expected
left join seen
    on
        expected.app_id = seen.app_id
        and expected.date = seen.date
        and expected.record_type = seen.record_type
        and expected.source = seen.source
