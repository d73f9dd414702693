{{ config(meta={'plan': 'campaign_dates'}, partition_by='date') }}

{% set horizons = [0, 7, 30] %}

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

revenues as (
    select
        install.app_id,
        install.date,
        install.platform,
        install.partner,
        install.campaign_id,
        {%- for n in horizons %}
        sum(
            case
                when {{ days_between('install.date', 'revenue.event_date') }} <= {{ n }} then revenue.revenue_usd
                else 0
            end
        ) as revenue_d{{ n }}_usd{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ ref('int_revenue_events') }} as revenue
    inner join installs as install on revenue.app_id = install.app_id and revenue.install_id = install.install_id
    where
        revenue.event_at >= install.install_at
        and {{ planned_dates('revenue.event_date', days_after=horizons | max) }}
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
        {%- for n in horizons %}
        cast(coalesce(revenues.revenue_d{{ n }}_usd, 0) as decimal(18, 6)) as revenue_d{{ n }}_usd,
        coalesce({{ days_between('keys.date', 'watermark.watermark_date') }} > {{ n }}, false) as is_mature_d{{ n }},
        {%- endfor %}
        keys.partner != 'organic' as is_paid
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
    {%- for n in horizons %}
    case when is_mature_d{{ n }} then revenue_d{{ n }}_usd end as revenue_d{{ n }}_usd,
    {%- endfor %}
    {%- for n in horizons %}
    is_mature_d{{ n }},
    {%- endfor %}
    case when is_paid then cost_usd else 0 end as ecpi_cost_usd,
    case when is_paid then installs else 0 end as ecpi_installs,
    {%- for n in horizons %}
    case when is_mature_d{{ n }} and is_paid then revenue_d{{ n }}_usd end as roas_d{{ n }}_revenue_usd,
    case when is_mature_d{{ n }} and is_paid then cost_usd end as roas_d{{ n }}_cost_usd{{ ',' if not loop.last }}
    {%- endfor %}
from measures
