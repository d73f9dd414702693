-- Every model at every level credits all installs of a month, to the last billionth.
with

credited as (
    select app_id, month, level, model, sum(credited_conversions) as conversions
    from {{ ref('channel_credit') }}
    group by app_id, month, level, model
),

installs as (
    select app_id, {{ month_of('path_date') }} as month, sum(path_count) as conversions
    from {{ ref('int_channel_paths') }}
    where is_converted
    group by app_id, {{ month_of('path_date') }}
)

select
    credited.*,
    installs.conversions as install_count
from credited
left join installs on credited.app_id = installs.app_id and credited.month = installs.month
where credited.conversions != coalesce(installs.conversions, 0)
