select
    app_id,
    cost_date as date,
    platform,
    partner,
    reported_campaign_id as campaign_id,
    reported_campaign_name as campaign_name,
    unmatched_reason,
    count(*) as cost_rows,
    cast(coalesce(sum(cost_usd), 0) as decimal(18, 6)) as cost_usd
from {{ ref('int_campaign_costs') }}
where campaign_match = 'none'
group by app_id, cost_date, platform, partner, reported_campaign_id, reported_campaign_name, unmatched_reason
