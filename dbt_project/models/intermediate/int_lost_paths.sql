{{ config(meta={'plan': 'journey_dates'}, partition_by='path_date') }}

-- Journeys that ended without a conversion. A person is the strongest id on a touch; a journey ends at a touch that no
-- other follows within the look-back, and holds the touches that could have won an install at that moment, as the path
-- of a conversion does. So a date depends on touches and installs at most the look-back away, and is built by itself.
{% set lookback = var('attribution_lookback_days') | int %}
{% set ids = ['gaid', 'idfa', 'oaid', 'idfv', 'app_set_id', 'android_id', 'user_id', 'click_id'] %}

with

touches as (
    select
        app_id,
        record_id as touch_id,
        record_type as touch_type,
        event_at as touch_at,
        event_date as touch_date,
        coalesce(partner, 'unknown') as partner,
        coalesce(campaign_id, '') as campaign_id,
        coalesce(platform, '') as platform,
        case
            {% for id in ids %}
                when {{ id }} is not null then concat('{{ id }}:', {{ id }})
            {% endfor %}
        end as person_key
    from {{ ref('stg_touchpoints') }}
    where
        environment = 'production'
        -- What could never win an install is no lost chance either.
        and coalesce(is_signature_valid, true)
        and coalesce(has_ad_user_data_consent, true)
        and not coalesce(is_retargeting, false)
        and {{ is_path_touch('record_type') }}
        and {{ planned_dates('event_date', days_before=lookback, days_after=lookback) }}
),

-- The numbers stand for long keys inside this query only.
people as (
    select
        app_id,
        person_key,
        row_number() over (order by app_id, person_key) as person_number
    from touches
    where person_key is not null
    group by app_id, person_key
),

followed as (
    select
        people.person_number,
        touches.app_id,
        touches.touch_id,
        touches.touch_type,
        touches.touch_at,
        touches.partner,
        touches.campaign_id,
        touches.platform,
        lead(touches.touch_at) over (
            partition by people.person_number order by touches.touch_at, touches.touch_id
        ) as next_touch_at
    from touches
    inner join people on touches.app_id = people.app_id and touches.person_key = people.person_key
),

-- A journey ends at the next touch that nobody followed, or only after the look-back.
grouped as (
    select
        *,
        min(
            case
                when next_touch_at is null or {{ add_hours('touch_at', 24 * lookback) }} < next_touch_at then touch_at
            end
        ) over (
            partition by person_number
            order by touch_at desc, touch_id desc
            rows between unbounded preceding and current row
        ) as end_at
    from followed
),

journeys as (
    select
        *,
        cast(end_at as date) as path_date
    from grouped
    where end_at <= {{ add_hours('touch_at', 24 * lookback) }}
),

-- What the rules would have given each touch for an install at the last one: its window, and whether the partner is on.
window_situations as (
    select distinct
        app_id,
        partner,
        platform,
        'install' as conversion_type,
        touch_type,
        'deterministic' as match_class,
        path_date
    from journeys
),

windows as (
    {{ in_force(
        'window_situations', ref('rule_attribution_windows'), 'path_date',
        ['app_id', 'partner', 'platform', 'conversion_type'], ['window_hours'], exact=['touch_type', 'match_class']
    ) | indent(4) }}
),

partner_situations as (
    select distinct app_id, partner, path_date from window_situations
),

partners as (
    {{ in_force(
        'partner_situations', ref('rule_partners'), 'path_date', ['app_id', 'partner'], ['is_enabled']
    ) | indent(4) }}
),

-- Touches of people who did install, or came back: they are in int_conversion_paths, organic, or no prospects.
matched as (
    select distinct app_id, touch_id
    from {{ ref('int_touch_matches') }}
    where {{ planned_dates('conversion_date', days_before=lookback, days_after=lookback) }}
),

judged as (
    select
        journeys.*,
        case when matched.touch_id is null then 0 else 1 end as is_matched,
        case
            when
                partners.is_enabled
                and windows.window_hours > 0
                and journeys.end_at <= {{ add_hours('journeys.touch_at', 'windows.window_hours') }}
                then 1
            else 0
        end as is_inside
    from journeys
    left join windows
        on
            journeys.app_id = windows.app_id
            and journeys.partner = windows.partner
            and journeys.platform = windows.platform
            and journeys.touch_type = windows.touch_type
            and journeys.path_date = windows.path_date
    left join partners
        on
            journeys.app_id = partners.app_id
            and journeys.partner = partners.partner
            and journeys.path_date = partners.path_date
    left join matched on journeys.app_id = matched.app_id and journeys.touch_id = matched.touch_id
    where {{ planned_dates('journeys.path_date') }}
),

placed as (
    select
        *,
        max(is_matched) over (partition by person_number, end_at) as has_match,
        sum(is_inside) over (partition by person_number, end_at) as touch_count,
        sum(is_inside) over (
            partition by person_number, end_at
            order by touch_at, touch_id
            rows between unbounded preceding and current row
        ) as place
    from judged
),

kept as (
    select
        *,
        {{ kept_position('place', 'touch_count') }} as position
    from placed
    where has_match = 0 and is_inside = 1
),

paths as (
    select
        app_id,
        path_date,
        {{ path_text('partner', 'campaign_id', 'position') }} as path
    from kept
    where position is not null
    group by app_id, person_number, end_at, path_date
)

select
    app_id,
    path_date,
    path,
    count(*) as path_count
from paths
group by app_id, path_date, path
