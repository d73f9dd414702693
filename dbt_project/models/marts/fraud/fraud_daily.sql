{{ config(meta={'plan': 'fraud_dates'}, partition_by='date') }}

with

rejected as (
    select
        app_id,
        install_date as date,
        coalesce(partner, 'unknown') as partner,
        coalesce(campaign_id, '') as campaign_id,
        coalesce(site_id, '') as site_id,
        fraud_rule_id as rule_id,
        count(*) as rejected_candidates,
        sum(case when touch_type = 'click' then 1 else 0 end) as rejected_clicks,
        sum(case when touch_type = 'impression' then 1 else 0 end) as rejected_impressions,
        count(distinct conversion_id) as concerned_conversions,
        0 as blocked_conversions
    from {{ ref('attribution_candidates') }}
    where reason_code = 'fraud_rejected' and {{ planned_dates('install_date') }}
    group by 1, 2, 3, 4, 5, 6
),

-- A conversion that is rejected as a whole stands with the source that would have won it.
blocked as (
    select
        decision.app_id,
        decision.install_date as date,
        case when winner.touch_id is null then 'organic' else coalesce(winner.partner, 'unknown') end as partner,
        coalesce(winner.campaign_id, '') as campaign_id,
        coalesce(winner.site_id, '') as site_id,
        decision.fraud_rule_id as rule_id,
        0 as rejected_candidates,
        0 as rejected_clicks,
        0 as rejected_impressions,
        count(*) as concerned_conversions,
        count(*) as blocked_conversions
    from {{ ref('attribution_decisions') }} as decision
    left join {{ ref('attribution_candidates') }} as winner
        on
            decision.app_id = winner.app_id
            and decision.conversion_id = winner.conversion_id
            and decision.install_date = winner.install_date
            and winner.is_winner
    where decision.is_blocked and {{ planned_dates('decision.install_date') }}
    group by 1, 2, 3, 4, 5, 6
),

hits as (
    select
        app_id,
        date,
        partner,
        campaign_id,
        site_id,
        rule_id,
        sum(rejected_candidates) as rejected_candidates,
        sum(rejected_clicks) as rejected_clicks,
        sum(rejected_impressions) as rejected_impressions,
        sum(concerned_conversions) as concerned_conversions,
        sum(blocked_conversions) as blocked_conversions
    from (
        select * from rejected
        union all
        select * from blocked
    ) as parts
    group by app_id, date, partner, campaign_id, site_id, rule_id
),

-- What the partner says it charged that day, and for how many of what.
costs as (
    select
        cost.app_id,
        cost.cost_date as date,
        coalesce(cost.partner, 'unknown') as partner,
        coalesce(cost.campaign_id, '') as campaign_id,
        case when count(distinct cost.cost_model) = 1 then max(cost.cost_model) end as cost_model,
        cast(sum({{ usd('cost.cost_micros', 'rate.usd_per_unit') }}) as double) as cost_usd,
        sum(cost.clicks) as clicks,
        sum(cost.impressions) as impressions,
        sum(cost.installs) as installs
    from {{ ref('stg_costs') }} as cost
    left join {{ ref('int_fx_rates') }} as rate
        on
            cost.currency = rate.currency
            and cost.cost_date >= rate.valid_from
            and cost.cost_date < rate.valid_until
    where {{ planned_dates('cost.cost_date') }}
    group by 1, 2, 3, 4
)

select
    hits.app_id,
    hits.date,
    hits.partner,
    hits.campaign_id,
    hits.site_id,
    hits.rule_id,
    cast(hits.rejected_candidates as bigint) as rejected_candidates,
    cast(hits.concerned_conversions as bigint) as concerned_conversions,
    cast(hits.blocked_conversions as bigint) as blocked_conversions,
    costs.cost_model,
    cast(round(
        case costs.cost_model
            when 'cpi' then costs.cost_usd / nullif(costs.installs, 0) * hits.concerned_conversions
            when 'cpa' then costs.cost_usd / nullif(costs.installs, 0) * hits.concerned_conversions
            when 'cpc' then costs.cost_usd / nullif(costs.clicks, 0) * hits.rejected_clicks
            when 'cpm' then costs.cost_usd / nullif(costs.impressions, 0) * hits.rejected_impressions
        end, 6
    ) as decimal(18, 6)) as concerned_cost_usd
from hits
left join costs using (app_id, date, partner, campaign_id)
