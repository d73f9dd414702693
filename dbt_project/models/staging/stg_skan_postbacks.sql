{% set columns = [
    'app_id', 'record_id', 'environment', 'event_at', 'received_at', 'event_date', 'source', 'payload_hash',
    'properties', 'country', 'app_version', 'partner', 'campaign_id', 'skan_version', 'transaction_id',
    'ad_network_id', 'source_identifier', 'source_app_id', 'source_domain', 'is_redownload', 'fidelity_type',
    'did_win', 'conversion_value', 'coarse_conversion_value', 'postback_sequence_index', 'conversion_type',
    'attribution_signature', 'signature_state', 'request_id'
] %}

with

postbacks as (
    {{ first_copies(
        source('bronze', 'bronze_skan_postbacks'),
        columns,
        {
            'environment': "coalesce(environment, 'production')",
            'partner': 'lower(partner)',
            'postback_sequence_index': 'coalesce(postback_sequence_index, 0)',
        }
    ) }}
),

-- Devices repeat a postback until it is answered, under a record id of each request: Apple's id tells it is the same.
-- A copy whose signature is wrong never stands in for one without a fault, whichever came first.
ranked as (
    select
        *,
        row_number() over (
            partition by app_id, transaction_id, postback_sequence_index
            order by
                case when signature_state in ('invalid', 'unverifiable') then 1 else 0 end,
                event_at,
                payload_hash,
                record_id
        ) as repeat_number
    from postbacks
)

select {{ columns | join(', ') }}
from ranked
where repeat_number = 1
