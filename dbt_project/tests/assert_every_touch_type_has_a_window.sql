select kind.touch_type, kind.match_class
from {{ ref('rule_touch_types') }} as kind
left join {{ ref('rule_attribution_windows') }} as rule
    on
        kind.touch_type = rule.touch_type
        and kind.match_class = rule.match_class
        and rule.app_id = '*'
        and rule.partner = '*'
        and rule.platform = '*'
        and rule.conversion_type = '*'
where kind.match_class = 'deterministic' and rule.touch_type is null
