-- Our decision about an install beside a vendor's. Which install is which: the same install id, else a device id that
-- both know within mmp_install_hours, the strongest and nearest first; an install meets one claim at most.
{% set tolerance = var('mmp_touch_seconds') %}
{% set keys = ['install_id', 'gaid', 'idfa', 'oaid', 'idfv', 'android_id', 'user_id'] %}

with

claims as (
    select
        claim.*,
        coalesce(known.partner, lower(claim.vendor_partner)) as partner,
        coalesce(known.is_self_reporting, false) as is_self_reporting
    from {{ ref('stg_mmp_claims') }} as claim
    left join {{ ref('rule_mmp_partners') }} as known
        on claim.vendor = known.vendor and lower(claim.vendor_partner) = known.vendor_partner
),

-- Ours are compared on the days that the vendor's reports of the app cover.
covered as (
    select app_id, vendor, min(install_date) as first_date, max(install_date) as last_date
    from claims
    group by app_id, vendor
),

installs as (
    select
        install.*,
        covered.vendor,
        record.user_id,
        record.gaid,
        record.idfa,
        record.oaid,
        record.idfv,
        record.android_id
    from {{ ref('attributed_installs') }} as install
    inner join covered
        on install.app_id = covered.app_id and install.install_date between covered.first_date and covered.last_date
    left join {{ ref('stg_installs') }} as record
        on
            install.app_id = record.app_id
            and install.conversion_id = record.record_id
            and install.install_date = record.event_date
    where install.is_primary
),

pairs as (
    {% for key in keys -%}
        select
            install.app_id,
            install.vendor,
            install.install_id,
            claim.claim_id,
            {{ loop.index }} as key_strength,
            '{{ key }}' as matched_by,
            abs({{ seconds_between('install.install_at', 'claim.install_at') }}) as apart_s
        from installs as install
        inner join claims as claim
            on
                install.app_id = claim.app_id
                and install.vendor = claim.vendor
                and install.{{ key }} = claim.{{ key }}
        {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

ranked as (
    select
        *,
        row_number() over (
            partition by app_id, vendor, install_id order by key_strength, apart_s, claim_id
        ) as claim_choice,
        row_number() over (
            partition by app_id, vendor, claim_id order by key_strength, apart_s, install_id
        ) as install_choice
    from pairs
    where key_strength = 1 or apart_s <= {{ var('mmp_install_hours') }} * 3600
),

-- Each is the first choice of the other.
met as (
    select * from ranked where claim_choice = 1 and install_choice = 1
),

beside as (
    select
        coalesce(install.app_id, claim.app_id) as app_id,
        coalesce(install.vendor, claim.vendor) as vendor,
        coalesce(install.install_date, claim.install_date) as install_date,
        coalesce(install.platform, claim.platform, 'other') as platform,
        install.install_id,
        install.conversion_id,
        install.install_at,
        claim.claim_id,
        claim.install_id as vendor_install_id,
        claim.install_at as vendor_install_at,
        met.matched_by,
        install.partner,
        install.campaign_id,
        install.campaign_name,
        install.touch_id,
        install.touch_type,
        install.touch_at,
        install.match_method,
        install.reason_code,
        install.is_organic,
        claim.vendor_partner,
        claim.partner as vendor_partner_as_ours,
        claim.campaign_id as vendor_campaign_id,
        claim.campaign_name as vendor_campaign_name,
        claim.touch_type as vendor_touch_type,
        claim.touch_at as vendor_touch_at,
        claim.match_type as vendor_match_type,
        claim.is_retargeting as vendor_is_retargeting,
        claim.blocked_reason as vendor_blocked_reason,
        claim.vendor_lookback,
        claim.vendor_candidate_count,
        claim.is_organic as vendor_is_organic,
        claim.is_self_reporting
    from installs as install
    left join met
        on install.app_id = met.app_id and install.vendor = met.vendor and install.install_id = met.install_id
    full join claims as claim
        on met.app_id = claim.app_id and met.vendor = claim.vendor and met.claim_id = claim.claim_id
),

-- The touch that the vendor credits, if it was a candidate here; the nearest in time of that partner.
candidates as (
    select
        beside.app_id,
        beside.vendor,
        beside.claim_id,
        candidate.touch_id,
        candidate.reason_code,
        candidate.is_eligible,
        row_number() over (
            partition by beside.app_id, beside.vendor, beside.claim_id
            order by abs({{ seconds_between('candidate.touch_at', 'beside.vendor_touch_at') }}), candidate.touch_id
        ) as choice
    from beside
    inner join {{ ref('attribution_candidates') }} as candidate
        on
            beside.app_id = candidate.app_id
            and beside.conversion_id = candidate.conversion_id
            and beside.vendor_partner_as_ours = candidate.partner
    where abs({{ seconds_between('candidate.touch_at', 'beside.vendor_touch_at') }}) <= {{ tolerance }}
),

compared as (
    select
        beside.*,
        candidate.touch_id as vendor_touch_id,
        candidate.reason_code as vendor_touch_reason_code,
        candidate.is_eligible as is_vendor_touch_eligible,
        lower(beside.vendor_partner) = beside.partner
        and (
            beside.campaign_id = beside.vendor_campaign_id
            or coalesce(beside.campaign_name, '') = coalesce(beside.vendor_campaign_name, '')
        ) as has_same_names,
        -- A side that does not name its campaign does not contradict the other.
        beside.vendor_partner_as_ours = beside.partner
        and (
            coalesce(beside.campaign_id = beside.vendor_campaign_id, false)
            or coalesce(
                {{ name_key('beside.campaign_name') }} = {{ name_key('beside.vendor_campaign_name') }},
                coalesce(beside.campaign_id = beside.vendor_campaign_id, true)
            )
        ) as has_same_campaign,
        coalesce(
            case when beside.touch_type = 'impression' then 'impression' else 'click' end = beside.vendor_touch_type
            and abs({{ seconds_between('beside.touch_at', 'beside.vendor_touch_at') }}) <= {{ tolerance }},
            false
        ) as has_same_touch
    from beside
    left join candidates as candidate
        on
            beside.app_id = candidate.app_id
            and beside.vendor = candidate.vendor
            and beside.claim_id = candidate.claim_id
            and candidate.choice = 1
),

networks as (
    select distinct vendor, partner from {{ ref('rule_mmp_partners') }} where is_self_reporting
),

-- The first class that holds.
classified as (
    select
        compared.*,
        case
            when compared.claim_id is null then 'install_unknown_to_them'
            when compared.install_id is null then 'install_unknown_to_us'
            when compared.vendor_blocked_reason is not null and not compared.is_organic then 'fraud'
            when compared.vendor_touch_reason_code = 'fraud_rejected' then 'fraud'
            when compared.reason_code = 'fraud_blocked' and compared.vendor_blocked_reason is null then 'fraud'
            when compared.is_organic and compared.vendor_is_organic then 'same'
            when compared.has_same_campaign and compared.has_same_touch
                then case when compared.has_same_names then 'same' else 'name_only' end
            when compared.has_same_campaign then 'time'
            when compared.vendor_touch_reason_code = 'outside_window' then 'window'
            when compared.is_vendor_touch_eligible then 'ranking'
            when compared.vendor_touch_id is not null then 'rule'
            when compared.is_self_reporting or network.partner is not null then 'srn'
            when not compared.vendor_is_organic and compared.vendor_touch_at is not null then 'candidate_unknown_to_us'
            when compared.vendor_is_organic and coalesce(compared.vendor_candidate_count, 0) = 0
                then 'candidate_unknown_to_them'
            else 'organic_vs_paid'
        end as difference_class
    from compared
    left join networks as network
        on compared.vendor = network.vendor and compared.partner = network.partner
)

select
    classified.app_id,
    classified.vendor,
    coalesce(classified.install_id, classified.claim_id) as comparison_id,
    classified.install_date,
    classified.platform,
    classified.install_id,
    classified.vendor_install_id,
    classified.matched_by,
    classified.install_at,
    classified.vendor_install_at,
    classified.difference_class,
    difference.meaning as explanation,
    classified.vendor_touch_reason_code,
    classified.partner,
    classified.vendor_partner,
    classified.vendor_partner_as_ours,
    classified.campaign_id,
    classified.vendor_campaign_id,
    classified.campaign_name,
    classified.vendor_campaign_name,
    classified.touch_type,
    classified.vendor_touch_type,
    classified.touch_at,
    classified.vendor_touch_at,
    classified.match_method,
    classified.vendor_match_type,
    classified.reason_code,
    classified.vendor_is_retargeting,
    classified.vendor_blocked_reason,
    classified.vendor_lookback,
    classified.touch_id,
    classified.vendor_touch_id
from classified
inner join {{ ref('rule_mmp_differences') }} as difference
    on classified.difference_class = difference.difference_class
