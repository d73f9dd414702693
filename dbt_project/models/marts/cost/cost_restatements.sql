with

statements as (
    select
        cost.*,
        {{ usd('cost.cost_micros', 'rate.usd_per_unit') }} as cost_usd
    from {{ ref('stg_cost_statements') }} as cost
    left join {{ ref('int_fx_rates') }} as rate
        on
            cost.currency = rate.currency
            and cost.cost_date >= rate.valid_from
            and cost.cost_date < rate.valid_until
),

followed as (
    select
        *,
        lag(cost_usd) over (
            partition by
                app_id, cost_date, partner, platform, country, channel, agency, campaign_id, adset_id, creative_id,
                site_id
            order by statement_number
        ) as previous_cost_usd
    from statements
)

select
    followed.app_id,
    followed.cost_date,
    followed.record_id,
    coalesce(followed.platform, app.platform, 'other') as platform,
    coalesce(followed.partner, 'unknown') as partner,
    coalesce(followed.campaign_id, '') as campaign_id,
    followed.campaign_name,
    followed.adset_id,
    followed.creative_id,
    followed.site_id,
    followed.channel,
    followed.agency,
    followed.country,
    followed.statement_number,
    followed.statement_count,
    followed.statement_number = followed.statement_count as is_in_force,
    followed.as_of,
    {{ days_between('followed.cost_date', utc_date('followed.as_of')) }} as days_after,
    cast(
        cast(followed.cost_micros as decimal(24, 0)) * cast(0.000001 as decimal(7, 6)) as decimal(18, 6)
    ) as cost,
    followed.currency,
    followed.cost_usd,
    followed.previous_cost_usd,
    cast(followed.cost_usd - coalesce(followed.previous_cost_usd, 0) as decimal(18, 6)) as change_usd,
    followed.impressions,
    followed.clicks,
    followed.installs
from followed
left join {{ source('config', 'apps') }} as app on followed.app_id = app.app_id
