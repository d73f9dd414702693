{{ config(meta={'plan': 'fraud_dates'}, partition_by='signal_date') }}

with

candidates as (
    select
        app_id,
        conversion_id,
        touch_id,
        install_date,
        partner,
        campaign_id,
        site_id,
        fraud_rule_id
    from {{ ref('attribution_candidates') }}
    where {{ planned_dates('install_date') }}
),

signals as (
    -- What the touch itself is accused of stands with the touch, once, whatever it claims.
    select
        flag.app_id,
        flag.touch_date as signal_date,
        'touch' as subject_type,
        '' as conversion_id,
        flag.touch_id,
        'flag' as signal_kind,
        flag.flag_code as signal_code,
        known.score,
        flag.flag_value as signal_value,
        touch.partner,
        touch.campaign_id,
        touch.site_id
    from {{ ref('int_touch_flags') }} as flag
    inner join {{ ref('stg_touchpoints') }} as touch
        on flag.app_id = touch.app_id and flag.touch_id = touch.record_id and flag.touch_date = touch.event_date
    inner join {{ ref('rule_fraud_flags') }} as known on flag.flag_code = known.flag_code
    where {{ planned_dates('flag.touch_date') }} and {{ planned_dates('touch.event_date') }}
    union all
    select
        flag.app_id,
        flag.install_date as signal_date,
        'conversion' as subject_type,
        flag.conversion_id,
        '' as touch_id,
        'flag' as signal_kind,
        flag.flag_code as signal_code,
        known.score,
        flag.flag_value as signal_value,
        null as partner,
        null as campaign_id,
        null as site_id
    from {{ ref('int_conversion_flags') }} as flag
    inner join {{ ref('rule_fraud_flags') }} as known on flag.flag_code = known.flag_code
    where {{ planned_dates('flag.install_date') }}
    union all
    select
        flag.app_id,
        flag.install_date as signal_date,
        'candidate' as subject_type,
        flag.conversion_id,
        flag.touch_id,
        'flag' as signal_kind,
        flag.flag_code as signal_code,
        known.score,
        flag.flag_value as signal_value,
        candidate.partner,
        candidate.campaign_id,
        candidate.site_id
    from {{ ref('int_candidate_flags') }} as flag
    inner join candidates as candidate
        on
            flag.app_id = candidate.app_id
            and flag.conversion_id = candidate.conversion_id
            and flag.touch_id = candidate.touch_id
    inner join {{ ref('rule_fraud_flags') }} as known on flag.flag_code = known.flag_code
    where flag.flag_scope in ('candidate', 'site') and {{ planned_dates('flag.install_date') }}
    union all
    select
        candidate.app_id,
        candidate.install_date as signal_date,
        'candidate' as subject_type,
        candidate.conversion_id,
        candidate.touch_id,
        'rule' as signal_kind,
        candidate.fraud_rule_id as signal_code,
        rule.score,
        cast(null as double) as signal_value,
        candidate.partner,
        candidate.campaign_id,
        candidate.site_id
    from candidates as candidate
    inner join {{ ref('rule_fraud_rules') }} as rule on candidate.fraud_rule_id = rule.rule_id
    union all
    select
        decision.app_id,
        decision.install_date as signal_date,
        'conversion' as subject_type,
        decision.conversion_id,
        '' as touch_id,
        'rule' as signal_kind,
        decision.fraud_rule_id as signal_code,
        rule.score,
        cast(null as double) as signal_value,
        null as partner,
        null as campaign_id,
        null as site_id
    from {{ ref('attribution_decisions') }} as decision
    inner join {{ ref('rule_fraud_rules') }} as rule on decision.fraud_rule_id = rule.rule_id
    where {{ planned_dates('decision.install_date') }}
)

select
    app_id,
    signal_date,
    subject_type,
    conversion_id,
    touch_id,
    signal_kind,
    signal_code,
    score,
    signal_value,
    partner,
    campaign_id,
    site_id
from signals
