-- An install that a touch proves and that a postback tells of is one install. Nothing joins the two, so per network
-- each proven install takes away one postback install whose bounds hold its date: those of the same date first, then of
-- the day before, then of the day after. No proven install takes away two.
with

skan as (
    select
        app_id,
        install_date as date,
        partner,
        count(*) as installs,
        sum(case when install_date_low < install_date then 1 else 0 end) as maybe_earlier,
        sum(case when install_date_high > install_date then 1 else 0 end) as maybe_later
    from {{ ref('skan_postback_facts') }}
    where is_counted and is_winner and window_number = 1 and conversion_type = 'download'
    group by app_id, install_date, partner
),

opens as (
    select app_id, install_date as date, partner, is_organic, count(*) as installs
    from {{ ref('attributed_installs') }}
    where is_primary and platform = 'ios' and not is_blocked
    group by app_id, install_date, partner, is_organic
),

keys as (
    select app_id, date, partner from skan
    union
    select app_id, date, partner from opens where not is_organic
),

same_date as (
    select
        keys.app_id,
        keys.date,
        keys.partner,
        coalesce(opens.installs, 0) as proven,
        coalesce(skan.installs, 0) as postbacks,
        coalesce(skan.maybe_earlier, 0) as maybe_earlier,
        coalesce(skan.maybe_later, 0) as maybe_later,
        least(coalesce(skan.installs, 0), coalesce(opens.installs, 0)) as matched
    from keys
    left join skan on keys.app_id = skan.app_id and keys.date = skan.date and keys.partner = skan.partner
    left join opens
        on
            keys.app_id = opens.app_id
            and keys.date = opens.date
            and keys.partner = opens.partner
            and not opens.is_organic
),

day_before as (
    select
        today.app_id,
        today.date,
        today.partner,
        least(
            today.postbacks - today.matched,
            today.maybe_earlier,
            coalesce(yesterday.proven - yesterday.matched, 0)
        ) as matched
    from same_date as today
    left join same_date as yesterday
        on
            today.app_id = yesterday.app_id
            and today.partner = yesterday.partner
            and today.date = {{ add_days('yesterday.date', 1) }}
),

day_after as (
    select
        today.app_id,
        today.date,
        today.partner,
        least(
            today.postbacks - today.matched - earlier.matched,
            today.maybe_later,
            -- The postbacks of the day after next may have taken some of them as their day before.
            coalesce(tomorrow.proven - tomorrow.matched - coalesce(taken.matched, 0), 0)
        ) as matched
    from same_date as today
    inner join day_before as earlier
        on today.app_id = earlier.app_id and today.date = earlier.date and today.partner = earlier.partner
    left join same_date as tomorrow
        on
            today.app_id = tomorrow.app_id
            and today.partner = tomorrow.partner
            and tomorrow.date = {{ add_days('today.date', 1) }}
    left join day_before as taken
        on
            today.app_id = taken.app_id
            and today.partner = taken.partner
            and taken.date = {{ add_days('today.date', 2) }}
),

netted as (
    select
        same_date.*,
        same_date.matched + day_before.matched + day_after.matched as overlap,
        same_date.postbacks - same_date.matched - day_before.matched - day_after.matched as skan_only
    from same_date
    inner join day_before
        on
            same_date.app_id = day_before.app_id
            and same_date.date = day_before.date
            and same_date.partner = day_before.partner
    inner join day_after
        on
            same_date.app_id = day_after.app_id
            and same_date.date = day_after.date
            and same_date.partner = day_after.partner
),

-- Every install is a first open, so those that only postbacks tell of are some of the opens that no touch explains.
-- Where they are more, each network keeps its share, in whole installs that add up.
capped as (
    select
        netted.*,
        sum(netted.skan_only) over (partition by netted.app_id, netted.date) as all_skan_only,
        sum(netted.skan_only) over (
            partition by netted.app_id, netted.date order by netted.partner
            rows between unbounded preceding and current row
        ) as skan_only_so_far,
        least(
            sum(netted.skan_only) over (partition by netted.app_id, netted.date),
            coalesce(organic.installs, 0)
        ) as room
    from netted
    left join opens as organic
        on netted.app_id = organic.app_id and netted.date = organic.date and organic.is_organic
),

paid as (
    select
        *,
        case
            when all_skan_only = 0 then 0
            else
                floor(room * skan_only_so_far / all_skan_only)
                - floor(room * (skan_only_so_far - skan_only) / all_skan_only)
        end as counted
    from capped
),

organic as (
    select
        opens.app_id,
        opens.date,
        opens.partner,
        opens.installs,
        coalesce(sum(paid.counted), 0) as owed_to_networks
    from opens
    left join paid on opens.app_id = paid.app_id and opens.date = paid.date
    where opens.is_organic
    group by opens.app_id, opens.date, opens.partner, opens.installs
)

select
    app_id,
    date,
    partner,
    cast(proven as bigint) as deterministic_installs,
    cast(postbacks as bigint) as skan_installs,
    cast(overlap as bigint) as overlap_installs,
    cast(skan_only as bigint) as skan_only_installs,
    cast(skan_only - counted as bigint) as skan_beyond_first_opens,
    cast(proven + counted as bigint) as combined_installs,
    cast(counted as bigint) as modelled_installs
from paid
union all
select
    app_id,
    date,
    partner,
    cast(installs as bigint) as deterministic_installs,
    cast(0 as bigint) as skan_installs,
    cast(0 as bigint) as overlap_installs,
    cast(0 as bigint) as skan_only_installs,
    cast(0 as bigint) as skan_beyond_first_opens,
    cast(installs - owed_to_networks as bigint) as combined_installs,
    cast(0 as bigint) as modelled_installs
from organic
