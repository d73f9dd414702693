{# What conversion paths and journeys share: which touches belong to a path, and how a path is written down. #}

{# Predicate over the type of a touch: whether impressions are part of paths is a variable. #}
{% macro is_path_touch(touch_type) -%}
    {{ 'true' if var('multi_touch_impressions') else touch_type ~ " != 'impression'" }}
{%- endmacro %}

{# A path as a JSON list of [partner, campaign], in the order of an integer column. #}
{% macro path_text(partner, campaign, order) -%}
    {%- set touch -%}
        concat('[', {{ json_string(partner) }}, ',', {{ json_string(campaign) }}, ']')
    {%- endset -%}
    concat('[', {{ dbt.listagg(touch, "','", 'order by ' ~ order) }}, ']')
{%- endmacro %}

{# Place of a touch among the kept ones, null if it is cut: the first and the latest touches are kept. #}
{% macro kept_position(place, touch_count) -%}
    {%- set kept = var('multi_touch_path_touches') | int -%}
    case
        when {{ place }} = 1 then 1
        when {{ touch_count }} <= {{ kept }} then {{ place }}
        when {{ place }} > {{ touch_count }} - {{ kept - 1 }} then {{ place }} - ({{ touch_count }} - {{ kept }})
    end
{%- endmacro %}

{#
  Part of an amount in USD, rounded to micros. The first factor is wider than 18 digits, because DuckDB keeps a product
  of two narrow decimals at 18 and overflows.
#}
{% macro part_of(amount_usd, part) -%}
    cast(cast({{ amount_usd }} as decimal(24, 6)) * cast({{ part }} as decimal(13, 9)) as decimal(18, 6))
{%- endmacro %}
