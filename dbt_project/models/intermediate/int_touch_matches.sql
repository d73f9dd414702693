{{ config(meta={'plan': 'conversion_dates'}, partition_by='conversion_date') }}

-- One equi-join per id, so that each is a hash join: a single join with "or" between the ids would compare all pairs.
-- A touch of a later day, or of more days back than the look-back, is not gathered.
{% set lookback = var('attribution_lookback_days') %}
{% set ids = [
    ('referrer', 'referrer_click_id', 'click_id'),
    ('click_id', 'click_id', 'click_id'),
    ('ad_id', 'gaid', 'gaid'),
    ('ad_id', 'idfa', 'idfa'),
    ('ad_id', 'oaid', 'oaid'),
    ('vendor_id', 'idfv', 'idfv'),
    ('vendor_id', 'app_set_id', 'app_set_id'),
    ('vendor_id', 'android_id', 'android_id'),
    ('user_id', 'user_id', 'user_id'),
] %}
{% set likeness = ['app_id', 'ip_prefix', 'os_name', 'device_model', 'language'] %}

with

conversions as (
    select
        conversion.app_id,
        conversion.conversion_id,
        conversion.conversion_type,
        conversion.conversion_at,
        conversion.conversion_date,
        conversion.install_id,
        conversion.install_date,
        conversion.platform,
        conversion.needs_retargeting,
        install.referrer_click_id,
        install.click_id,
        install.user_id,
        install.gaid,
        install.idfa,
        install.oaid,
        install.idfv,
        install.app_set_id,
        install.android_id,
        install.ip_prefix,
        install.os_name,
        install.device_model,
        {{ language('install.locale') }} as language
    from {{ ref('int_conversions') }} as conversion
    inner join {{ ref('int_installs') }} as install
        on
            conversion.app_id = install.app_id
            and conversion.install_id = install.install_id
            and conversion.install_date = install.install_date
    where
        {{ planned_dates('conversion.conversion_date') }}
        and conversion.conversion_type != 'att_second_install'
),

-- Where the rules in force give likeness a window at all, and the longest one.
install_days as (
    select distinct app_id, platform, conversion_type, conversion_date
    from conversions
    where conversion_type = 'install' and not needs_retargeting
),

likeness_rules as (
    select distinct partner, touch_type, match_class
    from {{ ref('rule_attribution_windows') }}
    where match_class = 'probabilistic'
),

situations as (
    select install_days.*, likeness_rules.*
    from install_days
    cross join likeness_rules
),

windows as (
    {{ in_force(
        'situations', ref('rule_attribution_windows'), 'conversion_date',
        ['app_id', 'partner', 'platform', 'conversion_type'], ['window_hours'], exact=['touch_type', 'match_class']
    ) | indent(4) }}
),

longest_windows as (
    select app_id, platform, conversion_type, conversion_date, max(window_hours) as window_hours
    from windows
    group by app_id, platform, conversion_type, conversion_date
    having max(window_hours) > 0
),

likely_conversions as (
    select conversion.*, longest.window_hours
    from conversions as conversion
    inner join longest_windows as longest
        on {{ same('conversion', 'longest', ['app_id', 'platform', 'conversion_type', 'conversion_date']) }}
    where not conversion.needs_retargeting
),

-- One pass over the touches keeps those that share an id with a conversion or are like one, a small part of them, so
-- that all joins below are small. It looks at ids of any app, which keeps a few too many and saves a key. Likeness is
-- one string here, null if a part of it is: "in" over several columns takes its time over nulls.
touches as (
    select
        app_id,
        record_id,
        record_type,
        event_at,
        event_date,
        partner,
        campaign_id,
        campaign_name,
        adset_id,
        creative_id,
        site_id,
        sub_site_id,
        agency,
        country,
        environment,
        is_signature_valid,
        is_retargeting,
        has_ad_user_data_consent,
        click_id,
        user_id,
        gaid,
        idfa,
        oaid,
        idfv,
        app_set_id,
        android_id,
        ip_prefix,
        os_name,
        device_model,
        {{ language('locale') }} as language
    from {{ ref('stg_touchpoints') }}
    where
        {{ planned_dates('event_date', days_before=lookback) }}
        and (
            ip_prefix || '|' || os_name || '|' || device_model || '|' || {{ language('locale') }} in (
                select ip_prefix || '|' || os_name || '|' || device_model || '|' || language
                from likely_conversions
                where language is not null
            )
            {% for _, conversion_id, touch_id in ids -%}
                or {{ touch_id }} in (select {{ conversion_id }} from conversions where {{ conversion_id }} is not null)
            {% endfor %}
        )
),

matches_by_id as (
    {% for method, conversion_id, touch_id in ids -%}
        select
            conversion.app_id,
            conversion.conversion_id,
            conversion.conversion_date,
            conversion.install_id,
            conversion.install_date,
            touch.record_id as touch_id,
            touch.event_date as touch_date,
            '{{ method }}' as match_method
        from conversions as conversion
        inner join touches as touch
            on conversion.app_id = touch.app_id and conversion.{{ conversion_id }} = touch.{{ touch_id }}
        where
            {{ days_between('touch.event_date', 'conversion.conversion_date') }} between 0 and {{ lookback }}
            and (conversion.conversion_type != 'reengagement' or touch.is_retargeting)
        {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

likenesses as (
    select distinct {{ likeness | join(', ') }} from likely_conversions
),

-- Counted before any join, so that an address range with very many touches costs a pass and not a product. Its touches
-- tell nobody apart and are not gathered on that day.
likely_touches as (
    select
        touch.*,
        count(*) over (
            partition by
                touch.app_id, touch.ip_prefix, touch.os_name, touch.device_model, touch.language, touch.event_date
        ) as alike
    from touches as touch
    inner join likenesses as likely on {{ same('touch', 'likely', likeness) }}
),

matches as (
    select *, cast(1 as double) as match_confidence
    from matches_by_id
    union all
    select
        conversion.app_id,
        conversion.conversion_id,
        conversion.conversion_date,
        conversion.install_id,
        conversion.install_date,
        touch.record_id as touch_id,
        touch.event_date as touch_date,
        'probabilistic' as match_method,
        cast(1 as double) / touch.alike as match_confidence
    from likely_conversions as conversion
    inner join likely_touches as touch on {{ same('conversion', 'touch', likeness) }}
    where
        touch.alike <= {{ var('max_touches_per_fingerprint') }}
        and touch.event_at <= conversion.conversion_at
        and {{ add_hours('touch.event_at', 'conversion.window_hours') }} >= conversion.conversion_at
        and {{ days_between('touch.event_date', 'conversion.conversion_date') }} <= {{ lookback }}
        -- Two different ids of one kind are two devices, however alike they look.
        and coalesce(conversion.gaid = touch.gaid, true)
        and coalesce(conversion.idfa = touch.idfa, true)
        and coalesce(conversion.oaid = touch.oaid, true)
        and coalesce(conversion.idfv = touch.idfv, true)
        and coalesce(conversion.app_set_id = touch.app_set_id, true)
        and coalesce(conversion.android_id = touch.android_id, true)
),

-- A conversion has one date and one install, a touch one date: the least is the only one.
strongest as (
    select
        match.app_id,
        match.conversion_id,
        match.touch_id,
        min(match.conversion_date) as conversion_date,
        min(match.install_id) as install_id,
        min(match.install_date) as install_date,
        min(match.touch_date) as touch_date,
        min(method.method_strength) as method_strength,
        max(match.match_confidence) as match_confidence,
        max(case when match.match_method = 'probabilistic' then 1 else 0 end)
        {% for method in ids | map(attribute=0) | unique -%}
            + max(case when match.match_method = '{{ method }}' then 1 else 0 end)
        {% endfor -%}
            as method_count
    from matches as match
    inner join {{ ref('rule_match_methods') }} as method on match.match_method = method.match_method
    group by match.app_id, match.conversion_id, match.touch_id
)

select
    strongest.app_id,
    strongest.conversion_id,
    strongest.conversion_date,
    strongest.install_id,
    strongest.install_date,
    strongest.touch_id,
    strongest.touch_date,
    method.match_method,
    method.match_class,
    strongest.method_strength,
    strongest.match_confidence,
    cast(strongest.method_count as bigint) as method_count,
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
    coalesce(touch.is_retargeting, false) as is_retargeting,
    touch.has_ad_user_data_consent as has_touch_consent,
    touch.agency,
    touch.sub_site_id,
    touch.country as touch_country,
    touch.ip_prefix as touch_ip_prefix
from strongest
inner join {{ ref('rule_match_methods') }} as method on strongest.method_strength = method.method_strength
inner join touches as touch
    on
        strongest.app_id = touch.app_id
        and strongest.touch_id = touch.record_id
        and strongest.touch_date = touch.event_date
