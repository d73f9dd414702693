-- Postbacks in = facts out = postbacks of the days, whether counted or not.
with

sent as (
    select app_id, count(*) as postbacks from {{ ref('stg_skan_postbacks') }} group by app_id
),

facts as (
    select app_id, count(*) as postbacks from {{ ref('skan_postback_facts') }} group by app_id
),

days as (
    select
        app_id,
        sum(postbacks) as postbacks,
        sum(
            winning_postbacks + lost_postbacks + invalid_postbacks + unverifiable_postbacks + sandbox_postbacks
        ) as sorted_postbacks
    from {{ ref('skan_daily') }}
    group by app_id
)

select sent.app_id, sent.postbacks, facts.postbacks as fact_postbacks, days.postbacks as day_postbacks
from sent
left join facts on sent.app_id = facts.app_id
left join days on sent.app_id = days.app_id
where
    sent.postbacks != coalesce(facts.postbacks, 0)
    or sent.postbacks != coalesce(days.postbacks, 0)
    or sent.postbacks != coalesce(days.sorted_postbacks, 0)
