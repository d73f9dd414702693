-- The other direction: no decision, candidate or attributed row is left over from what is no longer a conversion.
select left_over.app_id, left_over.conversion_id
from (
    select app_id, conversion_id from {{ ref('attribution_decisions') }}
    union all
    select app_id, conversion_id from {{ ref('attributed_installs') }}
    union all
    select app_id, conversion_id from {{ ref('attribution_candidates') }}
) as left_over
left join {{ ref('int_conversions') }} as conversion
    on left_over.app_id = conversion.app_id and left_over.conversion_id = conversion.conversion_id
where conversion.conversion_id is null
