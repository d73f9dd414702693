-- One row per app_id, partner and campaign_id, as it is called now. Built whole, like campaign_history.
with

told as (
    select app_id, partner, campaign_id, event_date as date, adset_id from {{ ref('int_campaign_evidence') }}
    union all
    select spend.app_id, spend.partner, spend.campaign_id, cost.cost_date as date, cost.adset_id
    from {{ ref('stg_costs') }} as cost
    inner join {{ ref('int_campaign_costs') }} as spend
        on cost.app_id = spend.app_id and cost.record_id = spend.record_id
    where spend.campaign_id != ''
),

lives as (
    select
        app_id,
        partner,
        campaign_id,
        min(date) as first_date,
        max(date) as last_date,
        count(distinct adset_id) as adsets
    from told
    group by app_id, partner, campaign_id
),

names as (
    select app_id, partner, campaign_id, count(distinct campaign_name) as names
    from {{ ref('campaign_history') }}
    group by app_id, partner, campaign_id
)

select
    campaign.app_id,
    campaign.partner,
    campaign.campaign_id,
    campaign.campaign_name,
    campaign.clean_name,
    campaign.channel_code,
    campaign.medium,
    campaign.status,
    lives.adsets,
    names.names,
    lives.first_date,
    lives.last_date
from {{ ref('campaign_history') }} as campaign
inner join lives
    on
        campaign.app_id = lives.app_id
        and campaign.partner = lives.partner
        and campaign.campaign_id = lives.campaign_id
inner join names
    on
        campaign.app_id = names.app_id
        and campaign.partner = names.partner
        and campaign.campaign_id = names.campaign_id
where campaign.is_current
