{{ config(meta={'plan': 'install_dates'}, partition_by='install_date') }}

-- One equi-join per id, so that each is a hash join: a single join with "or" between the ids would compare all pairs.
-- A touch of a later day, or of more days back than the look-back, is not gathered.
{% set lookback = var('attribution_lookback_days') %}
{% set keys = [
    ('referrer', 'referrer_click_id', 'click_id'),
    ('click_id', 'click_id', 'click_id'),
    ('ad_id', 'gaid', 'gaid'),
    ('ad_id', 'idfa', 'idfa'),
    ('ad_id', 'oaid', 'oaid'),
    ('vendor_id', 'idfv', 'idfv'),
    ('vendor_id', 'app_set_id', 'app_set_id'),
    ('vendor_id', 'android_id', 'android_id'),
] %}

with

installs as (
    select * from {{ ref('int_installs') }} where {{ planned_dates('install_date') }}
),

matches as (
    {% for method, install_key, touch_key in keys -%}
        select
            install.app_id,
            install.conversion_id,
            install.install_id,
            install.install_date,
            touch.record_id as touch_id,
            touch.event_date as touch_date,
            '{{ method }}' as match_method
        from installs as install
        inner join {{ ref('stg_touchpoints') }} as touch
            on install.app_id = touch.app_id and install.{{ install_key }} = touch.{{ touch_key }}
        where
            {{ days_between('touch.event_date', 'install.install_date') }} between 0 and {{ lookback }}
            and {{ planned_dates('touch.event_date', days_before=lookback) }}
        {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

strongest as (
    select
        match.app_id,
        match.conversion_id,
        match.install_id,
        match.install_date,
        match.touch_id,
        match.touch_date,
        min(method.method_strength) as method_strength,
        count(distinct match.match_method) as method_count
    from matches as match
    inner join {{ ref('rule_match_methods') }} as method on match.match_method = method.match_method
    group by
        match.app_id, match.conversion_id, match.install_id, match.install_date, match.touch_id, match.touch_date
)

select
    strongest.app_id,
    strongest.conversion_id,
    strongest.install_id,
    strongest.install_date,
    strongest.touch_id,
    strongest.touch_date,
    method.match_method,
    strongest.method_strength,
    strongest.method_count
from strongest
inner join {{ ref('rule_match_methods') }} as method on strongest.method_strength = method.method_strength
