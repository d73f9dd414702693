with

sent as (
    select app_id, event_date, currency, sum(revenue_micros) as micros, count(*) as row_count
    from {{ ref('stg_app_events') }}
    where
        revenue_micros is not null
        and environment = 'production'
        and coalesce(receipt_state, 'none') != 'invalid'
    group by app_id, event_date, currency
),

counted as (
    select app_id, event_date, currency, sum(amount_micros) as micros, count(*) as row_count
    from {{ ref('int_revenue_events') }}
    group by app_id, event_date, currency
)

select
    coalesce(sent.app_id, counted.app_id) as app_id,
    coalesce(sent.event_date, counted.event_date) as event_date,
    coalesce(sent.currency, counted.currency) as currency,
    sent.micros as sent_micros,
    counted.micros as counted_micros
from sent
full outer join counted
    on
        sent.app_id = counted.app_id
        and sent.event_date = counted.event_date
        and coalesce(sent.currency, '') = coalesce(counted.currency, '')
where
    coalesce(sent.micros, 0) != coalesce(counted.micros, 0)
    or coalesce(sent.row_count, 0) != coalesce(counted.row_count, 0)
