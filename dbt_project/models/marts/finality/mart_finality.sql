-- One row per app_id, date and source. Built whole: a late record changes the curve of arrivals, and by that what is
-- expected of every young day. It reads counts by hour and minute, not records.
{% set sources = ['app_events', 'touchpoints', 'costs', 'skan_postbacks'] %}
{% set epoch = "cast('1970-01-01 00:00:00+00:00' as timestamp with time zone)" %}
{% set epoch_date = "cast('1970-01-01' as date)" %}

with

app_events as (
    select *, event_date as date from {{ ref('int_event_arrivals') }}
),

touchpoints as (
    select *, event_date as date from {{ ref('int_touch_arrivals') }}
),

-- A day's spend can be told when the day is over, not before.
costs as (
    select *, cost_date as date
    from (
        {{ arrival_counts(
            ref('stg_cost_statements'), 'cost_date', environment="'production'",
            late_s=seconds_between(epoch, 'received_at') ~ ' - 86400 * (' ~ days_between(epoch_date, 'cost_date') ~ ' + 1)'
        ) }}
    ) as told
),

skan_postbacks as (
    select *, event_date as date
    from ({{ arrival_counts(ref('stg_skan_postbacks'), 'event_date') }}) as told
),

arrivals as (
    {% for source in sources -%}
        select
            app_id, '{{ source }}' as source, date, lag_h, late_min, records, late_records, received_until
        from {{ source }}
        where environment = 'production'
        {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

-- What has arrived is known up to the app's latest receipt, of whatever kind.
clocks as (
    select app_id, max(received_until) as as_of from arrivals group by app_id
),

ranked as (
    select
        *,
        sum(records) over (partition by app_id, source, date) as of_day,
        sum(records) over (partition by app_id, source, date order by late_min) as up_to_here
    from arrivals
),

-- Percentiles by nearest rank: the least lateness that so many of the day's records do not exceed.
days as (
    select
        ranked.app_id,
        ranked.source,
        ranked.date,
        cast(sum(ranked.records) as bigint) as records,
        cast(sum(ranked.late_records) as bigint) as late_records,
        min(case when ranked.up_to_here * 2 >= ranked.of_day then ranked.late_min end) as p50_min,
        min(case when ranked.up_to_here * 20 >= ranked.of_day * 19 then ranked.late_min end) as p95_min,
        max(ranked.late_min) as max_min,
        max(clocks.as_of) as as_of,
        cast(floor((
            {{ seconds_between(epoch, 'max(clocks.as_of)') }} - 86400 * {{ days_between(epoch_date, 'ranked.date') }}
        ) / 3600.0) as bigint) as age_h
    from ranked
    inner join clocks on ranked.app_id = clocks.app_id
    group by ranked.app_id, ranked.source, ranked.date
),

aged as (
    select
        days.*,
        (rule.horizon_days + 1) * 24 as horizon_h,
        rule.min_history_days,
        rule.settling_share,
        rule.final_share
    from days
    inner join {{ ref('rule_finality') }} as rule on days.source = rule.source
),

-- Days beyond the horizon tell how a day fills up. What came later than the horizon is a backfill and tells nothing.
past as (
    select arrivals.app_id, arrivals.source, arrivals.date, arrivals.lag_h, sum(arrivals.records) as records
    from arrivals
    inner join aged
        on arrivals.app_id = aged.app_id and arrivals.source = aged.source and arrivals.date = aged.date
    where aged.age_h >= aged.horizon_h and arrivals.lag_h < aged.horizon_h
    group by all
),

histories as (
    select app_id, source, count(distinct date) as history_days, cast(sum(records) as bigint) as history_records
    from past
    group by app_id, source
),

curves as (
    select app_id, source, lag_h, sum(records) as records
    from past
    group by app_id, source, lag_h
),

arrived as (
    select aged.app_id, aged.source, aged.date, cast(sum(curves.records) as bigint) as history_arrived_records
    from aged
    inner join curves on aged.app_id = curves.app_id and aged.source = curves.source and aged.age_h > curves.lag_h
    where aged.age_h >= 24 and aged.age_h < aged.horizon_h
    group by aged.app_id, aged.source, aged.date
),

judged as (
    select
        aged.*,
        aged.age_h >= aged.horizon_h as is_beyond,
        case
            when aged.age_h < 24 then 'day_not_over'
            when aged.age_h >= aged.horizon_h then null
            when coalesce(histories.history_days, 0) < aged.min_history_days then 'too_little_history'
            when arrived.history_arrived_records is null then 'nothing_arrives_so_early'
        end as reason,
        histories.history_records,
        coalesce(arrived.history_arrived_records, 0) as history_arrived_records
    from aged
    left join histories on aged.app_id = histories.app_id and aged.source = histories.source
    left join arrived on aged.app_id = arrived.app_id and aged.source = arrived.source and aged.date = arrived.date
),

expected as (
    select
        *,
        not is_beyond and (reason is null or reason = 'nothing_arrives_so_early') as is_estimated,
        case
            when is_beyond then 1.0
            when reason is null or reason = 'nothing_arrives_so_early'
                then cast(history_arrived_records as double) / history_records
        end as expected_share
    from judged
)

select
    expected.app_id,
    expected.date,
    expected.source,
    expected.records,
    expected.late_records,
    cast(expected.p50_min / 60.0 as decimal(10, 2)) as lateness_p50_h,
    cast(expected.p95_min / 60.0 as decimal(10, 2)) as lateness_p95_h,
    cast(expected.max_min / 60.0 as decimal(10, 2)) as lateness_max_h,
    watermark.watermark_at as complete_until,
    expected.as_of,
    cast(floor(expected.age_h / 24.0) as integer) as age_days,
    case when expected.is_estimated then expected.history_records end as history_records,
    case when expected.is_estimated then expected.history_arrived_records end as history_arrived_records,
    cast(expected.expected_share as double) as expected_share,
    case
        when expected.is_beyond then cast(0 as decimal(18, 3))
        when expected.is_estimated and expected.history_arrived_records > 0
            then cast(
                cast(expected.records as double)
                * (expected.history_records - expected.history_arrived_records)
                / expected.history_arrived_records as decimal(18, 3)
            )
    end as expected_to_come,
    expected.reason,
    case
        when expected.is_beyond or expected.expected_share >= expected.final_share then 'final'
        when expected.expected_share >= expected.settling_share then 'settling'
        else 'open'
    end as status
from expected
left join {{ ref('int_watermarks') }} as watermark on expected.app_id = watermark.app_id
