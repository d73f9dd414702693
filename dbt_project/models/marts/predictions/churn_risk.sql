with

latest as (
    select
        *,
        row_number() over (
            partition by app_id, install_id order by as_of desc, run_id desc, model_version desc, horizon_days
        ) as recency
    from {{ source('ml', 'predictions_churn') }}
)

select
    prediction.app_id,
    prediction.install_id,
    prediction.as_of,
    prediction.horizon_days,
    prediction.churn_probability,
    band.risk_band,
    prediction.top_reasons,
    install.install_date,
    install.platform,
    install.country,
    install.partner,
    coalesce(install.campaign_id, '') as campaign_id,
    prediction.model_name,
    prediction.model_version
from latest as prediction
inner join {{ ref('attributed_installs') }} as install
    on prediction.app_id = install.app_id and prediction.install_id = install.install_id
left join {{ ref('rule_risk_bands') }} as band
    on
        prediction.churn_probability >= band.min_probability
        and prediction.churn_probability < band.max_probability
where prediction.recency = 1 and install.is_primary
