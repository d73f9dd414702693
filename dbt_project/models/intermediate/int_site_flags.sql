{{ config(meta={'plan': 'install_dates'}, partition_by='install_date') }}

-- A site is judged on each date by the days up to it, never by later ones: what came after re-decides nothing before.
{% set days = fraud_site_days() %}
{% set lookback = var('attribution_lookback_days') | int %}
{% set window_days = fraud_threshold('site_window_days', 'day.install_date') %}

with

-- The last click before each install that shares an id with it, whoever wins in the end.
last_clicks as (
    select
        match.app_id,
        match.conversion_date as install_date,
        touch.partner,
        touch.site_id,
        {{ seconds_between('touch.event_at', 'install.install_at') }} as ctit_s,
        case
            when install.integrity_verdict is null or verdict.flag_code is not null then 1
            else 0
        end as is_poor,
        row_number() over (
            partition by match.app_id, match.conversion_id order by touch.event_at desc, touch.record_id
        ) as recency
    from {{ ref('int_touch_matches') }} as match
    inner join {{ ref('int_installs') }} as install
        on
            match.app_id = install.app_id
            and match.conversion_id = install.conversion_id
            and match.conversion_date = install.install_date
    inner join {{ ref('stg_touchpoints') }} as touch
        on match.app_id = touch.app_id and match.touch_id = touch.record_id and match.touch_date = touch.event_date
    left join {{ ref('rule_integrity_verdicts') }} as verdict
        on lower(install.integrity_verdict) = verdict.integrity_verdict
    where
        touch.record_type = 'click'
        and touch.environment = 'production'
        and touch.site_id is not null
        and touch.event_at <= install.install_at
        and {{ planned_dates('match.conversion_date', days_before=days - 1) }}
        and {{ planned_dates('install.install_date', days_before=days - 1) }}
        and {{ planned_dates('touch.event_date', days_before=days - 1 + lookback) }}
),

daily_installs as (
    select
        app_id,
        partner,
        site_id,
        install_date,
        count(*) as installs,
        sum(case
            when ctit_s >= {{ fraud_threshold('site_late_s', 'install_date') }} then 1
            else 0
        end) as late_installs,
        sum(case
            when ctit_s < {{ fraud_threshold('ctit_min_s', 'install_date') }} then 1
            else 0
        end) as short_installs,
        sum(is_poor) as poor_installs,
        0 as clicks
    from last_clicks
    where recency = 1
    group by app_id, partner, site_id, install_date
),

-- How often a site's installs come the same time after their click: people scatter, scripts do not.
daily_bands as (
    select
        app_id,
        partner,
        site_id,
        install_date,
        floor(ctit_s / {{ fraud_threshold('site_band_s', 'install_date') }}) as band,
        count(*) as installs
    from last_clicks
    where recency = 1
    group by 1, 2, 3, 4, 5
),

daily_clicks as (
    select
        app_id,
        partner,
        site_id,
        event_date as install_date,
        0 as installs,
        0 as late_installs,
        0 as short_installs,
        0 as poor_installs,
        count(*) as clicks
    from {{ ref('stg_touchpoints') }}
    where
        record_type = 'click'
        and environment = 'production'
        and site_id is not null
        and {{ planned_dates('event_date', days_before=days - 1) }}
    group by app_id, partner, site_id, event_date
),

daily as (
    select * from daily_installs
    union all
    select * from daily_clicks
),

dates as (
    select distinct app_id, install_date
    from {{ ref('int_installs') }}
    where {{ planned_dates('install_date') }}
),

trailing_days as (
    select
        day.app_id,
        day.install_date,
        daily.partner,
        daily.site_id,
        sum(daily.installs) as installs,
        sum(daily.late_installs) as late_installs,
        sum(daily.short_installs) as short_installs,
        sum(daily.poor_installs) as poor_installs,
        sum(daily.clicks) as clicks
    from dates as day
    inner join daily
        on
            day.app_id = daily.app_id
            and {{ days_between('daily.install_date', 'day.install_date') }} between 0 and {{ days - 1 }}
            and {{ days_between('daily.install_date', 'day.install_date') }} < {{ window_days }}
    group by day.app_id, day.install_date, daily.partner, daily.site_id
),

bands as (
    select
        day.app_id,
        day.install_date,
        band.partner,
        band.site_id,
        band.band,
        sum(band.installs) as band_installs,
        row_number() over (
            partition by day.app_id, day.install_date, band.partner, band.site_id
            order by sum(band.installs) desc, band.band
        ) as place
    from dates as day
    inner join daily_bands as band
        on
            day.app_id = band.app_id
            and {{ days_between('band.install_date', 'day.install_date') }} between 0 and {{ days - 1 }}
            and {{ days_between('band.install_date', 'day.install_date') }} < {{ window_days }}
    group by day.app_id, day.install_date, band.partner, band.site_id, band.band
),

-- Each site beside all the others of its app.
compared as (
    select
        *,
        cast(sum(installs) over app_day - installs as double) as other_installs,
        cast(sum(poor_installs) over app_day - poor_installs as double) as other_poor,
        cast(sum(clicks) over app_day - clicks as double) as other_clicks
    from trailing_days
    window app_day as (partition by app_id, install_date)
),

measured as (
    select
        app_id,
        partner,
        site_id,
        install_date,
        installs,
        clicks,
        late_installs / nullif(cast(installs as double), 0) as late_share,
        short_installs / nullif(cast(installs as double), 0) as short_share,
        poor_installs / nullif(cast(installs as double), 0) as poor_share,
        -- One install more and one less keep a share of 0 or 1 from looking certain.
        (other_poor + 1) / (other_installs + 2) as usual_poor_share,
        (installs / nullif(cast(clicks as double), 0))
        / nullif(other_installs / nullif(other_clicks, 0), 0) as cvr_ratio
    from compared
),

scored as (
    select
        *,
        (poor_share - usual_poor_share)
        / sqrt(usual_poor_share * (1 - usual_poor_share) / nullif(cast(installs as double), 0)) as poor_z
    from measured
),

flags as (
    select
        app_id,
        partner,
        site_id,
        install_date,
        'site_flat_ctit' as flag_code,
        late_share as flag_value
    from scored
    where
        installs >= {{ fraud_threshold('site_min_installs', 'install_date') }}
        and late_share > {{ fraud_threshold('site_late_share', 'install_date') }}
    union all
    select
        app_id,
        partner,
        site_id,
        install_date,
        'site_short_ctit' as flag_code,
        short_share as flag_value
    from scored
    where
        installs >= {{ fraud_threshold('site_min_installs', 'install_date') }}
        and short_share > {{ fraud_threshold('site_short_share', 'install_date') }}
    union all
    select
        scored.app_id,
        scored.partner,
        scored.site_id,
        scored.install_date,
        'site_same_ctit' as flag_code,
        (bands.band + 0.5) * {{ fraud_threshold('site_band_s', 'scored.install_date') }} as flag_value
    from scored
    inner join bands
        on
            scored.app_id = bands.app_id
            and scored.partner = bands.partner
            and scored.site_id = bands.site_id
            and scored.install_date = bands.install_date
            and bands.place = 1
    where
        scored.installs >= {{ fraud_threshold('site_min_installs', 'scored.install_date') }}
        and bands.band_installs > scored.installs * {{ fraud_threshold('site_band_share', 'scored.install_date') }}
        and bands.band >= 1
    union all
    select
        app_id,
        partner,
        site_id,
        install_date,
        'site_integrity_poor' as flag_code,
        poor_z as flag_value
    from scored
    where
        installs >= {{ fraud_threshold('site_min_installs', 'install_date') }}
        and poor_z > {{ fraud_threshold('site_integrity_z', 'install_date') }}
        and usual_poor_share < 0.5
    union all
    select
        app_id,
        partner,
        site_id,
        install_date,
        'site_low_cvr' as flag_code,
        cvr_ratio as flag_value
    from scored
    where
        clicks >= {{ fraud_threshold('site_min_clicks', 'install_date') }}
        and cvr_ratio < {{ fraud_threshold('site_cvr_ratio', 'install_date') }}
)

select
    app_id,
    partner,
    site_id,
    install_date,
    flag_code,
    flag_value
from flags
