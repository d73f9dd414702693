{# Thresholds of the built-in fraud flags: rows of rule_fraud_thresholds, in force from a date on. #}

{# Rows [{'threshold', 'valid_from', 'threshold_value'}], read while running. A dbt case overrides this macro. #}
{% macro fraud_threshold_rows() %}
    {%- set thresholds = ref('rule_fraud_thresholds') -%}
    {{ return(seed_rows(thresholds) if execute else []) }}
{% endmacro %}

{# SQL of a threshold on the date in `date_column`: a number if it never changed, else a case over the dates. #}
{% macro fraud_threshold(name, date_column) %}
    {%- set cases = [] -%}
    {%- for row in fraud_threshold_rows() | sort(attribute='valid_from', reverse=true) if row.threshold == name -%}
        {%- do cases.append([row.valid_from | string, 'cast(' ~ row.threshold_value ~ ' as double)']) -%}
    {%- endfor -%}
    {%- if not execute -%}{{ return('0') }}{%- endif -%}
    {%- if not cases and flags.WHICH in ('compile', 'docs', 'generate') -%}{{ return('cast(null as double)') }}{%- endif -%}
    {%- if not cases -%}
        {{ exceptions.raise_compiler_error("rule_fraud_thresholds has no threshold " ~ name) }}
    {%- endif -%}
    {%- if cases | length == 1 -%}{{ return(cases[0][1]) }}{%- endif -%}
    {%- set lines = [] -%}
    {%- for valid_from, value in cases[:-1] -%}
        {%- do lines.append('when ' ~ date_column ~ " >= date '" ~ valid_from ~ "' then " ~ value) -%}
    {%- endfor -%}
    {{ return('(case ' ~ lines | join(' ') ~ ' else ' ~ cases[-1][1] ~ ' end)') }}
{% endmacro %}

{# Whole days over which a site is judged: the longest that ever was in force, so that a plan can count on it. #}
{% macro fraud_site_days() %}
    {%- set days = [1] -%}
    {%- for row in fraud_threshold_rows() if row.threshold == 'site_window_days' -%}
        {%- do days.append(row.threshold_value | int) -%}
    {%- endfor -%}
    {{ return(days | max) }}
{% endmacro %}
