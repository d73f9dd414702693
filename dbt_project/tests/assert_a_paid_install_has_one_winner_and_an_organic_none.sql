select
    install.app_id,
    install.conversion_id,
    install.is_organic,
    count(candidate.touch_id) as winners
from {{ ref('attributed_installs') }} as install
left join {{ ref('attribution_candidates') }} as candidate
    on
        install.app_id = candidate.app_id
        and install.conversion_id = candidate.conversion_id
        and candidate.is_winner
where not install.is_blocked
group by install.app_id, install.conversion_id, install.is_organic
having count(candidate.touch_id) != case when install.is_organic then 0 else 1 end
