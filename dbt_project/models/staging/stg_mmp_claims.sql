{{ config(meta={'plan': 'event_dates'}, partition_by='install_date') }}

-- What a vendor's report says of installs. Reports that were imported as installs (for apps without an SDK of ours)
-- claim too; those imported with --claims claim only. Columns of the vendor are members of `properties`.
with

reported as (
    select
        app_id,
        record_id,
        environment,
        install_id,
        user_id,
        gaid,
        idfa,
        oaid,
        idfv,
        android_id,
        platform,
        event_at,
        event_date,
        {{ json_text('properties', 'event_name') }} as vendor_event,
        try_cast({{ json_text('properties', 'install_time') }} as timestamp) as install_local,
        try_cast({{ json_text('properties', 'event_time') }} as timestamp) as event_local,
        try_cast({{ json_text('properties', 'attributed_touch_time') }} as timestamp) as touch_local,
        lower({{ json_text('properties', 'attributed_touch_type') }}) as touch_type,
        {{ json_text('properties', 'media_source') }} as vendor_partner,
        {{ json_text('properties', 'af_c_id') }} as campaign_id,
        {{ json_text('properties', 'campaign') }} as campaign_name,
        {{ json_text('properties', 'match_type') }} as match_type,
        lower({{ json_text('properties', 'is_retargeting') }}) = 'true' as is_retargeting,
        {{ json_text('properties', 'blocked_reason') }} as blocked_reason,
        {{ json_text('properties', 'af_attribution_lookback') }} as vendor_lookback,
        try_cast({{ json_text('properties', 'total_candidates') }} as integer) as vendor_candidate_count
    from {{ ref('stg_app_events') }}
    where
        record_type = 'install'
        and source = 'import'
        and environment in ('claims', 'production')
        and {{ planned_dates('event_date') }}
),

-- Times of a report are in the zone of its export. The importer has made the install's an instant; what lies between
-- touch and install in the report lies between them on any clock.
measured as (
    select
        *,
        case
            when vendor_event = 'install' then coalesce(install_local, event_local)
            else coalesce(event_local, install_local)
        end as opened_local,
        -- A report that was imported as installs and again as claims says one thing.
        row_number() over (
            partition by app_id, install_id, event_at
            order by case when environment = 'claims' then 0 else 1 end, record_id
        ) as import_number
    from reported
)

select
    app_id,
    record_id as claim_id,
    'appsflyer' as vendor,
    environment = 'claims' as is_claim_only,
    install_id,
    user_id,
    gaid,
    idfa,
    oaid,
    idfv,
    android_id,
    platform,
    event_at as install_at,
    event_date as install_date,
    vendor_event,
    coalesce(vendor_partner, 'organic') as vendor_partner,
    lower(coalesce(vendor_partner, 'organic')) = 'organic' as is_organic,
    campaign_id,
    campaign_name,
    case when touch_type in ('impression', 'view') then 'impression' else touch_type end as touch_type,
    {{ add_seconds('event_at', '-' ~ seconds_between('touch_local', 'opened_local') | trim) }} as touch_at,
    match_type,
    coalesce(is_retargeting, false) as is_retargeting,
    blocked_reason,
    vendor_lookback,
    vendor_candidate_count
from measured
where opened_local is not null and import_number = 1
