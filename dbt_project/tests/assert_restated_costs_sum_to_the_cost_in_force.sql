-- The changes of a day, the first statement among them, sum to what campaign_daily says it cost, and so do the costs in
-- force under the campaigns that they were mapped to.
with

changes as (
    select app_id, cost_date as date, sum(change_usd) as cost_usd
    from {{ ref('cost_restatements') }}
    group by app_id, cost_date
),

campaigns as (
    select app_id, date, sum(cost_usd) as cost_usd from {{ ref('campaign_daily') }} group by app_id, date
),

mapped as (
    select app_id, date, sum(reported_cost_usd) as cost_usd
    from {{ ref('campaign_performance') }}
    group by app_id, date
)

select
    campaigns.app_id,
    campaigns.date,
    campaigns.cost_usd as campaign_cost_usd,
    changes.cost_usd as changes_usd,
    mapped.cost_usd as mapped_cost_usd
from campaigns
left join changes on campaigns.app_id = changes.app_id and campaigns.date = changes.date
left join mapped on campaigns.app_id = mapped.app_id and campaigns.date = mapped.date
where
    campaigns.cost_usd != coalesce(changes.cost_usd, 0)
    or campaigns.cost_usd != coalesce(mapped.cost_usd, 0)
