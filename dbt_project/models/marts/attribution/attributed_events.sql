{{ config(meta={'plan': 'credit_dates'}, partition_by='event_date') }}

-- An event is credited through its install. Where the policy says so, a retargeting conversion of the device takes the
-- credit for a while, or is given a copy of its own.
with

events as (
    select
        event.app_id,
        event.record_id,
        event.record_type,
        event.event_name,
        event.event_at,
        event.event_date,
        coalesce(event.install_id, revenue.install_id) as install_id,
        coalesce(revenue.is_inherited, false) as is_inherited,
        revenue.revenue_kind,
        revenue.amount_micros,
        revenue.currency,
        revenue.revenue_usd
    from {{ ref('stg_app_events') }} as event
    left join {{ ref('int_revenue_events') }} as revenue
        on
            event.app_id = revenue.app_id
            and event.record_id = revenue.record_id
            and event.event_date = revenue.event_date
            and {{ planned_dates('revenue.event_date') }}
    where
        event.record_type in ('event', 'ad_revenue', 'uninstall')
        and event.environment = 'production'
        and (event.install_id is not null or revenue.install_id is not null)
        and {{ planned_dates('event.event_date') }}
),

-- An install told again after a tracking prompt is the one it tells. Whose events are asked for is a filter, not a
-- join: joined to what is told first, it would share no more than the app with it.
installs as (
    select
        conversion.app_id,
        conversion.install_id,
        conversion.device_id,
        told.conversion_id,
        told.conversion_type,
        told.counted_install_id,
        decision.reason_code
    from {{ ref('int_conversions') }} as conversion
    inner join {{ ref('int_conversions') }} as told
        on conversion.app_id = told.app_id and conversion.told_install_id = told.install_id
    inner join {{ ref('attribution_decisions') }} as decision
        on
            told.app_id = decision.app_id
            and told.conversion_id = decision.conversion_id
            and told.conversion_date = decision.conversion_date
            -- So that the tables on the outside share more than the app, whichever is joined first.
            and told.install_id = decision.install_id
    where
        (conversion.app_id, conversion.install_id) in (select app_id, install_id from events)
        and conversion.conversion_type != 'reengagement'
        and told.conversion_type != 'reengagement'
        and decision.is_primary
),

-- Only an organic reinstall takes its events away from the device's counted install.
install_credits as (
    select
        installs.app_id,
        installs.install_id,
        installs.device_id,
        case
            when installs.conversion_type = 'install' or installs.reason_code = 'organic_reinstall'
                then installs.conversion_id
            else counted.conversion_id
        end as conversion_id
    from installs
    left join {{ ref('int_installs') }} as counted
        on installs.app_id = counted.app_id and installs.counted_install_id = counted.install_id
),

returns as (
    select
        conversion.app_id,
        conversion.device_id,
        conversion.conversion_id,
        conversion.conversion_at,
        conversion.event_attribution,
        {{ add_hours('conversion.conversion_at', '24 * conversion.reengagement_window_days') }} as until_at
    from {{ ref('int_conversions') }} as conversion
    inner join {{ ref('attribution_decisions') }} as decision
        on
            conversion.app_id = decision.app_id
            and conversion.conversion_id = decision.conversion_id
            and conversion.conversion_date = decision.conversion_date
    where
        conversion.conversion_type in ('reinstall', 'reengagement')
        and conversion.event_attribution != 'to_install'
        and decision.reason_code = 'attributed'
),

placed as (
    select
        events.*,
        credit.conversion_id as install_conversion_id,
        latest.conversion_id as return_conversion_id,
        latest.event_attribution,
        -- A newer return replaces the earlier one for good: after its window the events are the install's again.
        coalesce(events.event_at < latest.until_at, false) as is_taken,
        row_number() over (
            partition by events.app_id, events.record_id order by latest.conversion_at desc, latest.conversion_id
        ) as place
    from events
    inner join install_credits as credit
        on events.app_id = credit.app_id and events.install_id = credit.install_id
    left join returns as latest
        on
            credit.app_id = latest.app_id
            and credit.device_id = latest.device_id
            and events.event_at >= latest.conversion_at
),

credited as (
    select
        *,
        case when is_taken then return_conversion_id else install_conversion_id end as conversion_id,
        true as is_primary
    from placed
    where place = 1
    union all
    select
        *,
        install_conversion_id as conversion_id,
        false as is_primary
    from placed
    where place = 1 and is_taken and event_attribution = 'double'
),

decisions as (
    select app_id, conversion_id, touch_id, is_blocked
    from {{ ref('attribution_decisions') }}
    where is_primary
),

winners as (
    select app_id, conversion_id, touch_id, partner, campaign_id, campaign_name, adset_id, creative_id, site_id
    from {{ ref('attribution_candidates') }}
    where is_winner
)

select
    credited.app_id,
    credited.record_id,
    credited.conversion_id,
    credited.is_primary,
    credited.record_type,
    credited.event_name,
    credited.event_at,
    credited.event_date,
    credited.install_id,
    case
        when decision.is_blocked then 'blocked'
        when winner.conversion_id is null then 'organic'
        else coalesce(winner.partner, 'unknown')
    end as partner,
    winner.campaign_id,
    winner.campaign_name,
    winner.adset_id,
    winner.creative_id,
    winner.site_id,
    winner.conversion_id is null and not decision.is_blocked as is_organic,
    credited.is_taken and credited.is_primary as is_retargeting,
    credited.is_inherited,
    credited.revenue_kind,
    credited.amount_micros,
    credited.currency,
    credited.revenue_usd
from credited
inner join decisions as decision
    on credited.app_id = decision.app_id and credited.conversion_id = decision.conversion_id
left join winners as winner
    on
        decision.app_id = winner.app_id
        and decision.conversion_id = winner.conversion_id
        and decision.touch_id = winner.touch_id
