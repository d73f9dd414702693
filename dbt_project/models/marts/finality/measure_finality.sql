-- One row per mart, measure, app_id and date. Built whole, as mart_finality is: a late record changes what is expected
-- of every young day. Many measures rest on the same days of a source, so those days are looked at once for all.
{% set marts = {
    'activity_daily': 'date',
    'attributed_installs': 'install_date',
    'campaign_daily': 'date',
    'campaign_payback': 'date',
    'campaign_performance': 'date',
    'cohort_retention': 'install_date',
    'cohort_revenue': 'install_date',
    'cost_restatements': 'cost_date',
    'fraud_daily': 'date',
    'fraud_dry_run': 'install_date',
    'ios_daily': 'date',
    'multi_touch_credit': 'conversion_date',
    'revenue_daily': 'date',
    'skan_daily': 'date',
    'skan_event_daily': 'date',
    'unmatched_costs': 'date',
} %}

with

dates as (
    {% for mart, date in marts.items() -%}
        select distinct '{{ mart }}' as mart, app_id, {{ date }} as date from {{ ref(mart) }}
        {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

-- A source that never told anything of an app is not waited for.
sources as (
    select
        seen.app_id,
        seen.source,
        max(seen.as_of) as as_of,
        max(seen.complete_until) as complete_until,
        {{ utc_date('max(seen.as_of)') }} as as_of_date,
        -- The first day that is not over. Marts judge the days of an app by the watermark, so a number of days that its
        -- events have not reached is empty there, however long ago they stopped.
        {{ utc_date(
            "case when seen.source = 'app_events' then least(max(seen.complete_until), max(seen.as_of)) "
            ~ 'else max(seen.as_of) end'
        ) }} as open_date,
        max(rule.horizon_days) as horizon_days
    from {{ ref('mart_finality') }} as seen
    inner join {{ ref('rule_finality') }} as rule on seen.source = rule.source
    group by seen.app_id, seen.source
),

needs as (
    select
        dates.mart,
        rule.measure,
        dates.app_id,
        dates.date,
        rule.source,
        rule.days_before,
        rule.days_after,
        sources.as_of,
        sources.complete_until,
        sources.as_of_date,
        sources.open_date,
        sources.horizon_days
    from dates
    inner join {{ ref('rule_measure_sources') }} as rule on dates.mart = rule.mart
    inner join sources on dates.app_id = sources.app_id and rule.source = sources.source
),

spans as (
    select distinct app_id, date, source, days_before, days_after, as_of_date, open_date, horizon_days
    from needs
),

steps as (
    select span.days_before, span.days_after, step.n
    from (select distinct days_before, days_after from {{ ref('rule_measure_sources') }}) as span
    inner join range(-400, 401) as step (n) on step.n between -span.days_before and span.days_after
),

span_days as (
    select spans.*, {{ add_days('spans.date', 'steps.n') }} as source_date
    from spans
    inner join steps on spans.days_before = steps.days_before and spans.days_after = steps.days_after
),

-- Of a day without a record nothing was seen by which its arrivals could be told; beyond the horizon nothing is waited
-- for. A day that is not over has something to come, whatever is there.
span_states as (
    select
        day.*,
        day.source_date < day.open_date as is_over,
        case
            when day.source_date >= day.open_date then 'days_not_over'
            when seen.app_id is not null then seen.reason
            when {{ days_between('day.source_date', 'day.as_of_date') }} <= day.horizon_days then 'no_records'
        end as reason,
        case
            when day.source_date >= day.open_date then null
            when seen.app_id is not null then seen.expected_share
            when {{ days_between('day.source_date', 'day.as_of_date') }} > day.horizon_days then 1
        end as expected_share,
        case
            when day.source_date >= day.open_date then 'open'
            when seen.app_id is not null then seen.status
            when {{ days_between('day.source_date', 'day.as_of_date') }} > day.horizon_days then 'final'
            else 'open'
        end as status
    from span_days as day
    left join {{ ref('mart_finality') }} as seen
        on day.app_id = seen.app_id and day.source = seen.source and day.source_date = seen.date
),

-- Of one source the least complete day is also the one with the worst state; days that are not over come last.
span_limits as (
    select *
    from (
        select
            *,
            row_number() over (
                partition by app_id, date, source, days_before, days_after
                order by coalesce(expected_share, -1), source_date desc
            ) as choice
        from span_states
    ) as ranked
    where choice = 1
),

judged as (
    select
        needs.*,
        held.source_date,
        held.expected_share,
        held.reason,
        held.status,
        {{ days_between(
            'greatest(needs.open_date, ' ~ add_days('needs.date', '-needs.days_before') ~ ')',
            add_days('needs.date', 'needs.days_after')
        ) }} + 1 as days_to_come,
        {{ add_days('needs.date', 'needs.days_after + needs.horizon_days + 1') }} as source_final_from,
        row_number() over (
            partition by needs.mart, needs.measure, needs.app_id, needs.date
            order by
                case held.status when 'open' then 0 when 'settling' then 1 else 2 end,
                held.is_over,
                coalesce(held.expected_share, -1),
                {{ add_days('held.source_date', 'needs.horizon_days') }} desc,
                needs.source
        ) as choice
    from needs
    inner join span_limits as held
        on
            needs.app_id = held.app_id
            and needs.date = held.date
            and needs.source = held.source
            and needs.days_before = held.days_before
            and needs.days_after = held.days_after
)

select
    mart,
    measure,
    app_id,
    date,
    max(case when choice = 1 then status end) as status,
    case when count(*) = count(expected_share) then min(expected_share) end as expected_share,
    max(case when choice = 1 then reason end) as reason,
    max(case when choice = 1 and status != 'final' then source end) as limiting_source,
    max(case when choice = 1 and status != 'final' then source_date end) as limiting_date,
    max(complete_until) as complete_until,
    max(as_of) as as_of,
    max(source_final_from) as final_from,
    cast(greatest(max(days_to_come), 0) as integer) as days_to_come
from judged
group by mart, measure, app_id, date
