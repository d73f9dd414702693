{# Lateness in seconds, rounded up to a step: few values, that add up over days. Beyond a day the steps are whole days. #}
{% macro lateness_step(seconds) -%}
    case
        {%- for step in [1, 10, 60, 300, 900, 3600, 10800, 21600, 43200, 86400] %}
        when {{ seconds }} <= {{ step }} then {{ step }}
        {%- endfor %}
        else {{ whole_days('(' ~ seconds ~ ' + 86399)') }} * 86400
    end
{%- endmacro %}

{# Whole days in a number of seconds. #}
{% macro whole_days(seconds) %}{{ return(adapter.dispatch('whole_days', 'unmogrowp')(seconds)) }}{% endmacro %}
{% macro default__whole_days(seconds) %}{{ return('cast(floor(' ~ seconds ~ ' / 86400) as bigint)') }}{% endmacro %}
{% macro duckdb__whole_days(seconds) %}{{ return('(' ~ seconds ~ ' // 86400)') }}{% endmacro %}
