with

reported as (
    select
        app_id,
        cost_date as date,
        platform,
        partner,
        campaign_id,
        nullif(max(reported_campaign_name), '') as campaign_name,
        cast(coalesce(sum(cost_usd), 0) as decimal(18, 6)) as cost_usd,
        sum(impressions) as impressions,
        sum(clicks) as clicks,
        sum(installs) as installs,
        cast(coalesce(sum(case when lower(cost_model) = 'cpi' then cost_usd end), 0) as decimal(18, 6)) as cpi_cost_usd,
        coalesce(sum(case when lower(cost_model) = 'cpi' then installs end), 0) as cpi_installs
    from {{ ref('int_campaign_costs') }}
    group by app_id, cost_date, platform, partner, campaign_id
),

-- A partner that states a day has stated all of it, perhaps under another campaign, so its links cost nothing more.
stated_days as (
    select app_id, date, partner from reported group by app_id, date, partner
),

links as (
    select
        app_id,
        date,
        platform,
        partner,
        campaign_id,
        nullif(max(campaign_name), '') as campaign_name,
        sum(cost_usd) as cost_usd,
        sum(cpi_cost_usd) as cpi_cost_usd,
        sum(cpi_installs) as cpi_installs
    from (
        select
            app_id, event_date as date, platform, partner, campaign_id, campaign_name, link_cost_usd as cost_usd,
            cast(0 as decimal(18, 6)) as cpi_cost_usd, 0 as cpi_installs
        from {{ ref('int_campaign_touches') }}
        where link_cost_usd is not null
        union all
        select
            app_id, install_date as date, platform, partner, campaign_id, '' as campaign_name,
            link_cost_usd as cost_usd, link_cost_usd as cpi_cost_usd, billed_installs as cpi_installs
        from {{ ref('int_link_install_costs') }}
    ) as priced
    group by app_id, date, platform, partner, campaign_id
),

keys as (
    select app_id, date, platform, partner, campaign_id from reported
    union
    select app_id, date, platform, partner, campaign_id from links
)

select
    keys.app_id,
    keys.date,
    keys.platform,
    keys.partner,
    keys.campaign_id,
    coalesce(reported.campaign_name, links.campaign_name) as campaign_name,
    case when stated_days.app_id is not null then 'network' else 'link' end as cost_source,
    cast(
        case
            when stated_days.app_id is not null then coalesce(reported.cost_usd, 0)
            else coalesce(links.cost_usd, 0)
        end as decimal(18, 6)
    ) as cost_usd,
    reported.cost_usd as reported_cost_usd,
    cast(links.cost_usd as decimal(18, 6)) as link_cost_usd,
    cast(reported.impressions as bigint) as reported_impressions,
    cast(reported.clicks as bigint) as reported_clicks,
    cast(reported.installs as bigint) as reported_installs,
    cast(
        case
            when stated_days.app_id is not null then coalesce(reported.cpi_cost_usd, 0)
            else coalesce(links.cpi_cost_usd, 0)
        end as decimal(18, 6)
    ) as cpi_cost_usd,
    cast(
        case
            when stated_days.app_id is not null then coalesce(reported.cpi_installs, 0)
            else coalesce(links.cpi_installs, 0)
        end as bigint
    ) as cpi_installs
from keys
left join reported using (app_id, date, platform, partner, campaign_id)
left join links using (app_id, date, platform, partner, campaign_id)
left join stated_days using (app_id, date, partner)
