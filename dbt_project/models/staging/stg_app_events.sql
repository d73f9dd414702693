{{ config(meta={'plan': 'event_dates'}, partition_by='event_date') }}

{% set columns = [
    'app_id', 'record_id', 'record_type', 'platform', 'environment', 'event_at', 'sent_at', 'received_at',
    'event_date', 'is_event_at_missing', 'source', 'payload_hash', 'properties', 'install_id', 'user_id', 'idfa',
    'gaid', 'oaid', 'idfv', 'app_set_id', 'android_id', 'click_id', 'ip_prefix', 'ip_hash', 'os_name', 'os_version',
    'device_model', 'locale', 'country', 'time_zone', 'app_version', 'download_at', 'referrer', 'referrer_click_at',
    'referrer_click_server_at', 'install_begin_at', 'install_begin_server_at', 'is_instant', 'store', 'att_status',
    'is_limit_ad_tracking', 'integrity_verdict', 'event_name', 'session_id', 'session_length_s', 'revenue_micros',
    'currency', 'quantity', 'product_id', 'order_id', 'original_order_id', 'receipt_state', 'mediation',
    'ad_network', 'ad_unit', 'placement', 'ad_type', 'revenue_precision', 'ad_impressions', 'uninstall_detector',
    'is_gdpr_subject', 'has_ad_user_data_consent', 'has_ad_personalization_consent', 'request_id'
] %}

{% set cleaned = {
    'environment': environment_of()
} %}

{{ first_copies(source('bronze', 'bronze_app_events'), columns, cleaned) }}
