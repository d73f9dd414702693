{% set days = (var('cohort_days') | int) + 1 %}

with

cohorts as (
    select
        app_id,
        install_date,
        platform,
        partner,
        campaign_id,
        day_clock,
        count(*) as day_rows,
        sum(case when (mature_installs = 0) != (retained_installs is null) then 1 else 0 end) as hidden_rows,
        sum(case when retained_installs > mature_installs or mature_installs > cohort_installs then 1 else 0 end)
            as impossible_rows
    from {{ ref('cohort_retention') }}
    group by app_id, install_date, platform, partner, campaign_id, day_clock
)

select *
from cohorts
where day_rows != {{ days }} or hidden_rows > 0 or impossible_rows > 0
