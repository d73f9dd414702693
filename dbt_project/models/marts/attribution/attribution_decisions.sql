{{ config(meta={'plan': 'install_dates'}, partition_by='install_date') }}

with

considered as (
    select
        app_id,
        conversion_id,
        count(*) as candidate_count,
        sum(case when is_eligible then 1 else 0 end) as eligible_count,
        max(case when is_winner then touch_id end) as touch_id
    from {{ ref('attribution_candidates') }}
    where {{ planned_dates('install_date') }}
    group by app_id, conversion_id
)

select
    install.app_id,
    install.conversion_id,
    'install' as conversion_type,
    install.install_id,
    install.install_at,
    install.install_date,
    'last_touch' as model,
    considered.touch_id is null as is_organic,
    considered.touch_id,
    cast(coalesce(considered.candidate_count, 0) as bigint) as candidate_count,
    cast(coalesce(considered.eligible_count, 0) as bigint) as eligible_count,
    case
        when considered.touch_id is not null then 'attributed'
        when considered.candidate_count is null then 'organic_no_candidate'
        else 'organic_no_eligible_candidate'
    end as reason_code,
    ruleset.ruleset_id,
    true as is_primary
from {{ ref('int_installs') }} as install
left join considered on install.app_id = considered.app_id and install.conversion_id = considered.conversion_id
cross join {{ ref('int_ruleset') }} as ruleset
where {{ planned_dates('install.install_date') }}
