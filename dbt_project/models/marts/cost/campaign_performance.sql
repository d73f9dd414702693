with

keys as (
    select app_id, date, platform, partner, campaign_id
    from {{ ref('campaign_daily') }}
    -- A day that only spend made a row is there under the campaign that the spend was mapped to.
    where impressions > 0 or clicks > 0 or installs > 0
    union
    select app_id, date, platform, partner, campaign_id from {{ ref('int_campaign_spend') }}
),

paid_back as (
    select app_id, date, platform, partner, campaign_id, min(day_n) as payback_day
    from {{ ref('campaign_payback') }}
    where cost_usd > 0 and cumulative_revenue_usd >= cost_usd
    group by app_id, date, platform, partner, campaign_id
),

measures as (
    select
        keys.app_id,
        keys.date,
        keys.platform,
        keys.partner,
        keys.campaign_id,
        coalesce(spend.campaign_name, campaign.campaign_name) as campaign_name,
        {{ is_paid('keys.partner') }} as is_paid,
        coalesce(campaign.impressions, 0) as impressions,
        coalesce(campaign.clicks, 0) as clicks,
        coalesce(campaign.installs, 0) as installs,
        spend.reported_impressions,
        spend.reported_clicks,
        spend.reported_installs,
        coalesce(spend.cost_source, 'none') as cost_source,
        cast(coalesce(spend.cost_usd, 0) as decimal(18, 6)) as cost_usd,
        spend.reported_cost_usd,
        spend.link_cost_usd,
        spend.cpi_cost_usd,
        spend.cpi_installs,
        -- Without a touch or install of its own a campaign has earned nothing; its days come of age all the same.
        case
            when campaign.app_id is not null then campaign.revenue_d0_usd
            when {{ days_between('keys.date', 'watermark.watermark_date') }} > 0 then 0
        end as revenue_d0_usd,
        case
            when campaign.app_id is not null then campaign.revenue_d7_usd
            when {{ days_between('keys.date', 'watermark.watermark_date') }} > 7 then 0
        end as revenue_d7_usd,
        case
            when campaign.app_id is not null then campaign.revenue_d30_usd
            when {{ days_between('keys.date', 'watermark.watermark_date') }} > 30 then 0
        end as revenue_d30_usd,
        paid_back.payback_day
    from keys
    left join {{ ref('campaign_daily') }} as campaign using (app_id, date, platform, partner, campaign_id)
    left join {{ ref('int_campaign_spend') }} as spend using (app_id, date, platform, partner, campaign_id)
    left join paid_back using (app_id, date, platform, partner, campaign_id)
    left join {{ ref('int_watermarks') }} as watermark using (app_id)
)

select
    app_id,
    date,
    platform,
    partner,
    campaign_id,
    campaign_name,
    impressions,
    clicks,
    installs,
    reported_impressions,
    reported_clicks,
    reported_installs,
    reported_impressions - impressions as impressions_difference,
    reported_clicks - clicks as clicks_difference,
    reported_installs - installs as installs_difference,
    cost_source,
    cost_usd,
    reported_cost_usd,
    link_cost_usd,
    clicks as ctr_clicks,
    impressions as ctr_impressions,
    case when is_paid then installs else 0 end as cvr_installs,
    clicks as cvr_clicks,
    case when is_paid then installs else 0 end as ipm_installs,
    impressions as ipm_impressions,
    cast(coalesce(cpi_cost_usd, 0) as decimal(18, 6)) as cpi_cost_usd,
    coalesce(cpi_installs, 0) as cpi_installs,
    cost_usd as ecpi_paid_cost_usd,
    case when is_paid then installs else 0 end as ecpi_paid_installs,
    cost_usd as ecpi_all_cost_usd,
    case when partner = 'blocked' then 0 else installs end as ecpi_all_installs,
    cast(case when is_paid then revenue_d0_usd end as decimal(18, 6)) as roas_d0_revenue_usd,
    case when is_paid and revenue_d0_usd is not null then cost_usd end as roas_d0_cost_usd,
    cast(case when is_paid then revenue_d0_usd - cost_usd end as decimal(18, 6)) as roi_d0_profit_usd,
    case when is_paid and revenue_d0_usd is not null then cost_usd end as roi_d0_cost_usd,
    cast(case when is_paid then revenue_d7_usd end as decimal(18, 6)) as roas_d7_revenue_usd,
    case when is_paid and revenue_d7_usd is not null then cost_usd end as roas_d7_cost_usd,
    cast(case when is_paid then revenue_d7_usd - cost_usd end as decimal(18, 6)) as roi_d7_profit_usd,
    case when is_paid and revenue_d7_usd is not null then cost_usd end as roi_d7_cost_usd,
    cast(case when is_paid then revenue_d30_usd end as decimal(18, 6)) as roas_d30_revenue_usd,
    case when is_paid and revenue_d30_usd is not null then cost_usd end as roas_d30_cost_usd,
    cast(case when is_paid then revenue_d30_usd - cost_usd end as decimal(18, 6)) as roi_d30_profit_usd,
    case when is_paid and revenue_d30_usd is not null then cost_usd end as roi_d30_cost_usd,
    payback_day
from measures
