{{ config(meta={'plan': 'event_dates'}, partition_by='event_date') }}

-- Looks at one day at a time: the first install record of each day, or, for apps that send none, the first record of
-- each day. int_installs picks the first of all days.
with

records as (
    select
        event.*,
        coalesce(event.platform, app.platform, 'other') as app_platform,
        coalesce(app.implied_installs, false) as is_implied,
        row_number() over (
            partition by event.app_id, event.install_id, event.environment, event.event_date
            order by event.event_at, event.payload_hash, event.record_id
        ) as record_number
    from {{ ref('stg_app_events') }} as event
    left join {{ source('config', 'apps') }} as app on event.app_id = app.app_id
    where
        event.install_id is not null
        and (
            (event.record_type = 'install' and not coalesce(app.implied_installs, false))
            or (event.record_type != 'uninstall' and coalesce(app.implied_installs, false))
        )
        and {{ planned_dates('event.event_date') }}
)

select
    app_id,
    install_id,
    record_id,
    record_type,
    is_implied,
    event_at,
    event_date,
    received_at,
    payload_hash,
    environment,
    app_platform as platform,
    user_id,
    idfa,
    gaid,
    oaid,
    idfv,
    app_set_id,
    android_id,
    click_id,
    {{ query_parameter('referrer', ['click_id', 'clickid']) }} as referrer_click_id,
    coalesce(lower({{ query_parameter('referrer', ['utm_medium']) }}) = 'organic', false) as is_referrer_organic,
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
from records
where record_number = 1
