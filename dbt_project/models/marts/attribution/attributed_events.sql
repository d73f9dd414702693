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

-- What a conversion gives to the events it takes.
credits as (
    select
        decision.app_id,
        decision.conversion_id,
        decision.conversion_date,
        decision.reason_code,
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
        winner.conversion_id is null and not decision.is_blocked as is_organic
    from {{ ref('attribution_decisions') }} as decision
    left join {{ ref('attribution_candidates') }} as winner
        on
            decision.app_id = winner.app_id
            and decision.conversion_id = winner.conversion_id
            and decision.touch_id = winner.touch_id
            and winner.is_winner
    where decision.is_primary
),

conversions as (
    select *
    from {{ ref('int_conversions') }}
    where {{ planned_keys('events', ['app_id', 'install_id'], 'event_date') }}
),

-- An install told again after a tracking prompt is the one it tells.
installs as (
    select
        conversion.app_id,
        conversion.install_id,
        conversion.device_id,
        told.conversion_id,
        told.conversion_type,
        told.counted_install_id,
        credit.reason_code
    from conversions as conversion
    inner join {{ ref('int_conversions') }} as told
        on conversion.app_id = told.app_id and conversion.told_install_id = told.install_id
    inner join credits as credit
        on
            told.app_id = credit.app_id
            and told.conversion_id = credit.conversion_id
            and told.conversion_date = credit.conversion_date
    where
        conversion.conversion_type != 'reengagement'
        and told.conversion_type != 'reengagement'
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
        {{ add_hours('conversion.conversion_at', '24 * conversion.reengagement_window_days') }} as until_at,
        row_number() over (
            partition by conversion.app_id, conversion.device_id, conversion.conversion_at
            order by conversion.conversion_id
        ) as place
    from {{ ref('int_conversions') }} as conversion
    inner join credits as credit
        on
            conversion.app_id = credit.app_id
            and conversion.conversion_id = credit.conversion_id
            and conversion.conversion_date = credit.conversion_date
    where
        conversion.conversion_type in ('reinstall', 'reengagement')
        and conversion.event_attribution != 'to_install'
        and credit.reason_code = 'attributed'
),

-- A newer return replaces the earlier one for good: after its window the events are the install's again.
latest as (
    select
        app_id,
        device_id,
        conversion_id,
        event_attribution,
        conversion_at as since_at,
        until_at,
        lead(conversion_at) over (partition by app_id, device_id order by conversion_at) as replaced_at
    from returns
    where place = 1
),

-- One row per event, two where the policy is to count it for the install as well.
copies as (
    select 'single' as copies, true as is_primary
    union all
    select 'double' as copies, true as is_primary
    union all
    select 'double' as copies, false as is_primary
),

placed as (
    select
        events.*,
        credit.conversion_id as install_conversion_id,
        latest.conversion_id as return_conversion_id,
        latest.conversion_id is not null as is_taken,
        case when latest.event_attribution = 'double' then 'double' else 'single' end as copies
    from events
    inner join install_credits as credit
        on events.app_id = credit.app_id and events.install_id = credit.install_id
    left join latest
        on
            credit.app_id = latest.app_id
            and credit.device_id = latest.device_id
            and events.event_at >= latest.since_at
            and events.event_at < latest.until_at
            and events.event_at < coalesce(latest.replaced_at, latest.until_at)
),

credited as (
    select
        placed.*,
        copies.is_primary,
        placed.is_taken and copies.is_primary as is_retargeting,
        case
            when placed.is_taken and copies.is_primary then placed.return_conversion_id
            else placed.install_conversion_id
        end as conversion_id
    from placed
    inner join copies on placed.copies = copies.copies
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
    credit.partner,
    credit.campaign_id,
    credit.campaign_name,
    credit.adset_id,
    credit.creative_id,
    credit.site_id,
    credit.is_organic,
    credited.is_retargeting,
    credited.is_inherited,
    credited.revenue_kind,
    credited.amount_micros,
    credited.currency,
    credited.revenue_usd
from credited
inner join credits as credit
    on credited.app_id = credit.app_id and credited.conversion_id = credit.conversion_id
