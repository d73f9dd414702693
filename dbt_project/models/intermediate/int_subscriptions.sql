{{ config(meta={'plan': 'event_dates'}, partition_by='event_date') }}

-- Who began a subscription, day by day, so that a renewal told by a server, without an install, finds its user.
with

told as (
    select
        app_id,
        coalesce(original_order_id, order_id) as original_order_id,
        install_id,
        record_id,
        event_at,
        event_date,
        row_number() over (
            partition by app_id, coalesce(original_order_id, order_id), event_date order by event_at, record_id
        ) as place
    from {{ ref('stg_app_events') }}
    where
        install_id is not null
        and coalesce(original_order_id, order_id) is not null
        and environment = 'production'
        and {{ planned_dates('event_date') }}
)

select app_id, original_order_id, install_id, record_id, event_at, event_date
from told
where place = 1
