-- The name of the rules in force is a hash of their content: the same rules have the same id everywhere.
with

lines as (
    select concat_ws('|', 'window', app_id, partner, touch_type, cast(valid_from as varchar), window_hours) as line
    from {{ ref('rule_attribution_windows') }}
    union all
    select concat_ws('|', 'method', match_method, method_strength) as line from {{ ref('rule_match_methods') }}
    union all
    select concat_ws('|', 'touch', touch_type, tier) as line from {{ ref('rule_touch_types') }}
    union all
    select concat_ws('|', 'reason', reason_code, is_eligible) as line from {{ ref('rule_reason_codes') }}
    union all
    select
        concat_ws(
            '|', 'fraud', rule_id, priority, action, rule_kind, source_type, status, score, reason_code,
            cast(valid_from as varchar), cast(valid_until as varchar), version
        ) as line
    from {{ ref('rule_fraud_rules') }}
    where status = 'active'
    union all
    select concat_ws('|', 'fraud_if', rule_id, any_group, attribute, operator, compared_with) as line
    from {{ ref('rule_fraud_conditions') }}
    where rule_id in (select rule_id from {{ ref('rule_fraud_rules') }} where status = 'active')
    union all
    select concat_ws('|', 'fraud_bound', threshold, cast(valid_from as varchar), threshold_value) as line
    from {{ ref('rule_fraud_thresholds') }}
    union all
    select concat_ws('|', 'address', ip_prefix, ip_class) as line from {{ ref('rule_ip_lists') }}
    union all
    select concat_ws('|', 'verdict', integrity_verdict, flag_code) as line from {{ ref('rule_integrity_verdicts') }}
    union all
    select concat_ws('|', 'lookback', {{ var('attribution_lookback_days') }}) as line
)

select
    {{ content_hash('line') }} as ruleset_id,
    count(*) as line_count
from lines
