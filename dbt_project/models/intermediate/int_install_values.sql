{{ config(meta={'plan': 'cohort_dates'}, partition_by='install_date') }}

with

installs as (
    select app_id, install_id, conversion_id, install_at, install_date, is_organic, is_blocked
    from {{ ref('attributed_installs') }}
    where is_primary and {{ planned_dates('install_date') }}
),

members as (
    {{ cohort_members('installs') }}
),

earnings as (
    select
        install.app_id,
        install.install_id,
        {{ days_between('install.install_date', 'revenue.event_date') }} as day_n,
        revenue.revenue_usd
    from {{ ref('int_revenue_events') }} as revenue
    inner join members as install on revenue.app_id = install.app_id and revenue.install_id = install.member_id
    where
        revenue.event_at >= install.install_at
        and {{ planned_dates('revenue.event_date', days_after=30) }}
),

revenues as (
    select
        app_id,
        install_id,
        sum(case when day_n <= 7 then revenue_usd end) as revenue_d7_usd,
        sum(case when day_n <= 30 then revenue_usd end) as revenue_d30_usd
    from earnings
    group by app_id, install_id
),

aged as (
    select
        installs.*,
        coalesce({{ days_between('installs.install_date', 'watermark.watermark_date') }} - 1, -1) as mature_day
    from installs
    left join {{ ref('int_watermarks') }} as watermark on installs.app_id = watermark.app_id
)

select
    aged.app_id,
    aged.conversion_id,
    aged.install_date,
    aged.is_organic,
    aged.is_blocked,
    case when aged.mature_day >= 7 then cast(coalesce(revenues.revenue_d7_usd, 0) as decimal(18, 6)) end
        as revenue_d7_usd,
    case when aged.mature_day >= 30 then cast(coalesce(revenues.revenue_d30_usd, 0) as decimal(18, 6)) end
        as revenue_d30_usd
from aged
left join revenues on aged.app_id = revenues.app_id and aged.install_id = revenues.install_id
