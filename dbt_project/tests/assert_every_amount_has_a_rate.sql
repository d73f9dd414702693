-- An amount without a rate would vanish from every mart. Import a rate of the currency (docs/costs.md).
select 'revenue' as amount_of, app_id, currency, event_date as date, count(*) as row_count
from {{ ref('int_revenue_events') }}
where revenue_usd is null
group by app_id, currency, event_date
union all
select 'cost' as amount_of, cost.app_id, cost.currency, cost.cost_date as date, count(*) as row_count
from {{ ref('stg_costs') }} as cost
left join {{ ref('int_fx_rates') }} as rate
    on
        cost.currency = rate.currency
        and cost.cost_date >= rate.valid_from
        and cost.cost_date < rate.valid_until
where rate.usd_per_unit is null
group by cost.app_id, cost.currency, cost.cost_date
