{{ config(meta={'plan': 'conversion_dates'}, partition_by='conversion_date') }}

with

flags as (
    {{ fraud_flags_of_candidates() }}
),

matched as (
    select
        conversion.app_id,
        conversion.conversion_id,
        conversion.conversion_type,
        conversion.install_id,
        conversion.install_at,
        conversion.install_date,
        conversion.conversion_at,
        conversion.conversion_date,
        conversion.platform,
        conversion.needs_retargeting,
        conversion.inactivity_days,
        conversion.rank_order,
        conversion.ruleset_id,
        install.install_begin_server_at,
        install.has_ad_user_data_consent,
        match.touch_id,
        match.touch_type,
        match.touch_at,
        match.partner,
        match.campaign_id,
        match.campaign_name,
        match.adset_id,
        match.creative_id,
        match.site_id,
        match.environment,
        match.is_signature_valid,
        match.is_retargeting,
        match.has_touch_consent,
        match.match_method,
        match.match_class,
        match.method_strength,
        match.match_confidence,
        kind.tier,
        -- Fraud rules speak of installs: of the time from the click to the first open, and of its download.
        case
            when conversion.conversion_type != 'reengagement' then {{ fraud_rule('block_candidate', touch='match') }}
        end as fraud_rule_id
    -- Every pair of these tables shares more than the app, so that no order of the joins is a product of them.
    from {{ ref('int_touch_matches') }} as match
    inner join {{ ref('int_conversions') }} as conversion
        on
            match.app_id = conversion.app_id
            and match.conversion_id = conversion.conversion_id
            and match.conversion_date = conversion.conversion_date
    inner join {{ ref('int_installs') }} as install
        on
            conversion.app_id = install.app_id
            and conversion.install_id = install.install_id
            and conversion.install_date = install.install_date
            and match.install_id = install.install_id
            and match.install_date = install.install_date
    inner join {{ ref('rule_touch_types') }} as kind
        on match.touch_type = kind.touch_type and match.match_class = kind.match_class
    left join flags
        on
            match.app_id = flags.app_id
            and match.conversion_id = flags.conversion_id
            and match.touch_id = flags.touch_id
    where
        {{ planned_dates('match.conversion_date') }}
        and {{ planned_dates('conversion.conversion_date') }}
),

-- Worked out once per situation, not once per candidate.
window_situations as (
    select distinct
        app_id,
        coalesce(partner, '') as partner,
        platform,
        conversion_type,
        touch_type,
        match_class,
        conversion_date
    from matched
),

windows as (
    {{ in_force(
        'window_situations', ref('rule_attribution_windows'), 'conversion_date',
        ['app_id', 'partner', 'platform', 'conversion_type'], ['window_hours'], exact=['touch_type', 'match_class']
    ) | indent(4) }}
),

partner_situations as (
    select distinct app_id, partner, conversion_date from window_situations
),

partners as (
    {{ in_force(
        'partner_situations', ref('rule_partners'), 'conversion_date', ['app_id', 'partner'], ['is_enabled']
    ) | indent(4) }}
),

-- What the person last said before the conversion, beside what the install says at its first open.
consents as (
    select
        matched.app_id,
        matched.conversion_id,
        consent.event_at as said_at,
        consent.has_ad_user_data_consent,
        row_number() over (
            partition by matched.app_id, matched.conversion_id
            order by consent.event_at desc, consent.payload_hash desc, consent.record_id desc
        ) as recency
    from (select distinct app_id, install_id, conversion_id, conversion_at from matched) as matched
    inner join {{ ref('stg_consents') }} as consent
        on matched.app_id = consent.app_id and matched.install_id = consent.install_id
    where
        consent.event_at <= matched.conversion_at
        and consent.has_ad_user_data_consent is not null
        and consent.environment = 'production'
),

-- The open before a re-engagement: how long the user had been away.
last_opens as (
    select
        reopened.app_id,
        reopened.conversion_id,
        max(session.event_at) as last_open_at
    from (
        select distinct app_id, install_id, conversion_id, conversion_at, inactivity_days
        from matched
        where conversion_type = 'reengagement' and inactivity_days > 0
    ) as reopened
    inner join {{ ref('stg_app_events') }} as session
        on reopened.app_id = session.app_id and reopened.install_id = session.install_id
    where
        session.record_type = 'session'
        and session.environment = 'production'
        and session.event_at < reopened.conversion_at
        and {{ planned_dates('session.event_date', days_before=var('activity_lookback_days')) }}
    group by reopened.app_id, reopened.conversion_id
),

judged as (
    select
        matched.*,
        windows.window_hours * 3600 as window_s,
        {{ seconds_between('matched.touch_at', 'matched.conversion_at') }} as elapsed_s,
        -- The first reason that applies. A touch exactly as old as its window is inside.
        case
            when matched.touch_at > matched.conversion_at then 'after_install'
            when
                matched.conversion_type != 'reengagement'
                and matched.touch_type in ('click', 'srn_claim')
                and matched.touch_at > matched.install_begin_server_at
                then 'after_install_begin'
            when matched.needs_retargeting and not matched.is_retargeting then 'not_retargeting'
            when not partners.is_enabled then 'partner_not_enabled'
            when coalesce(windows.window_hours, 0) = 0 then 'method_not_allowed'
            when {{ add_hours('matched.touch_at', 'windows.window_hours') }} < matched.conversion_at
                then 'outside_window'
            when
                matched.conversion_type = 'reengagement'
                and matched.inactivity_days > 0
                and greatest(matched.install_at, coalesce(last_opens.last_open_at, matched.install_at))
                > {{ add_hours('matched.conversion_at', '-24 * matched.inactivity_days') }}
                then 'below_inactivity'
            when matched.environment != 'production' then 'environment_mismatch'
            -- A later word of the same person replaces that of the install.
            when
                not coalesce(
                    case when consents.said_at > matched.install_at then consents.has_ad_user_data_consent end,
                    matched.has_ad_user_data_consent,
                    consents.has_ad_user_data_consent,
                    true
                )
                then 'consent_denied'
            when not coalesce(matched.has_touch_consent, true) then 'consent_denied'
            when not coalesce(matched.is_signature_valid, true) then 'signature_invalid'
            when matched.fraud_rule_id is not null then 'fraud_rejected'
        end as drop_reason
    from matched
    left join windows
        on
            matched.app_id = windows.app_id
            and coalesce(matched.partner, '') = windows.partner
            and matched.platform = windows.platform
            and matched.conversion_type = windows.conversion_type
            and matched.touch_type = windows.touch_type
            and matched.match_class = windows.match_class
            and matched.conversion_date = windows.conversion_date
    left join partners
        on
            matched.app_id = partners.app_id
            and coalesce(matched.partner, '') = partners.partner
            and matched.conversion_date = partners.conversion_date
    left join consents
        on
            matched.app_id = consents.app_id
            and matched.conversion_id = consents.conversion_id
            and consents.recency = 1
    left join last_opens
        on matched.app_id = last_opens.app_id and matched.conversion_id = last_opens.conversion_id
),

-- Tier, then (unless the rules put the method first) the latest touch, then the strongest method, then the least id: a
-- total order, so every run decides alike.
ranked as (
    select
        *,
        row_number() over standing as place,
        first_value(tier) over standing as winning_tier,
        first_value(touch_at) over standing as winning_touch_at,
        first_value(method_strength) over standing as winning_strength
    from judged
    window
        standing as (
            partition by app_id, conversion_id, case when drop_reason is null then 1 else 0 end
            order by
                tier,
                case when rank_order = 'tier_method_time' then method_strength else 0 end,
                touch_at desc,
                method_strength,
                touch_id
        )
)

select
    app_id,
    conversion_id,
    conversion_type,
    touch_id,
    install_id,
    install_at,
    install_date,
    conversion_at,
    conversion_date,
    touch_type,
    touch_at,
    partner,
    campaign_id,
    campaign_name,
    adset_id,
    creative_id,
    site_id,
    is_retargeting,
    match_method,
    match_class,
    match_confidence,
    elapsed_s,
    cast(coalesce(window_s, 0) as bigint) as window_s,
    drop_reason is null as is_eligible,
    case when drop_reason is null then cast(place as integer) end as candidate_rank,
    drop_reason is null and place = 1 as is_winner,
    case
        when drop_reason is not null then drop_reason
        when place = 1 then 'won'
        when tier > winning_tier then 'lost_to_higher_tier'
        when rank_order = 'tier_method_time' and method_strength > winning_strength then 'lost_to_stronger_method'
        when touch_at < winning_touch_at then 'lost_to_later_touch'
        when method_strength > winning_strength then 'lost_to_stronger_method'
        else 'lost_to_tie_break'
    end as reason_code,
    case when drop_reason = 'fraud_rejected' then fraud_rule_id end as fraud_rule_id,
    ruleset_id
from ranked
