{{ config(meta={'plan': 'event_dates'}, partition_by='event_date') }}

select
    event.app_id,
    event.record_id,
    event.install_id,
    event.user_id,
    event.event_at,
    event.event_date,
    event.received_at,
    case when event.record_type = 'ad_revenue' then 'ad' else 'purchase' end as revenue_kind,
    event.event_name,
    event.product_id,
    event.ad_network,
    event.revenue_micros as amount_micros,
    event.currency,
    {{ usd('event.revenue_micros', 'rate.usd_per_unit') }} as revenue_usd
from {{ ref('stg_app_events') }} as event
left join {{ ref('int_fx_rates') }} as rate
    on
        event.currency = rate.currency
        and event.event_date >= rate.valid_from
        and event.event_date < rate.valid_until
where
    event.revenue_micros is not null
    and event.environment = 'production'
    and coalesce(event.receipt_state, 'none') != 'invalid'
    and {{ planned_dates('event.event_date') }}
