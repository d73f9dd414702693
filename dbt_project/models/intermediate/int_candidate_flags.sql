{{ config(meta={'plan': 'install_dates'}, partition_by='install_date') }}

-- What speaks against a candidate: by itself, by its touch, by its site, by the install it claims.
with

pairs as (
    select
        match.app_id,
        match.conversion_id,
        match.touch_id,
        match.conversion_date as install_date,
        match.touch_date,
        touch.record_type,
        touch.event_at as touch_at,
        touch.partner,
        touch.site_id,
        touch.country as touch_country,
        touch.click_id,
        install.install_at,
        install.install_begin_server_at,
        install.country,
        install.referrer_click_id,
        install.referrer_click_server_at,
        install.is_referrer_organic
    from {{ ref('int_touch_matches') }} as match
    inner join {{ ref('int_installs') }} as install
        on
            match.app_id = install.app_id
            and match.conversion_id = install.conversion_id
            and match.conversion_date = install.install_date
    inner join {{ ref('stg_touchpoints') }} as touch
        on match.app_id = touch.app_id and match.touch_id = touch.record_id and match.touch_date = touch.event_date
    where
        {{ planned_dates('match.conversion_date') }}
        and {{ planned_dates('install.install_date') }}
        and {{ planned_dates('touch.event_date', days_before=var('attribution_lookback_days')) }}
),

times as (
    select
        app_id,
        conversion_id,
        touch_id,
        install_date,
        {{ seconds_between('install_begin_server_at', 'touch_at') }} as after_begin_s,
        {{ seconds_between('touch_at', 'install_at') }} as ctit_s,
        case
            when click_id = referrer_click_id
                then abs({{ seconds_between('referrer_click_server_at', 'touch_at') }})
        end as referrer_off_s
    from pairs
    where record_type in ('click', 'srn_claim') and touch_at <= install_at
),

flags as (
    select
        app_id,
        conversion_id,
        touch_id,
        install_date,
        'candidate' as flag_scope,
        'click_after_begin' as flag_code,
        cast(after_begin_s as double) as flag_value
    from times
    -- Fractions are cut, so a click within the second the download began counts as before it.
    where after_begin_s > {{ fraud_threshold('click_after_begin_s', 'install_date') }}
    union all
    select
        app_id,
        conversion_id,
        touch_id,
        install_date,
        'candidate' as flag_scope,
        'referrer_time_mismatch' as flag_code,
        cast(referrer_off_s as double) as flag_value
    from times
    where referrer_off_s > {{ fraud_threshold('referrer_mismatch_s', 'install_date') }}
    union all
    select
        app_id,
        conversion_id,
        touch_id,
        install_date,
        'candidate' as flag_scope,
        'ctit_too_short' as flag_code,
        cast(ctit_s as double) as flag_value
    from times
    where ctit_s < {{ fraud_threshold('ctit_min_s', 'install_date') }}
    union all
    select
        app_id,
        conversion_id,
        touch_id,
        install_date,
        'candidate' as flag_scope,
        'geo_mismatch' as flag_code,
        cast(null as double) as flag_value
    from pairs
    where touch_country != country
    union all
    select
        app_id,
        conversion_id,
        touch_id,
        install_date,
        'candidate' as flag_scope,
        'store_says_organic' as flag_code,
        cast(null as double) as flag_value
    from pairs
    where record_type = 'click' and touch_at <= install_at and is_referrer_organic
    union all
    select
        pair.app_id,
        pair.conversion_id,
        pair.touch_id,
        pair.install_date,
        'touch' as flag_scope,
        flag.flag_code,
        flag.flag_value
    from pairs as pair
    inner join {{ ref('int_touch_flags') }} as flag
        on pair.app_id = flag.app_id and pair.touch_id = flag.touch_id and pair.touch_date = flag.touch_date
    where {{ planned_dates('flag.touch_date', days_before=var('attribution_lookback_days')) }}
    union all
    select
        pair.app_id,
        pair.conversion_id,
        pair.touch_id,
        pair.install_date,
        'site' as flag_scope,
        flag.flag_code,
        flag.flag_value
    from pairs as pair
    inner join {{ ref('int_site_flags') }} as flag
        on
            pair.app_id = flag.app_id
            and pair.partner = flag.partner
            and pair.site_id = flag.site_id
            and pair.install_date = flag.install_date
    left join times
        on
            pair.app_id = times.app_id
            and pair.conversion_id = times.conversion_id
            and pair.touch_id = times.touch_id
    where
        pair.record_type = 'click'
        and {{ planned_dates('flag.install_date') }}
        -- The time that keeps coming back speaks against the installs that come after that time.
        and (
            flag.flag_code != 'site_same_ctit'
            or abs(times.ctit_s - flag.flag_value) <= {{ fraud_threshold('site_band_s', 'pair.install_date') }}
        )
    union all
    select
        pair.app_id,
        pair.conversion_id,
        pair.touch_id,
        pair.install_date,
        'conversion' as flag_scope,
        flag.flag_code,
        flag.flag_value
    from pairs as pair
    inner join {{ ref('int_conversion_flags') }} as flag
        on
            pair.app_id = flag.app_id
            and pair.conversion_id = flag.conversion_id
            and pair.install_date = flag.install_date
    where {{ planned_dates('flag.install_date') }}
)

-- An address may be listed on both sides: one row per code.
select
    app_id,
    conversion_id,
    touch_id,
    install_date,
    min(flag_scope) as flag_scope,
    flag_code,
    max(flag_value) as flag_value
from flags
group by app_id, conversion_id, touch_id, install_date, flag_code
