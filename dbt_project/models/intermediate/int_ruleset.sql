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
    select concat_ws('|', 'lookback', {{ var('attribution_lookback_days') }}) as line
)

select
    {{ content_hash('line') }} as ruleset_id,
    count(*) as line_count
from lines
