with

latest as (
    select
        *,
        row_number() over (
            partition by app_id, install_id, horizon_days order by as_of desc, run_id desc, model_version desc
        ) as recency
    from {{ source('ml', 'predictions_ltv') }}
)

select
    install.app_id,
    install.install_date,
    install.platform,
    install.partner,
    coalesce(install.campaign_id, '') as campaign_id,
    prediction.horizon_days,
    max(install.campaign_name) as campaign_name,
    count(*) as scored_installs,
    -- Summed as decimals, as a sum of doubles depends on the order of the rows.
    cast(sum(cast(prediction.predicted_ltv_usd as decimal(18, 6))) as double) as predicted_ltv_usd,
    cast(sum(cast(prediction.predicted_ltv_low_usd as decimal(18, 6))) as double) as predicted_ltv_low_usd,
    cast(sum(cast(prediction.predicted_ltv_high_usd as decimal(18, 6))) as double) as predicted_ltv_high_usd,
    cast(sum(prediction.observed_revenue_usd) as decimal(18, 6)) as observed_revenue_usd,
    max(prediction.as_of) as as_of,
    max(prediction.model_name) as model_name,
    max(prediction.model_version) as model_version
from latest as prediction
inner join {{ ref('attributed_installs') }} as install
    on prediction.app_id = install.app_id and prediction.install_id = install.install_id
where prediction.recency = 1 and install.is_primary
group by
    install.app_id, install.install_date, install.platform, install.partner, coalesce(install.campaign_id, ''),
    prediction.horizon_days
