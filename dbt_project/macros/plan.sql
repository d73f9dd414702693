{#
  Which dates a run builds. `UNMOGROWP_PLAN` is {"mode": "full"} or
  {"mode": "incremental", "consumed": {table: version}, "dates": {set: [date, ...]}}; without it everything is built.
  A model names its set in `meta.plan`. The sets are made by `lakehouse.plan`.
#}

{# Read only while running: an environment variable read at parse time would make every run parse the project again. #}
{% macro run_plan() %}
    {%- if not execute -%}{{ return({'mode': 'full'}) }}{%- endif -%}
    {{ return(fromjson(env_var('UNMOGROWP_PLAN', '') or '{"mode": "full"}')) }}
{% endmacro %}

{# True if this run replaces only the planned partitions of this model: it follows a set, and has a table to keep. #}
{% macro is_partial() %}
    {%- if not execute or flags.FULL_REFRESH or run_plan().mode != 'incremental' -%}{{ return(false) }}{%- endif -%}
    {%- set set_name = config.get('meta', {}).get('plan') -%}
    {{ return(set_name is not none and load_cached_relation(this) is not none) }}
{% endmacro %}

{# The planned dates as closed ranges [first, last], each date widened by whole days. #}
{% macro planned_ranges(days_before=0, days_after=0) %}
    {%- set day = modules.datetime.timedelta(days=1) -%}
    {%- set set_name = config.get('meta', {}).get('plan') -%}
    {%- set dates = run_plan().dates -%}
    {%- if set_name not in dates -%}
        {{ exceptions.raise_compiler_error("the plan has no date set " ~ set_name ~ ", which " ~ model.name ~ " follows") }}
    {%- endif -%}
    {%- set ranges = [] -%}
    {%- for text in dates[set_name] | sort -%}
        {%- set planned = modules.datetime.date.fromisoformat(text) -%}
        {%- set first = planned - day * days_before -%}
        {%- set last = planned + day * days_after -%}
        {%- if ranges and first <= ranges[-1][1] + day -%}
            {%- do ranges.append([ranges.pop()[0], last]) -%}
        {%- else -%}
            {%- do ranges.append([first, last]) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(ranges) }}
{% endmacro %}

{# Predicate over a date column. delta-rs, for which `typed` is false, wants plain strings where SQL wants dates. #}
{% macro date_ranges_sql(column, ranges, typed=true) %}
    {%- set type = 'date ' if typed else '' -%}
    {%- set parts = [] -%}
    {%- for first, last in ranges -%}
        {%- do parts.append(
            '(' ~ column ~ ' >= ' ~ type ~ "'" ~ first ~ "' and " ~ column ~ ' <= ' ~ type ~ "'" ~ last ~ "')"
        ) -%}
    {%- endfor -%}
    {{ return('(' ~ parts | join(' or ') ~ ')' if parts else 'false') }}
{% endmacro %}

{# Predicate that keeps the rows a run needs: the planned dates of this model, widened by whole days. #}
{% macro planned_dates(column, days_before=0, days_after=0) %}
    {{- date_ranges_sql(column, planned_ranges(days_before, days_after)) if is_partial() else 'true' -}}
{% endmacro %}

{# Predicate that keeps every row of the keys that occur on a planned date, whatever the date of the row. #}
{% macro planned_keys(relation, keys, date_column) %}
    {%- set keys = keys | join(', ') -%}
    {{- '(' ~ keys ~ ') in (select ' ~ keys ~ ' from ' ~ relation ~ ' where ' ~ planned_dates(date_column) ~ ')'
        if is_partial() else 'true' -}}
{% endmacro %}

{# The rows of a bronze table that a run has to look at: all, or those that arrived since the consumed version. #}
{% macro arrivals(bronze) %}
    {{- 'bronze_new.' ~ bronze.identifier if is_partial() else bronze -}}
{% endmacro %}
