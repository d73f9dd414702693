{{ config(meta={'plan': 'touch_dates'}, partition_by='event_date') }}

{% set columns = [
    'app_id', 'record_id', 'record_type', 'platform', 'environment', 'event_at', 'sent_at', 'received_at',
    'event_date', 'is_event_at_missing', 'source', 'payload_hash', 'properties', 'install_id', 'user_id', 'idfa',
    'gaid', 'oaid', 'idfv', 'app_set_id', 'android_id', 'click_id', 'ip_prefix', 'ip_hash', 'os_name', 'os_version',
    'device_model', 'locale', 'country', 'time_zone', 'partner', 'channel', 'agency', 'campaign_id',
    'campaign_name', 'adset_id', 'adset_name', 'creative_id', 'creative_name', 'site_id', 'sub_site_id', 'keyword',
    'is_retargeting', 'cost_model', 'cost_micros', 'is_signature_valid', 'deeplink_url', 'raw_url',
    'is_limit_ad_tracking', 'currency', 'is_gdpr_subject', 'has_ad_user_data_consent',
    'has_ad_personalization_consent', 'request_id'
] %}

{% set cleaned = {
    'environment': environment_of(has_version=false, by_install=false),
    'partner': "lower(partner)"
} %}

{{ first_copies(source('bronze', 'bronze_touchpoints'), columns, cleaned) }}
