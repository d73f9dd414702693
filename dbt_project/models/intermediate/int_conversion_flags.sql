{{ config(meta={'plan': 'install_dates'}, partition_by='install_date') }}

with

installs as (
    select
        *,
        case when coalesce(gaid, idfa, oaid) is null then 1 else 0 end as is_without_ad_id
    from {{ ref('int_installs') }}
    where {{ planned_dates('install_date') }}
),

crowded as (
    select
        app_id,
        conversion_id,
        install_date,
        is_without_ad_id,
        count(*) over (partition by app_id, ip_prefix, {{ hour_of('install_at') }}) as hour_installs,
        sum(is_without_ad_id) over (partition by app_id, ip_prefix, device_model, install_date) as day_new_devices
    from installs
    where ip_prefix is not null
),

receipts as (
    select
        install.app_id,
        install.conversion_id,
        install.install_date,
        count(*) as receipt_count
    from installs as install
    inner join {{ ref('stg_app_events') }} as event
        on install.app_id = event.app_id and install.install_id = event.install_id
    where
        event.receipt_state = 'invalid'
        and event.environment = 'production'
        and {{ planned_dates('event.event_date', days_after=7) }}
        and {{ days_between('install.install_date', 'event.event_date') }} between 0
        and {{ fraud_threshold('receipt_days', 'install.install_date') }}
    group by install.app_id, install.conversion_id, install.install_date
),

-- Only clocks of servers are compared: a device may be years off.
orders as (
    select
        app_id,
        conversion_id,
        install_date,
        {{ seconds_between('install_begin_server_at', 'referrer_click_server_at') }} as click_late_s,
        {{ seconds_between('received_at', 'install_begin_server_at') }} as begin_late_s
    from installs
),

flags as (
    select
        app_id,
        conversion_id,
        install_date,
        'install_burst' as flag_code,
        cast(hour_installs as double) as flag_value
    from crowded
    where hour_installs > {{ fraud_threshold('installs_per_prefix_hour', 'install_date') }}
    union all
    select
        app_id,
        conversion_id,
        install_date,
        'new_device_burst' as flag_code,
        cast(day_new_devices as double) as flag_value
    from crowded
    where
        is_without_ad_id = 1
        and day_new_devices > {{ fraud_threshold('new_devices_per_prefix_day', 'install_date') }}
    union all
    select
        app_id,
        conversion_id,
        install_date,
        'invalid_receipt' as flag_code,
        cast(receipt_count as double) as flag_value
    from receipts
    union all
    select
        app_id,
        conversion_id,
        install_date,
        'order_impossible' as flag_code,
        cast(greatest(coalesce(click_late_s, begin_late_s), coalesce(begin_late_s, click_late_s)) as double)
            as flag_value
    from orders
    where
        click_late_s > {{ fraud_threshold('order_tolerance_s', 'install_date') }}
        or begin_late_s > {{ fraud_threshold('open_tolerance_s', 'install_date') }}
    union all
    select
        install.app_id,
        install.conversion_id,
        install.install_date,
        verdict.flag_code,
        cast(null as double) as flag_value
    from installs as install
    inner join {{ ref('rule_integrity_verdicts') }} as verdict
        on lower(install.integrity_verdict) = verdict.integrity_verdict
    union all
    select
        install.app_id,
        install.conversion_id,
        install.install_date,
        'ip_' || list.ip_class as flag_code,
        cast(null as double) as flag_value
    from installs as install
    inner join {{ ref('rule_ip_lists') }} as list on install.ip_prefix = list.ip_prefix
)

select
    app_id,
    conversion_id,
    install_date,
    flag_code,
    flag_value
from flags
