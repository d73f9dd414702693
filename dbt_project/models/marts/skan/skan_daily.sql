{% set measures = ['event_count', 'revenue_low_usd', 'revenue_mid_usd', 'revenue_high_usd'] %}

with

days as (
    select
        app_id,
        install_date as date,
        partner,
        campaign_id,
        window_number,
        coalesce(schema_id, '') as schema_id,
        count(*) as postbacks,
        sum(case when is_counted and is_winner then 1 else 0 end) as winning_postbacks,
        sum(case when is_counted and not is_winner then 1 else 0 end) as lost_postbacks,
        sum(case when exclusion_reason = 'signature_invalid' then 1 else 0 end) as invalid_postbacks,
        sum(case when exclusion_reason = 'signature_unverifiable' then 1 else 0 end) as unverifiable_postbacks,
        sum(case when exclusion_reason = 'sandbox' then 1 else 0 end) as sandbox_postbacks,
        {% for measure, kind in [
            ('installs', 'download'), ('redownloads', 'redownload'), ('reengagements', 're-engagement')
        ] -%}
        sum(case when is_counted and is_winner and window_number = 1 and conversion_type = '{{ kind }}' then 1 else 0 end)
            as {{ measure }},
        {% endfor -%}
        {% for state in ['fine', 'coarse', 'null'] -%}
        sum(case when is_counted and is_winner and value_state = '{{ state }}' then 1 else 0 end)
            as {{ state }}_value_postbacks,
        {% endfor -%}
        sum(case when is_counted and is_winner and is_schema_ambiguous then 1 else 0 end) as ambiguous_postbacks,
        sum(case when is_counted and is_winner and is_decoded then 1 else 0 end) as observed_postbacks,
        {% for measure in measures -%}
        sum(case when is_counted and is_winner and is_decoded then {{ measure }} else 0 end) as {{ measure }}
        {{- ',' if not loop.last }}
        {% endfor %}
    from {{ ref('skan_postback_facts') }}
    group by app_id, install_date, partner, campaign_id, window_number, coalesce(schema_id, '')
),

-- What the postbacks with a value were like in the days up to that of those without.
pools as (
    select
        day.app_id,
        day.date,
        day.partner,
        day.campaign_id,
        day.window_number,
        day.schema_id,
        sum(pool.observed_postbacks) as pool_postbacks
        {%- for measure in measures %},
        sum(pool.{{ measure }}) as {{ measure }}
        {%- endfor %}
    from days as day
    inner join days as pool
        on
            day.app_id = pool.app_id
            and day.partner = pool.partner
            and day.campaign_id = pool.campaign_id
            and day.window_number = pool.window_number
            and day.schema_id = pool.schema_id
    where
        day.null_value_postbacks > 0
        and {{ days_between('pool.date', 'day.date') }} between 0 and {{ var('skan_model_days') }} - 1
    group by day.app_id, day.date, day.partner, day.campaign_id, day.window_number, day.schema_id
    having sum(pool.observed_postbacks) >= {{ var('skan_model_min_postbacks') }}
),

modelled as (
    select
        day.*,
        case when pool.app_id is not null then day.null_value_postbacks else 0 end as modelled_postbacks
        {%- for measure in measures %},
        -- One division of exact sums, rounded to the micro.
        coalesce(
            cast(
                round(
                    cast(pool.{{ measure }} as double) * day.null_value_postbacks / pool.pool_postbacks, 6
                ) as decimal(18, 6)
            ),
            0
        ) as modelled_{{ measure }}
        {%- endfor %}
    from days as day
    left join pools as pool
        on
            day.app_id = pool.app_id
            and day.date = pool.date
            and day.partner = pool.partner
            and day.campaign_id = pool.campaign_id
            and day.window_number = pool.window_number
            and day.schema_id = pool.schema_id
)

select
    app_id,
    date,
    partner,
    campaign_id,
    window_number,
    {% for measure in [
        'postbacks', 'winning_postbacks', 'lost_postbacks', 'invalid_postbacks', 'unverifiable_postbacks',
        'sandbox_postbacks', 'installs', 'redownloads', 'reengagements', 'fine_value_postbacks',
        'coarse_value_postbacks', 'null_value_postbacks', 'ambiguous_postbacks', 'observed_postbacks',
        'modelled_postbacks'
    ] -%}
    cast(sum({{ measure }}) as bigint) as {{ measure }},
    {% endfor -%}
    cast(sum(event_count) as bigint) as observed_event_count,
    {% for measure in measures[1:] -%}
    cast(sum({{ measure }}) as decimal(18, 6)) as observed_{{ measure }},
    {% endfor -%}
    {% for measure in measures -%}
    cast(sum(modelled_{{ measure }}) as decimal(18, 6)) as modelled_{{ measure }}{{ ',' if not loop.last }}
    {% endfor %}
from modelled
group by app_id, date, partner, campaign_id, window_number
