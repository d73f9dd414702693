select
    app_id,
    month,
    level,
    model,
    partner,
    campaign_id,
    case when campaign_id = '' then partner else concat(partner, ' / ', campaign_id) end as channel,
    credited_conversions,
    credited_revenue_d7_usd,
    credited_revenue_d30_usd,
    share,
    removal_effect,
    shapley_value,
    standard_error,
    conversion_rate,
    journeys as journey_count,
    input_hash
from {{ source('ml', 'channel_effects') }}
