{{ config(meta={'plan': 'install_dates'}, partition_by='install_date') }}

with

{% if is_partial() -%}
-- An install id whose day is built again may have an earlier record on a day that is not.
planned as (
    select distinct app_id, install_id
    from {{ ref('stg_installs') }}
    where {{ planned_dates('event_date') }}
),

{% endif -%}
records as (
    select record.*
    from {{ ref('stg_installs') }} as record
    {%- if is_partial() %}
    inner join planned on record.app_id = planned.app_id and record.install_id = planned.install_id
    {%- endif %}
    where record.environment = 'production'
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
    referrer_click_server_at,
    install_begin_server_at,
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
