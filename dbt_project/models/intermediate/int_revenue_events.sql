{{ config(meta={'plan': 'event_dates'}, partition_by='event_date') }}

with

events as (
    select
        *,
        -- The order that a record looks back at: a renewal at the first of its subscription, a refund at its own too.
        coalesce(original_order_id, case when revenue_micros < 0 then order_id end) as past_order_id
    from {{ ref('stg_app_events') }}
    where
        revenue_micros is not null
        and environment = 'production'
        and coalesce(receipt_state, 'none') != 'invalid'
        and {{ planned_dates('event_date') }}
),

renewals as (
    select distinct app_id, past_order_id as original_order_id
    from events
    where install_id is null and past_order_id is not null
),

-- A renewal or refund without an install belongs to the install that first told its original order.
subscribers as (
    select
        subscription.app_id,
        subscription.original_order_id,
        subscription.install_id,
        row_number() over (
            partition by subscription.app_id, subscription.original_order_id
            order by subscription.event_at, subscription.record_id
        ) as place
    from {{ ref('int_subscriptions') }} as subscription
    inner join renewals as renewal
        on
            subscription.app_id = renewal.app_id
            and subscription.original_order_id = renewal.original_order_id
    where subscription.install_id is not null
)

select
    event.app_id,
    event.record_id,
    coalesce(event.install_id, subscriber.install_id) as install_id,
    event.install_id is null and subscriber.install_id is not null as is_inherited,
    event.user_id,
    event.event_at,
    event.event_date,
    event.received_at,
    event.platform,
    {{ json_text('event.properties', 'store') }} as store,
    case when event.record_type = 'ad_revenue' then 'ad' else 'purchase' end as revenue_kind,
    event.event_name,
    event.product_id,
    event.order_id,
    event.original_order_id,
    event.receipt_state,
    event.ad_network,
    event.revenue_precision,
    event.revenue_micros as amount_micros,
    event.currency,
    {{ usd('event.revenue_micros', 'rate.usd_per_unit') }} as revenue_usd
from events as event
left join subscribers as subscriber
    on
        event.install_id is null
        and event.app_id = subscriber.app_id
        and event.past_order_id = subscriber.original_order_id
        and subscriber.place = 1
left join {{ ref('int_fx_rates') }} as rate
    on
        event.currency = rate.currency
        and event.event_date >= rate.valid_from
        and event.event_date < rate.valid_until
