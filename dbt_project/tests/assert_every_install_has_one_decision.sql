-- Organic is a channel of its own, so the installs of all channels sum to the installs that count.
select
    conversion.app_id,
    conversion.conversion_id,
    count(distinct decision.conversion_id) as decisions,
    count(distinct attributed.conversion_id) as attributed_rows
from {{ ref('int_conversions') }} as conversion
left join {{ ref('attribution_decisions') }} as decision
    on
        conversion.app_id = decision.app_id
        and conversion.conversion_id = decision.conversion_id
        and decision.is_primary
left join {{ ref('attributed_installs') }} as attributed
    on
        conversion.app_id = attributed.app_id
        and conversion.conversion_id = attributed.conversion_id
        and attributed.is_primary
group by conversion.app_id, conversion.conversion_id, conversion.is_counted
having
    count(distinct decision.conversion_id) != 1
    or count(distinct attributed.conversion_id) != case when conversion.is_counted then 1 else 0 end
