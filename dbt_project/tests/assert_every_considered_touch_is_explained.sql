-- Every match is a candidate with a reason, and the reason says the same about eligibility as the row.
select
    match.app_id,
    match.conversion_id,
    match.touch_id,
    candidate.reason_code
from {{ ref('int_touch_matches') }} as match
left join {{ ref('attribution_candidates') }} as candidate
    on
        match.app_id = candidate.app_id
        and match.conversion_id = candidate.conversion_id
        and match.touch_id = candidate.touch_id
left join {{ ref('rule_reason_codes') }} as reason on candidate.reason_code = reason.reason_code
where
    candidate.touch_id is null
    or reason.is_eligible is null
    or reason.is_eligible != candidate.is_eligible
    or candidate.is_eligible != (candidate.candidate_rank is not null)
    or candidate.is_winner != (candidate.reason_code = 'won')
