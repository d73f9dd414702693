{{ config(meta={'plan': 'event_dates'}, partition_by='event_date') }}

-- What is known of orders, day by day: who began one, so that a renewal told by a server, without an install, finds its
-- user; and when it was tried and paid, so that renewals and refunds find what they renew and refund.
with

told as (
    select
        event.app_id,
        coalesce(event.original_order_id, event.order_id) as original_order_id,
        coalesce(event.order_id, '') as order_id,
        event.install_id,
        event.record_id,
        event.event_at,
        event.event_date,
        coalesce(own.subscription_code, everyone.subscription_code) = 'trial_start' as is_trial,
        event.revenue_micros > 0 and coalesce(event.receipt_state, 'none') != 'invalid' as is_paid
    from {{ ref('stg_app_events') }} as event
    {{ join_app_rule(
        'rule_subscription_events', 'event.app_id', 'own', 'everyone', ' and lower(event.event_name) = RULE.event_name'
    ) }}
    where
        coalesce(event.original_order_id, event.order_id) is not null
        and event.environment = 'production'
        and {{ planned_dates('event.event_date') }}
),

placed as (
    select
        *,
        -- Who began it is told by a record that names an install.
        row_number() over (
            partition by app_id, original_order_id, order_id, event_date
            order by case when install_id is null then 1 else 0 end, event_at, record_id
        ) as place,
        min(event_at) over (partition by app_id, original_order_id, order_id, event_date) as started_at,
        min(case when is_trial then event_at end)
            over (partition by app_id, original_order_id, order_id, event_date) as trial_at,
        min(case when is_paid then event_at end)
            over (partition by app_id, original_order_id, order_id, event_date) as paid_at,
        first_value(case when is_paid then record_id end) over (
            partition by app_id, original_order_id, order_id, event_date
            order by case when is_paid then 0 else 1 end, event_at, record_id
        ) as paid_record_id
    from told
)

select
    app_id,
    original_order_id,
    order_id,
    install_id,
    record_id,
    event_at,
    event_date,
    started_at,
    trial_at,
    paid_at,
    paid_record_id
from placed
where place = 1
