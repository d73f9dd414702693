{# A schema is a layer of the lake, so its name is taken as it stands, without the target's prefix. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ return((custom_schema_name or 'silver') | trim) }}
{%- endmacro %}
