{# What the revenue models share: exact conversion and division of money, and which entry counts as what. #}

{# A quotient of two whole numbers, cut towards zero; both may have 38 digits. #}
{% macro whole_quotient(numerator, denominator) %}
    {{- return(adapter.dispatch('whole_quotient', 'unmogrowp')(numerator, denominator)) -}}
{% endmacro %}
{% macro default__whole_quotient(numerator, denominator) %}
    {{- return('(cast(' ~ numerator ~ ' as decimal(38, 0)) div cast(' ~ denominator ~ ' as decimal(38, 0)))') -}}
{% endmacro %}
{% macro duckdb__whole_quotient(numerator, denominator) %}
    {{- return('(cast(' ~ numerator ~ ' as hugeint) // cast(' ~ denominator ~ ' as hugeint))') -}}
{% endmacro %}

{# A rate with nine decimals as a whole number of billionths. #}
{% macro billionths(rate) -%}
    cast(cast({{ rate }} as decimal(22, 9)) * cast(1000000000 as decimal(10, 0)) as decimal(38, 0))
{%- endmacro %}

{#
  Micros of one currency in another, half a micro rounded away from zero. The rates are USD per unit; there is one
  division and no amount in USD between, so nothing is rounded twice.
#}
{% macro converted_micros(micros, rate, into_rate) -%}
    {%- set product = 'cast(' ~ micros ~ ' as decimal(38, 0)) * ' ~ billionths(rate) -%}
    {%- set half = 'sign(' ~ micros ~ ') * ' ~ billionths(into_rate) -%}
    cast({{ whole_quotient('2 * ' ~ product ~ ' + ' ~ half, '2 * ' ~ billionths(into_rate)) }} as bigint)
{%- endmacro %}

{# Micros as a decimal amount, exact. #}
{% macro units(micros) -%}
    cast(cast({{ micros }} as decimal(22, 0)) * cast(0.000001 as decimal(7, 6)) as decimal(18, 6))
{%- endmacro %}

{# The part of whole micros that the sessions from `before` to `upto` of `all_sessions` get; the parts sum to the whole. #}
{% macro allotted_micros(micros, before, upto, all_sessions) -%}
    cast(
        {{ whole_quotient('cast(' ~ micros ~ ' as decimal(38, 0)) * (' ~ upto ~ ')', all_sessions) }}
        - {{ whole_quotient('cast(' ~ micros ~ ' as decimal(38, 0)) * (' ~ before ~ ')', all_sessions) }} as bigint
    )
{%- endmacro %}

{# A value that the app's own row of an undated rule gives, else the row for all; the rule is joined under two aliases. #}
{% macro join_app_rule(rule, app_id, own, everyone, also='') -%}
    left join {{ ref(rule) }} as {{ own }} on {{ app_id }} = {{ own }}.app_id{{ also | replace('RULE', own) }}
left join {{ ref(rule) }} as {{ everyone }} on {{ everyone }}.app_id = '*'{{ also | replace('RULE', everyone) }}
{%- endmacro %}

{# Sums over entries of int_money_events under the alias `entry`, as [[name, expression]]: amounts, then counts. #}
{% macro money_amounts() %}
    {{ return([
        ['purchase_revenue', "case when entry.entry_code = 'purchase' then entry.revenue end"],
        ['subscription_revenue', "case when entry.entry_code = 'subscription' then entry.revenue end"],
        ['refunds', "case when entry.entry_code = 'refund' then entry.revenue end"],
        ['store_fees', "entry.store_fee"],
        ['ad_revenue', "case when entry.entry_code = 'ad_impression' then entry.revenue end"],
        ['allocated_ad_revenue', "case when entry.entry_code = 'ad_allocated' then entry.revenue end"],
    ]) }}
{% endmacro %}
{% macro money_counts() %}
    {%- set counts = [] -%}
    {%- for name, code in [
        ['trial_starts', 'trial_start'], ['trial_conversions', 'trial_conversion'],
        ['subscription_starts', 'subscription_start'], ['renewals', 'renewal'], ['cancellations', 'cancellation']
    ] -%}
        {%- do counts.append([name, "case when entry.subscription_code = '" ~ code ~ "' then 1 end"]) -%}
    {%- endfor -%}
    {%- do counts.append(['amounts_without_rate', "case when entry.is_counted and entry.revenue is null then 1 end"]) -%}
    {{ return(counts) }}
{% endmacro %}
