{{ config(meta={'plan': 'skan_dates'}, partition_by='event_date') }}

{% set columns = [
    'app_id', 'record_id', 'environment', 'event_at', 'received_at', 'event_date', 'source', 'payload_hash',
    'properties', 'country', 'app_version', 'partner', 'campaign_id', 'skan_version', 'transaction_id',
    'ad_network_id', 'source_identifier', 'source_app_id', 'source_domain', 'is_redownload', 'fidelity_type',
    'did_win', 'conversion_value', 'coarse_conversion_value', 'postback_sequence_index', 'conversion_type',
    'attribution_signature', 'signature_state', 'request_id'
] %}

{{ first_copies(
    source('bronze', 'bronze_skan_postbacks'),
    columns,
    {
        'environment': "coalesce(environment, 'production')",
        'partner': 'lower(partner)',
        'postback_sequence_index': 'coalesce(postback_sequence_index, 0)',
    }
) }}
