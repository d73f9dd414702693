{{ config(meta={'plan': 'skan_dates'}, partition_by='event_date') }}

{% set columns = [
    'app_id', 'record_id', 'environment', 'event_at', 'received_at', 'event_date', 'source', 'payload_hash',
    'properties', 'country', 'app_version', 'partner', 'campaign_id', 'skan_version', 'transaction_id',
    'ad_network_id', 'source_identifier', 'source_app_id', 'source_domain', 'is_redownload', 'fidelity_type',
    'did_win', 'conversion_value', 'coarse_conversion_value', 'postback_sequence_index', 'conversion_type',
    'attribution_signature', 'signature_state', 'request_id'
] %}

with

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
    from {{ ref('stg_skan_deliveries') }}
    -- A postback of a day that is built again may have been repeated on a day that is not.
    where {{ planned_keys(
        ref('stg_skan_deliveries'), ['app_id', 'transaction_id', 'postback_sequence_index'], 'event_date'
    ) }}
)

select {{ columns | join(', ') }}
from ranked
where repeat_number = 1 and {{ planned_dates('event_date') }}
