{# Functions that engines spell differently. Everything else in the models is standard SQL. #}

{# 64-bit or text hash of columns, for grouping inside one query only; never stored. #}
{% macro key_hash(columns) %}{{ return(adapter.dispatch('key_hash', 'unmogrowp')(columns)) }}{% endmacro %}
{% macro default__key_hash(columns) %}{{ return(dbt.hash("concat_ws('|', " ~ columns | join(', ') ~ ')')) }}{% endmacro %}
{% macro duckdb__key_hash(columns) %}{{ return('hash(' ~ columns | join(', ') ~ ')') }}{% endmacro %}

{# Value of the first of the named parameters in a URL query string, percent-decoded; null if absent or empty. #}
{% macro query_parameter(text, names) %}
    {{ return(adapter.dispatch('query_parameter', 'unmogrowp')(text, names)) }}
{% endmacro %}
{% macro default__query_parameter(text, names) %}
    {{ return("nullif(regexp_extract(url_decode(" ~ text ~ "), '(?:^|[?&])(?:" ~ names | join('|') ~ ")=([^&]+)', 1), '')") }}
{% endmacro %}

{# Seconds from one instant to another as bigint, fractions cut; negative if `until` comes first. #}
{% macro seconds_between(since, until) %}
    {{ return(adapter.dispatch('seconds_between', 'unmogrowp')(since, until)) }}
{% endmacro %}
{% macro default__seconds_between(since, until) %}
    {{ return('(unix_timestamp(' ~ until ~ ') - unix_timestamp(' ~ since ~ '))') }}
{% endmacro %}
{% macro duckdb__seconds_between(since, until) %}
    {{ return("date_sub('second', " ~ since ~ ", " ~ until ~ ")") }}
{% endmacro %}

{# An instant moved by whole hours. #}
{% macro add_hours(instant, hours) %}{{ return(adapter.dispatch('add_hours', 'unmogrowp')(instant, hours)) }}{% endmacro %}
{% macro default__add_hours(instant, hours) %}
    {{ return('(' ~ instant ~ ' + make_interval(0, 0, 0, 0, ' ~ hours ~ '))') }}
{% endmacro %}
{% macro duckdb__add_hours(instant, hours) %}{{ return('(' ~ instant ~ ' + to_hours(' ~ hours ~ '))') }}{% endmacro %}

{# An instant moved by whole seconds. #}
{% macro add_seconds(instant, seconds) %}
    {{- return(adapter.dispatch('add_seconds', 'unmogrowp')(instant, seconds)) -}}
{% endmacro %}
{% macro default__add_seconds(instant, seconds) %}
    {{- return('(' ~ instant ~ ' + make_interval(0, 0, 0, 0, 0, 0, ' ~ seconds ~ '))') -}}
{% endmacro %}
{% macro duckdb__add_seconds(instant, seconds) %}{{- return('(' ~ instant ~ ' + to_seconds(' ~ seconds ~ '))') -}}{% endmacro %}

{# Whole days from one date to another. #}
{% macro days_between(since, until) %}
    {{ return(adapter.dispatch('days_between', 'unmogrowp')(since, until)) }}
{% endmacro %}
{% macro default__days_between(since, until) %}{{ return('datediff(' ~ until ~ ', ' ~ since ~ ')') }}{% endmacro %}
{% macro duckdb__days_between(since, until) %}{{ return("date_diff('day', " ~ since ~ ", " ~ until ~ ")") }}{% endmacro %}

{# A date moved by whole days, and the first day of its month. #}
{% macro add_days(day, days) %}cast({{ dbt.dateadd('day', days, day) }} as date){% endmacro %}
{% macro month_of(day) %}cast({{ dbt.date_trunc('month', day) }} as date){% endmacro %}

{#
  USD of an amount in micros at a rate, exact: micros become units by multiplication, as division would be a double.
  The first factor is wider than 18 digits, because DuckDB keeps a product of two narrow decimals at 18 and overflows.
#}
{% macro usd(micros, usd_per_unit) %}
    {{- return(
        'cast(cast(' ~ micros ~ ' as decimal(22, 0)) * cast(0.000001 as decimal(7, 6))'
        ~ ' * cast(' ~ usd_per_unit ~ ' as decimal(13, 9)) as decimal(18, 6))'
    ) -}}
{% endmacro %}

{# The first instant of a UTC date. #}
{% macro start_of_day(day) %}{{ return(adapter.dispatch('start_of_day', 'unmogrowp')(day)) }}{% endmacro %}
{% macro default__start_of_day(day) %}{{ return('timestamp_seconds(86400 * unix_date(' ~ day ~ '))') }}{% endmacro %}
{% macro duckdb__start_of_day(day) %}{{ return('(cast(' ~ day ~ " as timestamp) at time zone 'UTC')") }}{% endmacro %}

{# Text of a top-level member of a JSON object kept as text; null if it is absent or empty. #}
{% macro json_text(column, member) %}{{ return(adapter.dispatch('json_text', 'unmogrowp')(column, member)) }}{% endmacro %}
{% macro default__json_text(column, member) %}
    {{ return("nullif(get_json_object(" ~ column ~ ", '$." ~ member ~ "'), '')") }}
{% endmacro %}
{% macro duckdb__json_text(column, member) %}
    {{ return("nullif(json_extract_string(" ~ column ~ ", '$." ~ member ~ "'), '')") }}
{% endmacro %}

{# A name without what its spellings differ in: lower case, letters and digits only. #}
{% macro name_key(text) %}{{ return(adapter.dispatch('name_key', 'unmogrowp')(text)) }}{% endmacro %}
{% macro default__name_key(text) %}{{ return("regexp_replace(lower(" ~ text ~ "), '[^a-z0-9]', '')") }}{% endmacro %}
{% macro duckdb__name_key(text) %}{{ return("regexp_replace(lower(" ~ text ~ "), '[^a-z0-9]', '', 'g')") }}{% endmacro %}

{# MD5 of all values of a text column, in the order of the values. #}
{% macro content_hash(column) %}
    {{- return(dbt.hash(dbt.listagg(column, "';'", 'order by ' ~ column))) -}}
{% endmacro %}

{# A text as a JSON string, so that a list of names is read back as it was whatever stands in them. #}
{% macro json_string(text) %}{{ return(adapter.dispatch('json_string', 'unmogrowp')(text)) }}{% endmacro %}
{% macro default__json_string(text) %}
    {{- return("concat('\"', replace(replace(" ~ text ~ ", '\\\\', '\\\\\\\\'), '\"', '\\\\\"'), '\"')") -}}
{% endmacro %}
{% macro duckdb__json_string(text) %}
    {{- return("concat('\"', replace(replace(" ~ text ~ ", '\\', '\\\\'), '\"', '\\\"'), '\"')") -}}
{% endmacro %}

{# The language of a locale such as en-US or pt_BR, in lower case. #}
{% macro language(locale) %}{{ return("lower(split_part(replace(" ~ locale ~ ", '_', '-'), '-', 1))") }}{% endmacro %}

{# UTC date of an instant, whatever the time zone of the session. #}
{% macro utc_date(instant) %}{{ return(adapter.dispatch('utc_date', 'unmogrowp')(instant)) }}{% endmacro %}
{% macro default__utc_date(instant) %}
    {{ return('date_from_unix_date(cast(floor(unix_timestamp(' ~ instant ~ ') / 86400) as int))') }}
{% endmacro %}
{% macro duckdb__utc_date(instant) %}
    {{ return('cast((' ~ instant ~ ") at time zone 'UTC' as date)") }}
{% endmacro %}

{# The values of a text column, sorted and joined by commas; null if there is none. #}
{% macro sorted_list(column) %}{{ return(dbt.listagg(column, "','", 'order by ' ~ column)) }}{% endmacro %}

{# A version as text that sorts like its numbers: 2.10.0 after 2.9; what follows the digits of a part is left out. #}
{% macro version_key(version) %}{{ return(adapter.dispatch('version_key', 'unmogrowp')(version)) }}{% endmacro %}
{% macro default__version_key(version) %}
    {%- set parts = [] -%}
    {%- for n in range(1, 5) -%}
        {%- do parts.append("lpad(regexp_extract(split_part(" ~ version ~ ", '.', " ~ n ~ "), '^[0-9]*', 0), 9, '0')") -%}
    {%- endfor -%}
    {{ return('(' ~ parts | join(" || ") ~ ')') }}
{% endmacro %}

{# The start of the UTC hour of an instant. #}
{% macro hour_of(instant) %}{{ return("date_trunc('hour', " ~ instant ~ ")") }}{% endmacro %}
