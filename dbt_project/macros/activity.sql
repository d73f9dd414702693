{# What marts of activity share: local dates, weeks and months as numbers, and sets of period numbers as bits. #}

{#
  Date of an instant in an IANA zone held by a column. `utc_date` is the UTC date that the row has already: most apps
  report in UTC, and looking up a zone is slow.
#}
{% macro local_date(instant, zone, utc_date) -%}
    case when {{ zone }} = 'UTC' then {{ utc_date }} else {{ zoned_date(instant, zone) }} end
{%- endmacro %}
{% macro zoned_date(instant, zone) %}{{ return(adapter.dispatch('zoned_date', 'unmogrowp')(instant, zone)) }}{% endmacro %}
{% macro default__zoned_date(instant, zone) %}
    {{- return('cast(from_utc_timestamp(' ~ instant ~ ', ' ~ zone ~ ') as date)') -}}
{% endmacro %}
{% macro duckdb__zoned_date(instant, zone) %}
    {{- return('cast(timezone(' ~ zone ~ ', ' ~ instant ~ ') as date)') -}}
{% endmacro %}

{# Number of the week of a date, counted from 1970; `starts_on` is 1 for Monday to 7 for Sunday. 1970-01-05 is a Monday. #}
{% macro week_number(day, starts_on) -%}
    cast(floor(({{ days_between("date '1970-01-05'", day) }} - {{ starts_on }} + 1) / 7.0) as integer)
{%- endmacro %}

{# Number of the month of a date, counted from year 0. #}
{% macro month_number(day) -%}
    cast(12 * extract(year from {{ day }}) + extract(month from {{ day }}) - 1 as integer)
{%- endmacro %}

{# A set of the numbers 0 to 62 in one bigint: the set that holds `n` alone (empty beyond `last`), and whether it does. #}
{% macro set_of(n, last) -%}
    case when {{ n }} <= {{ last }} then {{ shifted(n) }} else cast(0 as bigint) end
{%- endmacro %}
{% macro shifted(n) %}{{ return(adapter.dispatch('shifted', 'unmogrowp')(n)) }}{% endmacro %}
{% macro default__shifted(n) %}{{ return('shiftleft(cast(1 as bigint), ' ~ n ~ ')') }}{% endmacro %}
{% macro duckdb__shifted(n) %}{{ return('(cast(1 as bigint) << cast(' ~ n ~ ' as integer))') }}{% endmacro %}
{% macro holds(numbers, n) %}({{ numbers }} & {{ shifted(n) }}) != 0{% endmacro %}

{#
  Installs that count as users, each with the settings of its app: zone, first day of the week, days until churn, and how
  far the data reach. A row of rule_activity that names the app goes before the one for all.
#}
{% macro active_users() -%}
    select
        install.app_id,
        install.install_id,
        install.install_at,
        install.platform,
        install.partner,
        coalesce(install.campaign_id, '') as campaign_id,
        coalesce(install.country, '') as country,
        coalesce(app.time_zone, 'UTC') as time_zone,
        coalesce(own.week_starts_on, everyone.week_starts_on) as week_starts_on,
        coalesce(own.churn_days, everyone.churn_days) as churn_days,
        watermark.watermark_at,
        {{ local_date('watermark.watermark_at', "coalesce(app.time_zone, 'UTC')", 'watermark.watermark_date') }}
            as watermark_date,
        {{ local_date('install.install_at', "coalesce(app.time_zone, 'UTC')", 'install.install_date') }}
            as install_date,
        row_number() over (order by install.app_id, install.install_id) as user_number
    from {{ ref('attributed_installs') }} as install
    inner join {{ ref('int_watermarks') }} as watermark on install.app_id = watermark.app_id
    inner join {{ ref('rule_activity') }} as everyone on everyone.app_id = '*'
    left join {{ ref('rule_activity') }} as own on install.app_id = own.app_id
    left join {{ source('config', 'apps') }} as app on install.app_id = app.app_id
    where install.is_primary
{%- endmacro %}

{# Days before a date whose activity tells which users it has: the month, and how long apps wait until churn. #}
{% macro activity_days_before() -%}
    {%- if not is_partial() -%}{{ return(0) }}{%- endif -%}
    {{ return(run_query('select greatest(30, max(churn_days)) from ' ~ ref('rule_activity')).rows[0][0] | int) }}
{%- endmacro %}
