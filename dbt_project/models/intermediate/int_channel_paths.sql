{{ config(meta={'plan': 'path_dates'}, partition_by='path_date') }}

{% set lookback = var('attribution_lookback_days') | int %}

with

paths as (
    select
        app_id,
        conversion_id,
        {{ path_text('partner', 'campaign_id', 'position') }} as path
    from {{ ref('int_conversion_paths') }}
    where {{ planned_dates('install_date') }}
    group by app_id, conversion_id
),

converted as (
    select
        install.app_id,
        install.install_date as path_date,
        coalesce(paths.path, '[]') as path,
        count(*) as path_count,
        sum(install.revenue_d7_usd) as revenue_d7_usd,
        sum(install.revenue_d30_usd) as revenue_d30_usd
    from {{ ref('int_install_values') }} as install
    left join paths on install.app_id = paths.app_id and install.conversion_id = paths.conversion_id
    where not install.is_blocked and {{ planned_dates('install.install_date') }}
    group by install.app_id, install.install_date, coalesce(paths.path, '[]')
)

select
    app_id,
    path_date,
    true as is_converted,
    path,
    path_count,
    cast(revenue_d7_usd as decimal(18, 6)) as revenue_d7_usd,
    cast(revenue_d30_usd as decimal(18, 6)) as revenue_d30_usd,
    path_date as closed_date
from converted
union all
select
    app_id,
    path_date,
    false as is_converted,
    path,
    path_count,
    cast(null as decimal(18, 6)) as revenue_d7_usd,
    cast(null as decimal(18, 6)) as revenue_d30_usd,
    {{ add_days('path_date', lookback) }} as closed_date
from {{ ref('int_lost_paths') }}
where {{ planned_dates('path_date') }}
