{{ config(meta={'plan': 'conversion_dates'}, partition_by='conversion_date') }}

with

considered as (
    select
        app_id,
        conversion_id,
        count(*) as candidate_count,
        sum(case when is_eligible then 1 else 0 end) as eligible_count,
        max(case when is_winner then touch_id end) as touch_id
    from {{ ref('attribution_candidates') }}
    where {{ planned_dates('conversion_date') }}
    group by app_id, conversion_id
),

winners as (
    select * from {{ ref('attribution_candidates') }} where is_winner and {{ planned_dates('conversion_date') }}
),

flags as (
    {{ fraud_flags_of_conversions() }}
),

judged as (
    select
        conversion.app_id,
        conversion.conversion_id,
        {{ fraud_rule('block_event', touch='winner', match='winner') }} as fraud_rule_id
    from {{ ref('int_conversions') }} as conversion
    inner join {{ ref('int_installs') }} as install
        on conversion.app_id = install.app_id and conversion.conversion_id = install.conversion_id
    left join winners as winner
        on conversion.app_id = winner.app_id and conversion.conversion_id = winner.conversion_id
    left join flags
        on conversion.app_id = flags.app_id and conversion.conversion_id = flags.conversion_id
    where {{ planned_dates('conversion.conversion_date') }} and {{ planned_dates('install.install_date') }}
),

decided as (
    select
        conversion.*,
        judged.fraud_rule_id,
        case when judged.fraud_rule_id is null then considered.touch_id end as touch_id,
        cast(coalesce(considered.candidate_count, 0) as bigint) as candidate_count,
        cast(coalesce(considered.eligible_count, 0) as bigint) as eligible_count,
        case
            when judged.fraud_rule_id is not null then 'fraud_blocked'
            when considered.touch_id is not null then 'attributed'
            when conversion.conversion_type = 'att_second_install' then 'kept_original'
            when conversion.conversion_type = 'reinstall' and conversion.reinstall_policy = 'af_organic_events'
                then 'organic_reinstall'
            when conversion.conversion_type = 'reinstall' then 'kept_original'
            when considered.candidate_count is null then 'organic_no_candidate'
            else 'organic_no_eligible_candidate'
        end as reason_code
    from {{ ref('int_conversions') }} as conversion
    left join considered
        on conversion.app_id = considered.app_id and conversion.conversion_id = considered.conversion_id
    left join judged
        on conversion.app_id = judged.app_id and conversion.conversion_id = judged.conversion_id
    where {{ planned_dates('conversion.conversion_date') }}
)

select
    app_id,
    conversion_id,
    conversion_type,
    install_id,
    install_at,
    install_date,
    conversion_at,
    conversion_date,
    is_counted,
    counted_install_id,
    'last_touch' as model,
    touch_id is null and reason_code not in ('kept_original', 'fraud_blocked') as is_organic,
    fraud_rule_id is not null as is_blocked,
    fraud_rule_id,
    touch_id,
    candidate_count,
    eligible_count,
    reason_code,
    ruleset_id,
    true as is_primary
from decided
