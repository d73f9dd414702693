{{ config(meta={'plan': 'install_dates'}, partition_by='install_date') }}

with

flags as (
    {{ fraud_flags_of_candidates() }}
),

matched as (
    select
        install.app_id,
        install.conversion_id,
        install.install_id,
        install.install_at,
        install.install_date,
        install.install_begin_server_at,
        install.has_ad_user_data_consent,
        touch.record_id as touch_id,
        touch.record_type as touch_type,
        touch.event_at as touch_at,
        touch.partner,
        touch.campaign_id,
        touch.campaign_name,
        touch.adset_id,
        touch.creative_id,
        touch.site_id,
        touch.environment,
        touch.is_signature_valid,
        touch.has_ad_user_data_consent as has_touch_consent,
        match.match_method,
        match.method_strength,
        kind.tier,
        {{ fraud_rule('block_candidate') }} as fraud_rule_id
    from {{ ref('int_touch_matches') }} as match
    inner join {{ ref('int_installs') }} as install
        on
            match.app_id = install.app_id
            and match.install_id = install.install_id
            and match.install_date = install.install_date
    inner join {{ ref('stg_touchpoints') }} as touch
        on match.app_id = touch.app_id and match.touch_id = touch.record_id and match.touch_date = touch.event_date
    inner join {{ ref('rule_touch_types') }} as kind on touch.record_type = kind.touch_type
    left join flags
        on
            match.app_id = flags.app_id
            and match.conversion_id = flags.conversion_id
            and match.touch_id = flags.touch_id
    where
        {{ planned_dates('match.install_date') }}
        and {{ planned_dates('install.install_date') }}
        and {{ planned_dates('touch.event_date', days_before=var('attribution_lookback_days')) }}
),

-- The most specific window wins (app before partner before all), then the one that came into force last before the day
-- of the install. Worked out once per situation, not once per candidate.
windows as (
    select
        situation.app_id,
        situation.partner,
        situation.touch_type,
        situation.install_date,
        rule.window_hours,
        row_number() over (
            partition by situation.app_id, situation.partner, situation.touch_type, situation.install_date
            order by
                case when rule.app_id = '*' then 1 else 0 end,
                case when rule.partner = '*' then 1 else 0 end,
                rule.valid_from desc
        ) as choice
    from (select distinct app_id, partner, touch_type, install_date from matched) as situation
    inner join {{ ref('rule_attribution_windows') }} as rule
        on
            situation.touch_type = rule.touch_type
            and rule.app_id in (situation.app_id, '*')
            and rule.partner in (situation.partner, '*')
            and situation.install_date >= rule.valid_from
),

-- What the person last said before the install, for installs that say nothing themselves.
consents as (
    select
        matched.app_id,
        matched.install_id,
        consent.has_ad_user_data_consent,
        row_number() over (
            partition by matched.app_id, matched.install_id
            order by consent.event_at desc, consent.payload_hash desc, consent.record_id desc
        ) as recency
    from (select distinct app_id, install_id, install_at from matched) as matched
    inner join {{ ref('stg_consents') }} as consent
        on matched.app_id = consent.app_id and matched.install_id = consent.install_id
    where consent.event_at <= matched.install_at and consent.has_ad_user_data_consent is not null
),

judged as (
    select
        matched.*,
        windows.window_hours * 3600 as window_s,
        {{ seconds_between('matched.touch_at', 'matched.install_at') }} as elapsed_s,
        -- The first reason that applies. A touch exactly as old as its window is inside.
        case
            when matched.touch_at > matched.install_at then 'after_install'
            when
                matched.touch_type in ('click', 'srn_claim') and matched.touch_at > matched.install_begin_server_at
                then 'after_install_begin'
            when windows.window_hours is null then 'outside_window'
            when {{ add_hours('matched.touch_at', 'windows.window_hours') }} < matched.install_at then 'outside_window'
            when matched.environment != 'production' then 'environment_mismatch'
            when not coalesce(matched.has_ad_user_data_consent, consents.has_ad_user_data_consent, true)
                then 'consent_denied'
            when not coalesce(matched.has_touch_consent, true) then 'consent_denied'
            when not coalesce(matched.is_signature_valid, true) then 'signature_invalid'
            when matched.fraud_rule_id is not null then 'fraud_rejected'
        end as drop_reason
    from matched
    left join windows
        on
            matched.app_id = windows.app_id
            and matched.partner = windows.partner
            and matched.touch_type = windows.touch_type
            and matched.install_date = windows.install_date
            and windows.choice = 1
    left join consents
        on matched.app_id = consents.app_id and matched.install_id = consents.install_id and consents.recency = 1
),

-- Tier, then the latest touch, then the strongest method, then the least id: a total order, so every run decides alike.
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
            order by tier, touch_at desc, method_strength, touch_id
        )
)

select
    ranked.app_id,
    ranked.conversion_id,
    ranked.touch_id,
    ranked.install_id,
    ranked.install_at,
    ranked.install_date,
    ranked.touch_type,
    ranked.touch_at,
    ranked.partner,
    ranked.campaign_id,
    ranked.campaign_name,
    ranked.adset_id,
    ranked.creative_id,
    ranked.site_id,
    ranked.match_method,
    ranked.elapsed_s,
    cast(coalesce(ranked.window_s, 0) as bigint) as window_s,
    ranked.drop_reason is null as is_eligible,
    case when ranked.drop_reason is null then cast(ranked.place as integer) end as candidate_rank,
    ranked.drop_reason is null and ranked.place = 1 as is_winner,
    case
        when ranked.drop_reason is not null then ranked.drop_reason
        when ranked.place = 1 then 'won'
        when ranked.tier > ranked.winning_tier then 'lost_to_higher_tier'
        when ranked.touch_at < ranked.winning_touch_at then 'lost_to_later_touch'
        when ranked.method_strength > ranked.winning_strength then 'lost_to_stronger_method'
        else 'lost_to_tie_break'
    end as reason_code,
    case when ranked.drop_reason = 'fraud_rejected' then ranked.fraud_rule_id end as fraud_rule_id,
    ruleset.ruleset_id
from ranked
cross join {{ ref('int_ruleset') }} as ruleset
