-- One row per app, day of receipt, date, record type, way in and step of lateness: when the records of a date came.
-- Kept by the day of receipt, so that a run rewrites the days it received on, however old the dates of its records.
{{ config(meta={'plan': 'ingest_dates'}, partition_by='ingest_date') }}

with

records as (
    {%- for model in ['stg_app_events', 'stg_touchpoints'] %}
        select
            app_id,
            {{ utc_date('received_at') }} as ingest_date,
            event_date,
            record_type,
            source,
            least(event_at, received_at) as lived_at,
            -- What comes before its time, by a clock that is fast, is not late.
            greatest({{ seconds_between('event_at', 'received_at') }}, 0) as lateness_s
        from {{ ref(model) }}
        where
            environment = 'production'
            and {{ planned_dates(utc_date('received_at')) }}
            -- The same as instants, by which files that were received on other days are passed over.
            and {{ planned_dates('received_at', days_after=1) }}
        {% if not loop.last %}union all{% endif %}
    {%- endfor %}
)

select
    app_id,
    ingest_date,
    event_date,
    record_type,
    source,
    {{ lateness_step('lateness_s') }} as lateness_step_s,
    count(*) as record_count,
    max(lateness_s) as max_lateness_s,
    max(lived_at) as latest_at
from records
group by app_id, ingest_date, event_date, record_type, source, {{ lateness_step('lateness_s') }}
