-- The other direction: no decision, candidate or attributed row is left over from an install that is no longer one.
select left_over.app_id, left_over.conversion_id
from (
    select app_id, conversion_id from {{ ref('attribution_decisions') }}
    union all
    select app_id, conversion_id from {{ ref('attributed_installs') }}
    union all
    select app_id, conversion_id from {{ ref('attribution_candidates') }}
) as left_over
left join {{ ref('int_installs') }} as install
    on left_over.app_id = install.app_id and left_over.conversion_id = install.conversion_id
where install.conversion_id is null
