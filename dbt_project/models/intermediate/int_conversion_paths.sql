{{ config(meta={'plan': 'install_dates'}, partition_by='install_date') }}

with

-- An install that the decision calls organic or fraud is so in every model, whatever touched it.
conversions as (
    select app_id, conversion_id, install_date
    from {{ ref('attributed_installs') }}
    where is_primary and not is_organic and not is_blocked and {{ planned_dates('install_date') }}
),

touches as (
    select
        candidate.app_id,
        candidate.conversion_id,
        conversions.install_date,
        candidate.touch_id,
        candidate.touch_type,
        candidate.touch_at,
        coalesce(candidate.partner, 'unknown') as partner,
        coalesce(candidate.campaign_id, '') as campaign_id,
        candidate.elapsed_s as age_s,
        row_number() over (
            partition by candidate.app_id, candidate.conversion_id order by candidate.touch_at, candidate.touch_id
        ) as place,
        count(*) over (partition by candidate.app_id, candidate.conversion_id) as touch_count
    from {{ ref('attribution_candidates') }} as candidate
    inner join conversions
        on candidate.app_id = conversions.app_id and candidate.conversion_id = conversions.conversion_id
    where
        candidate.is_eligible
        and {{ is_path_touch('candidate.touch_type') }}
        and {{ planned_dates('candidate.conversion_date') }}
),

placed as (
    select
        *,
        {{ kept_position('place', 'touch_count') }} as position
    from touches
)

select
    app_id,
    conversion_id,
    install_date,
    touch_id,
    touch_type,
    touch_at,
    partner,
    campaign_id,
    age_s,
    cast(position as integer) as position,
    cast(count(*) over (partition by app_id, conversion_id) as integer) as path_length,
    touch_count
from placed
where position is not null
