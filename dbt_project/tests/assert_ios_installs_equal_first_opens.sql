-- Networks and organic share the first opens of a date that are no fraud; no postback makes one more.
with

shared as (
    select app_id, date, sum(combined_installs) as installs from {{ ref('ios_daily') }} group by app_id, date
),

opened as (
    select app_id, install_date as date, count(*) as installs
    from {{ ref('attributed_installs') }}
    where is_primary and platform = 'ios' and not is_blocked
    group by app_id, install_date
)

select
    coalesce(shared.app_id, opened.app_id) as app_id,
    coalesce(shared.date, opened.date) as date,
    shared.installs as shared_installs,
    opened.installs as first_opens
from shared
full outer join opened on shared.app_id = opened.app_id and shared.date = opened.date
where coalesce(shared.installs, 0) != coalesce(opened.installs, 0)
