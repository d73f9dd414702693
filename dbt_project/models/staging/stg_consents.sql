{{ config(meta={'plan': 'consent_dates'}, partition_by='event_date') }}

{% set columns = [
    'app_id', 'record_id', 'record_type', 'platform', 'environment', 'event_at', 'sent_at', 'received_at',
    'event_date', 'is_event_at_missing', 'source', 'payload_hash', 'properties', 'install_id', 'user_id', 'idfa',
    'gaid', 'oaid', 'idfv', 'app_set_id', 'android_id', 'click_id', 'ip_prefix', 'ip_hash', 'os_name', 'os_version',
    'device_model', 'locale', 'country', 'time_zone', 'app_version', 'att_status', 'is_limit_ad_tracking',
    'is_gdpr_subject', 'has_ad_user_data_consent', 'has_ad_personalization_consent', 'tcf_string', 'request_id'
] %}

{{ first_copies(source('bronze', 'bronze_consents'), columns, {'environment': environment_of()}) }}
