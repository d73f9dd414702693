{{ config(meta={'plan': 'install_dates'}, partition_by='install_date') }}

-- A link priced per install costs its price once for each install that one of its touches won.
select
    install.app_id,
    install.install_date,
    install.platform,
    install.partner,
    coalesce(install.campaign_id, '') as campaign_id,
    count(*) as billed_installs,
    cast(sum({{ usd('touch.cost_micros', 'rate.usd_per_unit') }}) as decimal(18, 6)) as link_cost_usd
from {{ ref('attributed_installs') }} as install
inner join {{ ref('stg_touchpoints') }} as touch
    on install.app_id = touch.app_id and install.touch_id = touch.record_id
left join {{ ref('int_fx_rates') }} as rate
    on
        touch.currency = rate.currency
        and install.install_date >= rate.valid_from
        and install.install_date < rate.valid_until
where
    install.is_primary
    and lower(touch.cost_model) = 'cpi'
    and touch.cost_micros is not null
    and {{ planned_dates('install.install_date') }}
    and {{ planned_dates('touch.event_date', days_before=var('attribution_lookback_days')) }}
group by
    install.app_id, install.install_date, install.platform, install.partner, coalesce(install.campaign_id, '')
