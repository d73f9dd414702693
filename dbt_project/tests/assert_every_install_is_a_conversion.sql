-- Counted or not, an install is never lost, and it is counted by an install that counts.
select
    install.app_id,
    install.install_id
from {{ ref('int_installs') }} as install
left join {{ ref('int_conversions') }} as conversion
    on install.app_id = conversion.app_id and install.conversion_id = conversion.conversion_id
left join {{ ref('attributed_installs') }} as counted
    on conversion.app_id = counted.app_id and conversion.counted_install_id = counted.install_id
where conversion.conversion_id is null or counted.install_id is null
