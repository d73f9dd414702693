with

campaigns as (
    select app_id, date, sum(installs) as installs from {{ ref('campaign_daily') }} group by app_id, date
),

attributed as (
    select app_id, install_date as date, count(*) as installs
    from {{ ref('attributed_installs') }}
    where is_primary
    group by app_id, install_date
)

select
    coalesce(campaigns.app_id, attributed.app_id) as app_id,
    coalesce(campaigns.date, attributed.date) as date,
    campaigns.installs as campaign_installs,
    attributed.installs as attributed_installs
from campaigns
full outer join attributed on campaigns.app_id = attributed.app_id and campaigns.date = attributed.date
where coalesce(campaigns.installs, 0) != coalesce(attributed.installs, 0)
