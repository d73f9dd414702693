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
),

flags as (
    {{ fraud_flags_of_conversions() }}
),

winners as (
    select * from {{ ref('attribution_candidates') }} where is_winner and {{ planned_dates('install_date') }}
),

judged as (
    select
        install.app_id,
        install.conversion_id,
        install.install_id,
        install.install_at,
        install.install_date,
        considered.touch_id,
        considered.candidate_count,
        considered.eligible_count,
        {{ fraud_rule('block_event', touch='winner', match='winner') }} as fraud_rule_id
    from {{ ref('int_installs') }} as install
    left join considered on install.app_id = considered.app_id and install.conversion_id = considered.conversion_id
    left join winners as winner
        on install.app_id = winner.app_id and install.conversion_id = winner.conversion_id
    left join flags on install.app_id = flags.app_id and install.conversion_id = flags.conversion_id
    where {{ planned_dates('install.install_date') }}
)

select
    judged.app_id,
    judged.conversion_id,
    'install' as conversion_type,
    judged.install_id,
    judged.install_at,
    judged.install_date,
    'last_touch' as model,
    judged.touch_id is null and judged.fraud_rule_id is null as is_organic,
    judged.fraud_rule_id is not null as is_blocked,
    judged.fraud_rule_id,
    case when judged.fraud_rule_id is null then judged.touch_id end as touch_id,
    cast(coalesce(judged.candidate_count, 0) as bigint) as candidate_count,
    cast(coalesce(judged.eligible_count, 0) as bigint) as eligible_count,
    case
        when judged.fraud_rule_id is not null then 'fraud_blocked'
        when judged.touch_id is not null then 'attributed'
        when judged.candidate_count is null then 'organic_no_candidate'
        else 'organic_no_eligible_candidate'
    end as reason_code,
    ruleset.ruleset_id,
    true as is_primary
from judged
cross join {{ ref('int_ruleset') }} as ruleset
