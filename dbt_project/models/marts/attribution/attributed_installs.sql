{{ config(meta={'plan': 'install_dates'}, partition_by='install_date') }}

with

winners as (
    select *
    from {{ ref('attribution_candidates') }}
    where is_winner and conversion_type = 'install' and {{ planned_dates('conversion_date') }}
),

decisions as (
    select *
    from {{ ref('attribution_decisions') }}
    where is_primary and is_counted and {{ planned_dates('conversion_date') }}
)

select
    install.app_id,
    install.platform,
    install.install_id,
    install.conversion_id,
    install.install_at,
    install.install_date,
    install.country,
    install.device_model,
    install.os_version,
    install.app_version,
    install.is_implied,
    decision.is_organic,
    decision.is_blocked,
    case
        when decision.is_organic then 'organic'
        when decision.is_blocked then 'blocked'
        else coalesce(winner.partner, 'unknown')
    end as partner,
    winner.campaign_id,
    winner.campaign_name,
    winner.adset_id,
    winner.creative_id,
    winner.site_id,
    decision.touch_id,
    winner.touch_type,
    winner.touch_at,
    winner.match_method,
    winner.match_confidence,
    winner.elapsed_s as click_to_install_s,
    decision.candidate_count,
    decision.eligible_count,
    decision.reason_code,
    decision.ruleset_id,
    decision.is_primary
from {{ ref('int_installs') }} as install
inner join decisions as decision
    on install.app_id = decision.app_id and install.conversion_id = decision.conversion_id
left join winners as winner
    on
        decision.app_id = winner.app_id
        and decision.conversion_id = winner.conversion_id
        and decision.touch_id = winner.touch_id
where {{ planned_dates('install.install_date') }}
