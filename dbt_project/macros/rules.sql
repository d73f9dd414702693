{# Which line of an effective-dated rule holds. Rules are seeds; a line holds from valid_from until before valid_until. #}

{#
  Each situation with the line of `rule` in force on its `date_column`, null where none is. `scopes` are columns that a
  line may leave open with '*', the most telling first: a line that names the app beats one that names the partner.
  `exact` are columns in which situation and line must be equal. Of equally specific lines the latest valid_from holds.
#}
{% macro in_force(situations, rule, date_column, scopes, values, exact=[]) -%}
    select
        {{ (scopes + exact + [date_column] + values) | join(', ') }}
    from (
        select
            {% for name in scopes + exact + [date_column] -%}
            situation.{{ name }},
            {% endfor -%}
            {% for name in values -%}
            rule.{{ name }},
            {% endfor -%}
            row_number() over (
                partition by
                    {% for name in scopes + exact + [date_column] -%}
                    situation.{{ name }}{{ ',' if not loop.last }}
                    {% endfor %}
                order by
                    {% for name in scopes -%}
                    case when rule.{{ name }} = '*' then 1 else 0 end,
                    {% endfor -%}
                    rule.valid_from desc
            ) as choice
        from {{ situations }} as situation
        inner join {{ rule }} as rule
            on
                situation.{{ date_column }} >= rule.valid_from
                and situation.{{ date_column }} < coalesce(rule.valid_until, date '9999-12-31')
                {%- for name in scopes %}
                and rule.{{ name }} in (situation.{{ name }}, '*')
                {%- endfor %}
                {%- for name in exact %}
                and rule.{{ name }} = situation.{{ name }}
                {%- endfor %}
    ) as matching
    where choice = 1
{%- endmacro %}

{# One line of a rule as text, for hashing; a null is told from a blank. #}
{% macro rule_line(rule, columns) -%}
    '{{ rule }}'
    {%- for name in columns %} || '|' || coalesce(cast({{ name }} as varchar), 'null'){% endfor -%}
{%- endmacro %}

{# Two relations are equal in all the columns; a null equals nothing. #}
{% macro same(left, right, columns) -%}
    {%- for name in columns -%}
        {{ ' and ' if not loop.first }}{{ left }}.{{ name }} = {{ right }}.{{ name }}
    {%- endfor -%}
{%- endmacro %}
