{{ config(meta={'plan': 'campaign_dates'}, partition_by='date') }}

with

touches as (
    select
        touch.app_id,
        touch.event_date as date,
        coalesce(touch.platform, app.platform, 'other') as platform,
        coalesce(touch.partner, 'unknown') as partner,
        coalesce(touch.campaign_id, '') as campaign_id,
        max(touch.campaign_name) as campaign_name,
        sum(case when touch.record_type = 'impression' then 1 else 0 end) as impressions,
        sum(case when touch.record_type = 'click' then 1 else 0 end) as clicks
    from {{ ref('stg_touchpoints') }} as touch
    left join {{ source('config', 'apps') }} as app on touch.app_id = app.app_id
    where touch.environment = 'production' and {{ planned_dates('touch.event_date') }}
    group by all
),

costs as (
    select
        cost.app_id,
        cost.cost_date as date,
        coalesce(cost.platform, app.platform, 'other') as platform,
        coalesce(cost.partner, 'unknown') as partner,
        coalesce(cost.campaign_id, '') as campaign_id,
        max(cost.campaign_name) as campaign_name,
        sum({{ usd('cost.cost_micros', 'rate.usd_per_unit') }}) as cost_usd
    from {{ ref('stg_costs') }} as cost
    left join {{ source('config', 'apps') }} as app on cost.app_id = app.app_id
    left join {{ ref('int_fx_rates') }} as rate
        on
            cost.currency = rate.currency
            and cost.cost_date >= rate.valid_from
            and cost.cost_date < rate.valid_until
    where {{ planned_dates('cost.cost_date') }}
    group by all
),

installs as (
    select
        app_id,
        install_id,
        install_at,
        install_date as date,
        platform,
        partner,
        coalesce(campaign_id, '') as campaign_id,
        campaign_name
    from {{ ref('attributed_installs') }}
    where is_primary and {{ planned_dates('install_date') }}
),

members as (
    {{ cohort_members('installs') }}
),

cohorts as (
    select
        app_id,
        date,
        platform,
        partner,
        campaign_id,
        max(campaign_name) as campaign_name,
        count(*) as installs
    from installs
    group by all
),

earnings as (
    select
        install.app_id,
        install.date,
        install.platform,
        install.partner,
        install.campaign_id,
        revenue.revenue_usd,
        {{ days_between('install.date', 'revenue.event_date') }} as day_n
    from {{ ref('int_revenue_events') }} as revenue
    inner join members as install on revenue.app_id = install.app_id and revenue.install_id = install.member_id
    where
        revenue.event_at >= install.install_at
        and {{ planned_dates('revenue.event_date', days_after=30) }}
),

revenues as (
    select
        app_id,
        date,
        platform,
        partner,
        campaign_id,
        sum(case when day_n <= 0 then revenue_usd else 0 end) as revenue_d0_usd,
        sum(case when day_n <= 7 then revenue_usd else 0 end) as revenue_d7_usd,
        sum(case when day_n <= 30 then revenue_usd else 0 end) as revenue_d30_usd
    from earnings
    group by all
),

keys as (
    select app_id, date, platform, partner, campaign_id from touches
    union
    select app_id, date, platform, partner, campaign_id from costs
    union
    select app_id, date, platform, partner, campaign_id from cohorts
),

measures as (
    select
        keys.app_id,
        keys.date,
        keys.platform,
        keys.partner,
        keys.campaign_id,
        coalesce(costs.campaign_name, touches.campaign_name, cohorts.campaign_name) as campaign_name,
        cast(coalesce(touches.impressions, 0) as bigint) as impressions,
        cast(coalesce(touches.clicks, 0) as bigint) as clicks,
        coalesce(cohorts.installs, 0) as installs,
        cast(coalesce(costs.cost_usd, 0) as decimal(18, 6)) as cost_usd,
        cast(coalesce(revenues.revenue_d0_usd, 0) as decimal(18, 6)) as revenue_d0_usd,
        cast(coalesce(revenues.revenue_d7_usd, 0) as decimal(18, 6)) as revenue_d7_usd,
        cast(coalesce(revenues.revenue_d30_usd, 0) as decimal(18, 6)) as revenue_d30_usd,
        -- Days of the date that are over, on the clock of the app's data; a date without installs comes of age too.
        coalesce({{ days_between('keys.date', 'watermark.watermark_date') }} - 1, -1) as mature_day,
        {{ is_paid('keys.partner') }} as is_paid
    from keys
    left join touches using (app_id, date, platform, partner, campaign_id)
    left join costs using (app_id, date, platform, partner, campaign_id)
    left join cohorts using (app_id, date, platform, partner, campaign_id)
    left join revenues using (app_id, date, platform, partner, campaign_id)
    left join {{ ref('int_watermarks') }} as watermark on keys.app_id = watermark.app_id
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
    cost_usd,
    case when mature_day >= 0 then revenue_d0_usd end as revenue_d0_usd,
    case when mature_day >= 7 then revenue_d7_usd end as revenue_d7_usd,
    case when mature_day >= 30 then revenue_d30_usd end as revenue_d30_usd,
    mature_day >= 0 as is_mature_d0,
    mature_day >= 7 as is_mature_d7,
    mature_day >= 30 as is_mature_d30,
    case when is_paid then cost_usd else 0 end as ecpi_cost_usd,
    case when is_paid then installs else 0 end as ecpi_installs,
    case when is_paid and mature_day >= 0 then revenue_d0_usd end as roas_d0_revenue_usd,
    case when is_paid and mature_day >= 0 then cost_usd end as roas_d0_cost_usd,
    case when is_paid and mature_day >= 7 then revenue_d7_usd end as roas_d7_revenue_usd,
    case when is_paid and mature_day >= 7 then cost_usd end as roas_d7_cost_usd,
    case when is_paid and mature_day >= 30 then revenue_d30_usd end as roas_d30_revenue_usd,
    case when is_paid and mature_day >= 30 then cost_usd end as roas_d30_cost_usd
from measures
