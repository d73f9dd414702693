select
    fact.app_id,
    fact.install_date as date,
    fact.partner,
    fact.campaign_id,
    fact.window_number,
    decoding.event_name,
    count(*) as observed_postbacks
from {{ ref('skan_postback_facts') }} as fact
inner join {{ ref('int_skan_decodings') }} as decoding
    on
        fact.schema_id = decoding.schema_id
        and fact.window_number = decoding.window_number
        and coalesce(cast(fact.conversion_value as varchar), fact.coarse_conversion_value) = decoding.value_code
where fact.is_counted and fact.is_winner and decoding.event_name is not null
group by
    fact.app_id, fact.install_date, fact.partner, fact.campaign_id, fact.window_number, decoding.event_name
