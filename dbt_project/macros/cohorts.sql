{# What the cohort marts share: which installs form a cohort, which of them have lived through day N. #}

{# Somebody was paid for the installs of the partner: neither found by themselves nor blocked as fraud. #}
{% macro is_paid(partner) %}{{ partner }} not in ('organic', 'blocked'){% endmacro %}

{# The numbers 0 to `last`, one row each, as day_n. #}
{% macro day_numbers(last) -%}
    {%- for day_n in range(last + 1) -%}
        {{ 'union all ' if not loop.first }}select {{ day_n }} as day_n{{ '\n    ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{# Whole 24-hour blocks from one instant to a later one. #}
{% macro elapsed_days(since, until) -%}
    cast(floor({{ seconds_between(since, until) }} / 86400.0) as integer)
{%- endmacro %}

{#
  Attributed installs with the number of their cohort and the last day of their life that is over, on both clocks.
  A calendar day is a UTC date; it is over when the app's watermark has reached the next date. An elapsed day is a block
  of 24 hours after the install. The numbers stand for long keys inside one query and are never stored.
#}
{% macro cohort_installs() -%}
    select
        install.app_id,
        install.install_id,
        install.install_at,
        install.install_date,
        install.platform,
        install.partner,
        coalesce(install.campaign_id, '') as campaign_id,
        row_number() over (order by install.app_id, install.install_id) as install_number,
        dense_rank() over (
            order by
                install.app_id, install.install_date, install.platform, install.partner,
                coalesce(install.campaign_id, '')
        ) as cohort_number,
        coalesce({{ days_between('install.install_date', 'watermark.watermark_date') }} - 1, -1) as mature_calendar_day,
        coalesce({{ elapsed_days('install.install_at', 'watermark.watermark_at') }} - 1, -1) as mature_elapsed_day
    from {{ ref('attributed_installs') }} as install
    left join {{ ref('int_watermarks') }} as watermark on install.app_id = watermark.app_id
    where install.is_primary and {{ planned_dates('install.install_date') }}
{%- endmacro %}

{#
  Each install of `installs` with every install id its user is seen under: its own and those of later reinstalls on the
  device, as member_id. What a user does after a reinstall belongs to the cohort of the install that counted.
#}
{% macro cohort_members(installs) -%}
    select {{ installs }}.install_id as member_id, {{ installs }}.*
    from {{ installs }}
    union all
    select again.install_id as member_id, {{ installs }}.*
    from {{ ref('int_reinstalls') }} as again
    inner join {{ installs }}
        on again.app_id = {{ installs }}.app_id and again.counted_install_id = {{ installs }}.install_id
    where again.conversion_type != 'install'
{%- endmacro %}

{# One row per cohort, clock and day 0 to `last_day`, with the installs of the cohort and those past that day. #}
{% macro cohort_grid(installs, last_day) -%}
    select
        part.cohort_number,
        part.app_id,
        part.install_date,
        part.platform,
        part.partner,
        part.campaign_id,
        part.day_clock,
        days.day_n,
        cast(sum(part.install_count) as bigint) as cohort_installs,
        cast(sum(case when part.mature_day >= days.day_n then part.install_count else 0 end) as bigint)
            as mature_installs
    from (
        select
            cohort_number, app_id, install_date, platform, partner, campaign_id, 'calendar' as day_clock,
            mature_calendar_day as mature_day, count(*) as install_count
        from {{ installs }}
        group by cohort_number, app_id, install_date, platform, partner, campaign_id, mature_calendar_day
        union all
        select
            cohort_number, app_id, install_date, platform, partner, campaign_id, 'elapsed_24h' as day_clock,
            mature_elapsed_day as mature_day, count(*) as install_count
        from {{ installs }}
        group by cohort_number, app_id, install_date, platform, partner, campaign_id, mature_elapsed_day
    ) as part
    cross join ({{ day_numbers(last_day) }}) as days
    group by
        part.cohort_number, part.app_id, part.install_date, part.platform, part.partner, part.campaign_id,
        part.day_clock, days.day_n
{%- endmacro %}
