{{ config(meta={'plan': 'event_dates'}, partition_by='event_date') }}

-- The entries of the revenue marts, one row per app_id, record_id and part_id: revenue events sorted by what they are,
-- in the currency of reports and with the store's share; beside them what is kept apart (refused receipts, totals of
-- networks) and what tells a subscription's state.
with

told as (
    select
        app_id, record_id, install_id, user_id, event_at, event_date, platform, store, revenue_kind, event_name,
        product_id, order_id, original_order_id, receipt_state, ad_network, revenue_precision, amount_micros, currency,
        revenue_usd, is_inherited or install_id is null as is_inherited, false as is_refused
    from {{ ref('int_revenue_events') }}
    where {{ planned_dates('event_date') }}
    union all
    select
        app_id, record_id, install_id, user_id, event_at, event_date, platform, cast(null as varchar) as store,
        'purchase' as revenue_kind, event_name, product_id, order_id, original_order_id, receipt_state,
        cast(null as varchar) as ad_network, cast(null as varchar) as revenue_precision,
        revenue_micros as amount_micros, currency, cast(null as decimal(18, 6)) as revenue_usd,
        install_id is null as is_inherited, revenue_micros is not null as is_refused
    from {{ ref('stg_app_events') }}
    where
        record_type = 'event'
        and environment = 'production'
        and (
            (revenue_micros is not null and receipt_state = 'invalid')
            or (
                revenue_micros is null
                and lower(event_name) in (select event_name from {{ ref('rule_subscription_events') }})
            )
        )
        and {{ planned_dates('event_date') }}
),

named as (
    select distinct
        record.app_id,
        record.event_name,
        coalesce(own.subscription_code, everyone.subscription_code) as subscription_code
    from told as record
    {{ join_app_rule(
        'rule_subscription_events', 'record.app_id', 'own', 'everyone',
        ' and lower(record.event_name) = RULE.event_name'
    ) }}
),

-- Only what looks back at its order: what belongs to a subscription, and what takes a payment back.
orders as (
    select distinct app_id, coalesce(original_order_id, order_id) as original_order_id
    from told
    where
        coalesce(original_order_id, order_id) is not null
        and (original_order_id is not null or amount_micros < 0 or amount_micros is null)
),

history as (
    select
        past.*,
        row_number() over (
            partition by past.app_id, past.original_order_id
            order by case when past.install_id is null then 1 else 0 end, past.event_at, past.record_id
        ) as installed_place,
        row_number() over (
            partition by past.app_id, past.original_order_id
            order by case when past.paid_at is null then 1 else 0 end, past.paid_at, past.paid_record_id
        ) as paid_place
    from {{ ref('int_subscriptions') }} as past
    inner join orders
        on past.app_id = orders.app_id and past.original_order_id = orders.original_order_id
),

lives as (
    select
        app_id,
        original_order_id,
        min(started_at) as started_at,
        min(trial_at) as trial_at,
        min(case when paid_place = 1 then paid_record_id end) as first_paid_record_id,
        min(case when installed_place = 1 then install_id end) as install_id
    from history
    group by app_id, original_order_id
),

-- A refund takes back the last payment of the order it names, or, if it names the subscription only, the last of that.
taken_back as (
    select
        refund.app_id,
        refund.record_id,
        paid.paid_record_id,
        {{ utc_date('paid.paid_at') }} as paid_date,
        row_number() over (
            partition by refund.app_id, refund.record_id order by paid.paid_at desc, paid.paid_record_id desc
        ) as place
    from told as refund
    inner join history as paid
        on
            refund.app_id = paid.app_id
            and coalesce(refund.original_order_id, refund.order_id) = paid.original_order_id
            and paid.order_id = coalesce(refund.order_id, paid.order_id)
            and refund.event_at >= paid.paid_at
    where refund.amount_micros < 0 and refund.revenue_kind = 'purchase'
),

sorted as (
    select
        told.app_id,
        told.record_id,
        coalesce(told.install_id, lives.install_id) as install_id,
        told.is_inherited,
        case
            when told.original_order_id is not null or told.amount_micros < 0 or told.amount_micros is null
                then coalesce(told.original_order_id, told.order_id)
        end as past_order_id,
        told.event_at,
        told.event_date,
        coalesce(told.platform, app.platform, 'other') as platform,
        lower(told.store) as told_store,
        told.product_id,
        told.ad_network,
        case
            when told.is_refused then 'invalid'
            when told.revenue_kind = 'ad' and told.install_id is null and told.user_id is null then 'ad_total'
            when told.revenue_kind = 'ad' then 'ad_impression'
            when told.amount_micros is null then 'state'
            when told.amount_micros < 0 then 'refund'
            when told.original_order_id is not null or named.subscription_code is not null then 'subscription'
            else 'purchase'
        end as entry_code,
        case
            when told.is_refused or told.revenue_kind = 'ad' or told.amount_micros < 0 then null
            when
                coalesce(named.subscription_code, case when told.original_order_id is not null then 'renewal' end)
                = 'renewal' and told.amount_micros > 0 and told.record_id = lives.first_paid_record_id
                then case when lives.trial_at < told.event_at then 'trial_conversion' else 'subscription_start' end
            when named.subscription_code is not null then named.subscription_code
            when told.original_order_id is not null and told.amount_micros > 0 then 'renewal'
        end as subscription_code,
        case
            when told.revenue_kind = 'ad' then null
            when told.is_refused then 'invalid'
            when told.receipt_state in ('valid', 'refunded') then 'valid'
            when told.amount_micros is not null then 'none'
        end as receipt_code,
        case when told.revenue_kind = 'ad' then coalesce(told.revenue_precision, 'undisclosed') end as precision_code,
        case
            when told.revenue_kind = 'ad' then null
            when told.original_order_id is null and named.subscription_code is null then 'purchase'
            when coalesce(taken_back.paid_date, told.event_date) >= {{ add_days(utc_date('lives.started_at'), 365) }}
                then 'subscription_after_year'
            else 'subscription'
        end as product_class,
        -- The share of a purchase that is taken back is that of its own day.
        coalesce(taken_back.paid_date, told.event_date) as fee_date,
        taken_back.paid_record_id as purchase_record_id,
        taken_back.paid_date as purchase_date,
        told.amount_micros,
        told.currency,
        told.revenue_usd,
        coalesce(own.reporting_currency, everyone.reporting_currency) as reporting_currency,
        coalesce(own.small_business_from, everyone.small_business_from) as small_business_from,
        coalesce(own.small_business_until, everyone.small_business_until) as small_business_until
    from told
    left join {{ source('config', 'apps') }} as app on told.app_id = app.app_id
    {{ join_app_rule('rule_revenue_policies', 'told.app_id', 'own', 'everyone') }}
    left join named
        on told.app_id = named.app_id and told.event_name = named.event_name
    left join lives
        on
            told.app_id = lives.app_id
            and coalesce(told.original_order_id, told.order_id) = lives.original_order_id
            and (told.original_order_id is not null or told.amount_micros < 0 or told.amount_micros is null)
    left join taken_back
        on told.app_id = taken_back.app_id and told.record_id = taken_back.record_id and taken_back.place = 1
),

valued as (
    select
        sorted.*,
        coalesce(
            sorted.told_store,
            case sorted.platform when 'ios' then 'app_store' when 'android' then 'google_play' else sorted.platform end
        ) as store,
        case
            when
                sorted.fee_date >= sorted.small_business_from
                and sorted.fee_date < coalesce(sorted.small_business_until, date '9999-12-31')
                then 'small_business'
            else 'standard'
        end as programme,
        case
            when sorted.currency = sorted.reporting_currency then sorted.amount_micros
            else {{ converted_micros('sorted.amount_micros', 'rate.usd_per_unit', 'report.usd_per_unit') | indent(12) }}
        end as revenue_micros
    from sorted
    left join {{ ref('int_fx_rates') }} as rate
        on
            sorted.currency = rate.currency
            and sorted.event_date >= rate.valid_from
            and sorted.event_date < rate.valid_until
    left join {{ ref('int_fx_rates') }} as report
        on
            sorted.reporting_currency = report.currency
            and sorted.event_date >= report.valid_from
            and sorted.event_date < report.valid_until
),

situations as (
    select distinct app_id, store, platform, product_class, programme, fee_date
    from valued
    where entry_code in ('purchase', 'subscription', 'refund')
),

fees as (
    {{ in_force(
        'situations', ref('rule_store_fees'), 'fee_date', ['app_id', 'store', 'platform'], ['fee_rate'],
        ['product_class', 'programme']
    ) | indent(4) }}
),

-- A total is a fallback: of a network that also tells impressions of that day it would count them twice.
impression_days as (
    select distinct app_id, event_date, coalesce(ad_network, '') as ad_network
    from valued
    where entry_code = 'ad_impression'
),

totals as (
    select total.*, report_day.app_id is null as is_only_word
    from valued as total
    left join impression_days as report_day
        on
            total.app_id = report_day.app_id
            and total.event_date = report_day.event_date
            and coalesce(total.ad_network, '') = report_day.ad_network
    where total.entry_code = 'ad_total'
),

shared_days as (
    select distinct app_id, event_date from totals where is_only_word
),

sessions as (
    select event.app_id, event.install_id, event.event_date, max(event.event_at) as event_at, count(*) as session_count
    from {{ ref('stg_app_events') }} as event
    inner join shared_days on event.app_id = shared_days.app_id and event.event_date = shared_days.event_date
    where
        event.record_type = 'session'
        and event.environment = 'production'
        and {{ planned_dates('event.event_date') }}
    group by event.app_id, event.install_id, event.event_date
),

shares as (
    select
        totals.app_id,
        totals.record_id,
        sessions.install_id,
        sessions.event_at,
        totals.event_date,
        totals.platform,
        totals.store,
        totals.precision_code,
        totals.currency,
        totals.reporting_currency,
        totals.amount_micros,
        totals.revenue_micros,
        sessions.session_count,
        sum(sessions.session_count) over (
            partition by totals.app_id, totals.record_id
            order by sessions.install_id rows between unbounded preceding and current row
        ) as upto,
        sum(sessions.session_count) over (partition by totals.app_id, totals.record_id) as all_sessions
    from totals
    inner join sessions on totals.app_id = sessions.app_id and totals.event_date = sessions.event_date
    where totals.is_only_word
),

entries as (
    select
        app_id, record_id, install_id, is_inherited, past_order_id, event_at, event_date, platform, store, product_id,
        entry_code, receipt_code,
        precision_code, subscription_code, product_class, programme, fee_date, purchase_record_id, purchase_date,
        amount_micros, currency, revenue_usd, reporting_currency, revenue_micros
    from valued
    where entry_code != 'ad_total'
    union all
    -- The whole stays visible; it counts itself only if nobody was there to whom it could be given.
    select
        app_id, record_id, install_id, is_inherited, past_order_id, event_at, event_date, platform, store, product_id,
        case
            when is_only_word and (app_id, event_date) not in (select app_id, event_date from sessions)
                then 'ad_allocated'
            else 'ad_total'
        end as entry_code,
        receipt_code, precision_code, subscription_code, product_class, programme, fee_date, purchase_record_id,
        purchase_date, amount_micros, currency, revenue_usd, reporting_currency, revenue_micros
    from totals
    union all
    select
        app_id, record_id, install_id, false as is_inherited, null as past_order_id, event_at, event_date, platform,
        store, null as product_id,
        'ad_allocated' as entry_code, null as receipt_code, precision_code, null as subscription_code,
        null as product_class, null as programme, null as fee_date, null as purchase_record_id, null as purchase_date,
        {{ allotted_micros('amount_micros', 'upto - session_count', 'upto', 'all_sessions') | indent(8) }}
            as amount_micros,
        currency, null as revenue_usd, reporting_currency,
        {{ allotted_micros('revenue_micros', 'upto - session_count', 'upto', 'all_sessions') | indent(8) }}
            as revenue_micros
    from shares
)

select
    entry.app_id,
    entry.record_id,
    coalesce(entry.install_id, '') as part_id,
    entry.install_id,
    entry.is_inherited,
    entry.past_order_id,
    entry.event_at,
    entry.event_date,
    entry.platform,
    entry.store,
    entry.product_id,
    entry.entry_code,
    entry.entry_code in ('purchase', 'subscription', 'refund', 'ad_impression', 'ad_allocated') as is_counted,
    entry.receipt_code,
    entry.precision_code,
    entry.subscription_code,
    entry.product_class,
    entry.purchase_record_id,
    entry.purchase_date,
    entry.amount_micros,
    entry.currency,
    entry.revenue_usd,
    entry.reporting_currency,
    {{ units('entry.revenue_micros') }} as revenue,
    case
        when entry.entry_code in ('purchase', 'subscription', 'refund')
            then
                cast(
                    cast({{ units('entry.revenue_micros') }} as decimal(24, 6))
                    * cast(-1 * fees.fee_rate as decimal(7, 6))
                    as decimal(18, 6)
                )
    end as store_fee
from entries as entry
left join fees
    on
        entry.app_id = fees.app_id
        and entry.store = fees.store
        and entry.platform = fees.platform
        and entry.product_class = fees.product_class
        and entry.programme = fees.programme
        and entry.fee_date = fees.fee_date
