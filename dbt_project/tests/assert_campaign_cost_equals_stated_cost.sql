with

campaigns as (
    select app_id, date, sum(cost_usd) as cost_usd from {{ ref('campaign_daily') }} group by app_id, date
),

stated as (
    select
        cost.app_id,
        cost.cost_date as date,
        sum({{ usd('cost.cost_micros', 'rate.usd_per_unit') }}) as cost_usd
    from {{ ref('stg_costs') }} as cost
    left join {{ ref('int_fx_rates') }} as rate
        on
            cost.currency = rate.currency
            and cost.cost_date >= rate.valid_from
            and cost.cost_date < rate.valid_until
    group by cost.app_id, cost.cost_date
)

select
    coalesce(campaigns.app_id, stated.app_id) as app_id,
    coalesce(campaigns.date, stated.date) as date,
    campaigns.cost_usd as campaign_cost_usd,
    stated.cost_usd as stated_cost_usd
from campaigns
full outer join stated on campaigns.app_id = stated.app_id and campaigns.date = stated.date
where coalesce(campaigns.cost_usd, 0) != coalesce(stated.cost_usd, 0)
