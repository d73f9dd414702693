{{ config(meta={'plan': 'touch_dates'}, partition_by='event_date') }}

-- Priced by the model that the link names: cpc per click, cpm per thousand impressions, cpi per credited install (in
-- int_link_install_costs). A price without a model is that of the touch itself.
with

priced as (
    select
        touch.app_id,
        touch.event_date,
        coalesce(touch.platform, app.platform, 'other') as platform,
        coalesce(touch.partner, 'unknown') as partner,
        coalesce(touch.campaign_id, '') as campaign_id,
        coalesce(touch.campaign_name, '') as campaign_name,
        touch.currency,
        case when touch.record_type = 'impression' and lower(touch.cost_model) = 'cpm' then 'thousand' else 'touch' end
            as price_of,
        count(*) as touches,
        sum(
            case
                when
                    touch.cost_model is null
                    or (touch.record_type = 'click' and lower(touch.cost_model) = 'cpc')
                    or (touch.record_type = 'impression' and lower(touch.cost_model) = 'cpm')
                    then touch.cost_micros
            end
        ) as price_micros
    from {{ ref('stg_touchpoints') }} as touch
    left join {{ source('config', 'apps') }} as app on touch.app_id = app.app_id
    where touch.environment = 'production' and {{ planned_dates('touch.event_date') }}
    group by all
)

select
    priced.app_id,
    priced.event_date,
    priced.platform,
    priced.partner,
    priced.campaign_id,
    priced.campaign_name,
    cast(sum(priced.touches) as bigint) as touches,
    cast(
        sum(
            case
                when priced.price_of = 'touch' then {{ usd('priced.price_micros', 'rate.usd_per_unit') }}
                else
                    cast(
                        cast({{ usd('priced.price_micros', 'rate.usd_per_unit') }} as decimal(24, 6))
                        * cast(0.001 as decimal(4, 3)) as decimal(18, 6)
                    )
            end
        ) as decimal(18, 6)
    ) as link_cost_usd
from priced
left join {{ ref('int_fx_rates') }} as rate
    on
        priced.currency = rate.currency
        and priced.event_date >= rate.valid_from
        and priced.event_date < rate.valid_until
group by
    priced.app_id, priced.event_date, priced.platform, priced.partner, priced.campaign_id, priced.campaign_name
