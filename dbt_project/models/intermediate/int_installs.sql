{{ config(meta={'plan': 'install_dates'}, partition_by='install_date') }}

with

records as (
    select *
    from {{ ref('stg_installs') }}
    where
        environment = 'production'
        -- An install id whose day is built again may have an earlier record on a day that is not.
        and {{ planned_keys(ref('stg_installs'), ['app_id', 'install_id'], 'event_date') }}
),

ranked as (
    select
        *,
        row_number() over (
            partition by app_id, install_id order by event_at, payload_hash, record_id
        ) as open_number
    from records
)

select
    app_id,
    install_id,
    record_id as conversion_id,
    platform,
    event_at as install_at,
    event_date as install_date,
    received_at,
    is_implied,
    user_id,
    idfa,
    gaid,
    oaid,
    idfv,
    app_set_id,
    android_id,
    click_id,
    referrer_click_id,
    is_referrer_organic,
    referrer_click_server_at,
    install_begin_server_at,
    ip_prefix,
    os_name,
    os_version,
    device_model,
    locale,
    country,
    time_zone,
    app_version,
    store,
    att_status,
    is_limit_ad_tracking,
    integrity_verdict,
    is_gdpr_subject,
    has_ad_user_data_consent
from ranked
where open_number = 1 and {{ planned_dates('event_date') }}
