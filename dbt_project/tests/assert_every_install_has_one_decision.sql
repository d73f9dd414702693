-- Organic is a channel of its own, so the installs of all channels sum to the installs there are.
select
    install.app_id,
    install.conversion_id,
    count(decision.conversion_id) as decisions,
    count(attributed.conversion_id) as attributed_rows
from {{ ref('int_installs') }} as install
left join {{ ref('attribution_decisions') }} as decision
    on
        install.app_id = decision.app_id
        and install.conversion_id = decision.conversion_id
        and decision.is_primary
left join {{ ref('attributed_installs') }} as attributed
    on
        install.app_id = attributed.app_id
        and install.conversion_id = attributed.conversion_id
        and attributed.is_primary
group by install.app_id, install.conversion_id
having count(decision.conversion_id) != 1 or count(attributed.conversion_id) != 1
