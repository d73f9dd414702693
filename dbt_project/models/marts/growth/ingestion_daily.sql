{{ config(meta={'plan': 'ingest_dates'}, partition_by='ingest_date') }}

{% set tables = [
    'bronze_app_events', 'bronze_touchpoints', 'bronze_costs', 'bronze_consents', 'bronze_skan_postbacks',
] %}

with

receipts as (
    select
        app_id,
        ingest_date,
        sum(requests) as requests,
        sum(received) as received,
        sum(accepted) as accepted,
        sum(rejected) as rejected
    from {{ source('bronze', 'bronze_receipts') }}
    where {{ planned_dates('ingest_date') }}
    group by app_id, ingest_date
),

landed as (
    select app_id, ingest_date, sum(row_count) as landed
    from (
        {%- for table in tables %}
            select app_id, ingest_date, count(*) as row_count
            from {{ source('bronze', table) }}
            where {{ planned_dates('ingest_date') }}
            group by app_id, ingest_date
            {% if not loop.last %}union all{% endif %}
        {%- endfor %}
    ) as parts
    group by app_id, ingest_date
),

-- A record counts on the day its first copy came in; every other copy is a duplicate of the day it came in.
firsts as (
    select
        app_id,
        ingest_date,
        sum(row_count) as firsts,
        sum(internal) as internal,
        sum(sandbox) as sandbox,
        sum(claims) as claims
    from (
        {%- for model in [
            'stg_app_events', 'stg_touchpoints', 'stg_consents', 'stg_cost_statements', 'stg_skan_deliveries'
        ] %}
            {%- set environment = "'production'" if model == 'stg_cost_statements' else 'environment' %}
            select
                app_id,
                cast(received_at as date) as ingest_date,
                count(*) as row_count,
                count(case when {{ environment }} = 'internal' then 1 end) as internal,
                count(case when {{ environment }} = 'sandbox' then 1 end) as sandbox,
                count(case when {{ environment }} = 'claims' then 1 end) as claims
            from {{ ref(model) }}
            where
                {{ planned_dates('cast(received_at as date)') }}
                -- The same as instants, by which files that were received on other days are passed over.
                and {{ planned_dates('received_at', days_after=1) }}
            group by 1, 2
            {% if not loop.last %}union all{% endif %}
        {%- endfor %}
    ) as parts
    group by app_id, ingest_date
),

kept_rejects as (
    select coalesce(app_id, '') as app_id, ingest_date, count(*) as rejects_kept
    from {{ source('bronze', 'bronze_rejects') }}
    where {{ planned_dates('ingest_date') }}
    group by 1, 2
),

keys as (
    select coalesce(app_id, '') as app_id, ingest_date from receipts
    union
    select app_id, ingest_date from landed
    union
    select app_id, ingest_date from kept_rejects
)

select
    keys.app_id,
    keys.ingest_date,
    cast(coalesce(receipts.requests, 0) as bigint) as requests,
    cast(coalesce(receipts.received, 0) as bigint) as received,
    cast(coalesce(receipts.accepted, 0) as bigint) as accepted,
    cast(coalesce(receipts.rejected, 0) as bigint) as rejected,
    cast(coalesce(landed.landed, 0) as bigint) as landed,
    cast(coalesce(landed.landed, 0) - coalesce(firsts.firsts, 0) as bigint) as duplicates,
    cast(coalesce(kept_rejects.rejects_kept, 0) as bigint) as rejects_kept,
    cast(coalesce(firsts.internal, 0) as bigint) as internal_records,
    cast(coalesce(firsts.sandbox, 0) as bigint) as sandbox_records,
    cast(coalesce(firsts.claims, 0) as bigint) as claim_records
from keys
left join receipts on keys.app_id = coalesce(receipts.app_id, '') and keys.ingest_date = receipts.ingest_date
left join landed on keys.app_id = landed.app_id and keys.ingest_date = landed.ingest_date
left join firsts on keys.app_id = firsts.app_id and keys.ingest_date = firsts.ingest_date
left join kept_rejects on keys.app_id = kept_rejects.app_id and keys.ingest_date = kept_rejects.ingest_date
