select kind.touch_type
from {{ ref('rule_touch_types') }} as kind
left join {{ ref('rule_attribution_windows') }} as rule
    on kind.touch_type = rule.touch_type and rule.app_id = '*' and rule.partner = '*'
where rule.touch_type is null
