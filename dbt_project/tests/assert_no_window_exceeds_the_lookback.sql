-- A touch older than the look-back is never gathered, so a longer window would be cut without a word.
select *
from {{ ref('rule_attribution_windows') }}
where window_hours > 24 * {{ var('attribution_lookback_days') }} or window_hours < 0
