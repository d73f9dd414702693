{#
  Fraud rules are rows of rule_fraud_rules and rule_fraud_conditions; here they become SQL over the rows of a query.
  `lakehouse.fraud_rules` checks the same seeds before a run and says in sentences what is wrong with them.
#}

{#
  The rule rows, read while running: {'rules': [...], 'conditions': [...]}. A dbt case that is about fraud overrides this
  macro; in all other cases there is no rule.
#}
{% macro fraud_seeds() %}
    {%- if execute and model.resource_type == 'unit_test' -%}{{ return({'rules': [], 'conditions': []}) }}{%- endif -%}
    {%- set rules = ref('rule_fraud_rules') -%}
    {%- set conditions = ref('rule_fraud_conditions') -%}
    {%- if not execute -%}{{ return({'rules': [], 'conditions': []}) }}{%- endif -%}
    {{ return({'rules': seed_rows(rules), 'conditions': seed_rows(conditions)}) }}
{% endmacro %}

{# Every row of a small table as a dictionary; none if `dbt compile` looks at a lake without rules. #}
{% macro seed_rows(relation) %}
    {%- if flags.WHICH in ('compile', 'docs', 'generate') and load_cached_relation(relation) is none -%}
        {{ return([]) }}
    {%- endif -%}
    {%- set table = run_query('select * from ' ~ relation) -%}
    {%- set rows = [] -%}
    {%- for row in table.rows -%}{%- do rows.append(row.dict()) -%}{%- endfor -%}
    {{ return(rows) }}
{% endmacro %}

{#
  What a rule may ask about: attribute -> (SQL, type, is it the source of the traffic). A conversion (block_event) is
  told by its install and its winning candidate, which knows less of the touch. A touch is a row of int_touch_matches if
  that is what `touch` names, else one of stg_touchpoints. `at` is the instant of the conversion.
#}
{% macro fraud_attributes(action, touch, conversion, match, at) %}
    {%- set known = {
        'partner': [touch ~ '.partner', 'text', true],
        'campaign_id': [touch ~ '.campaign_id', 'text', true],
        'adset_id': [touch ~ '.adset_id', 'text', true],
        'creative_id': [touch ~ '.creative_id', 'text', true],
        'site_id': [touch ~ '.site_id', 'text', true],
        'match_method': [match ~ '.match_method', 'text', false],
        'app_id': [conversion ~ '.app_id', 'text', false],
        'platform': [conversion ~ '.platform', 'text', false],
        'store': [conversion ~ '.store', 'text', false],
        'install_country': [conversion ~ '.country', 'text', false],
        'device_model': [conversion ~ '.device_model', 'text', false],
        'integrity_verdict': [conversion ~ '.integrity_verdict', 'text', false],
        'install_ip_prefix': [conversion ~ '.ip_prefix', 'text', false],
        'app_version': [conversion ~ '.app_version', 'version', false],
        'os_version': [conversion ~ '.os_version', 'version', false],
    } -%}
    {%- set is_record = action == 'block_candidate' and touch != match -%}
    {%- set touched_at = touch ~ ('.event_at' if is_record else '.touch_at') -%}
    {%- do known.update({
        'touch_type': [touch ~ ('.record_type' if is_record else '.touch_type'), 'text', false],
        'ctit_s': [seconds_between(touched_at, conversion ~ '.' ~ at), 'number', false],
        'ctib_s': [seconds_between(touched_at, conversion ~ '.install_begin_server_at'), 'number', false],
    }) -%}
    {%- if action == 'block_candidate' -%}
        {%- do known.update({
            'agency': [touch ~ '.agency', 'text', true],
            'sub_site_id': [touch ~ '.sub_site_id', 'text', true],
            'touch_country': [touch ~ ('.country' if is_record else '.touch_country'), 'text', false],
            'touch_ip_prefix': [touch ~ ('.ip_prefix' if is_record else '.touch_ip_prefix'), 'text', false],
            'is_signature_valid': [touch ~ '.is_signature_valid', 'boolean', false],
        }) -%}
    {%- endif -%}
    {{ return(known) }}
{% endmacro %}

{# A value of a rule as SQL of the attribute's type. #}
{% macro fraud_literal(text, type) %}
    {%- set quoted = "'" ~ (text | trim | replace("'", "''")) ~ "'" -%}
    {%- if type == 'number' -%}{{ return('cast(' ~ quoted ~ ' as double)') }}{%- endif -%}
    {%- if type == 'boolean' -%}{{ return('cast(' ~ quoted ~ ' as boolean)') }}{%- endif -%}
    {%- if type == 'version' -%}{{ return(version_key(quoted)) }}{%- endif -%}
    {{ return(quoted) }}
{% endmacro %}

{# One condition, true or false, never null: what is not known is in no list and is different from every value. #}
{% macro fraud_condition(condition, attributes, flag_codes) %}
    {%- set name = condition.attribute -%}
    {%- if name.startswith('has_flag:') -%}
        {%- set code = name[9:] | replace("'", "''") -%}
        {%- set attribute = ["coalesce(" ~ flag_codes ~ " like '%|" ~ code ~ "|%', false)", 'boolean', false] -%}
    {%- elif name in attributes -%}
        {%- set attribute = attributes[name] -%}
    {%- else -%}
        {{ exceptions.raise_compiler_error(
            "fraud rule " ~ condition.rule_id ~ " asks for " ~ name ~ ", which rows of its action do not have"
        ) }}
    {%- endif -%}
    {%- set type = attribute[1] -%}
    {%- set operator = condition.operator -%}
    {%- set sql = version_key(attribute[0]) if type == 'version' else attribute[0] -%}
    {%- if operator in ('is_null', 'not_null') -%}
        {{ return(attribute[0] ~ (' is null' if operator == 'is_null' else ' is not null')) }}
    {%- endif -%}
    {%- set values = [] -%}
    {%- for part in (condition.compared_with | string).split('|') -%}
        {%- do values.append(fraud_literal(part, type)) -%}
    {%- endfor -%}
    {%- set signs = {'eq': '=', 'ne': '!=', 'lt': '<', 'le': '<=', 'gt': '>', 'ge': '>='} -%}
    {%- if operator in signs -%}
        {%- set test = sql ~ ' ' ~ signs[operator] ~ ' ' ~ values[0] -%}
    {%- elif operator in ('in', 'not_in') -%}
        {%- set test = sql ~ (' in (' if operator == 'in' else ' not in (') ~ values | join(', ') ~ ')' -%}
    {%- elif operator == 'between' and values | length == 2 -%}
        {%- set test = sql ~ ' between ' ~ values[0] ~ ' and ' ~ values[1] -%}
    {%- else -%}
        {{ exceptions.raise_compiler_error(
            "fraud rule " ~ condition.rule_id ~ " compares " ~ name ~ " by " ~ operator ~ " with "
            ~ values | length ~ " values, which has no meaning"
        ) }}
    {%- endif -%}
    {{ return('coalesce(' ~ test ~ ', ' ~ ('true' if operator in ('ne', 'not_in') else 'false') ~ ')') }}
{% endmacro %}

{#
  The rules of an action and of some statuses, first to last: [{'rule_id', 'reason_code', 'score', 'sql'}]. `sql` is the
  condition that a row is hit. Conditions of one group are or-ed, groups are and-ed. Of a `non_organic` rule the groups
  about the source of the traffic say where the rule holds; an `allow_only` rule hits what its other groups do not allow.
#}
{% macro fraud_rules(
    action,
    statuses=('active',),
    touch='touch',
    conversion='install',
    match='match',
    flag_codes='flags.flag_codes',
    at='install_at',
    on='install_date'
) %}
    {%- set seeds = fraud_seeds() -%}
    {%- set attributes = fraud_attributes(action, touch, conversion, match, at) -%}
    {%- set compiled = [] -%}
    {%- set ours = [] -%}
    {%- for rule in seeds.rules -%}
        {%- if rule.action == action and rule.status in statuses -%}{%- do ours.append(rule) -%}{%- endif -%}
    {%- endfor -%}
    {%- for rule in ours | sort(attribute='rule_id') | sort(attribute='priority') -%}
        {%- set groups = {} -%}
        {%- for condition in seeds.conditions if condition.rule_id == rule.rule_id -%}
            {%- set group = groups.setdefault(condition.any_group | int, {'tests': [], 'source': []}) -%}
            {%- do group.tests.append(fraud_condition(condition, attributes, flag_codes)) -%}
            {%- do group.source.append(condition.attribute in attributes and attributes[condition.attribute][2]) -%}
        {%- endfor -%}
        {%- set scope = [conversion ~ '.' ~ on ~ " >= date '" ~ rule.valid_from ~ "'"] -%}
        {%- if rule.valid_until -%}
            {%- do scope.append(conversion ~ '.' ~ on ~ " < date '" ~ rule.valid_until ~ "'") -%}
        {%- endif -%}
        {%- if rule.source_type == 'all_non_organic' and action == 'block_event' -%}
            {%- do scope.append(touch ~ '.touch_id is not null') -%}
        {%- endif -%}
        {%- set asked = [] -%}
        {%- for number, group in groups | dictsort -%}
            {%- set test = '(' ~ group.tests | join(' or ') ~ ')' -%}
            {%- if rule.source_type == 'non_organic' and false not in group.source -%}
                {%- do scope.append(test) -%}
            {%- else -%}
                {%- do asked.append(test) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- if rule.rule_kind == 'allow_only' -%}
            {%- do scope.append('not (' ~ (asked | join(' and ') or 'false') ~ ')') -%}
        {%- else -%}
            {%- do scope.extend(asked) -%}
        {%- endif -%}
        {%- do compiled.append({
            'rule_id': rule.rule_id,
            'reason_code': rule.reason_code,
            'score': rule.score,
            'sql': scope | join(' and '),
        }) -%}
    {%- endfor -%}
    {{ return(compiled) }}
{% endmacro %}

{#
  The id of the first active rule that hits a row, else null, as one expression. It reads columns of the aliases
  `touch` (stg_touchpoints or int_touch_matches, or the winning candidate for block_event), `conversion` (int_installs), `match`
  (int_touch_matches), and the text `flag_codes` of `fraud_flags_of_candidates` or `fraud_flags_of_conversions`.
#}
{% macro fraud_rule(
    action,
    touch='touch',
    conversion='install',
    match='match',
    flag_codes='flags.flag_codes',
    at='install_at',
    on='install_date'
) %}
    {%- set rules = fraud_rules(action, ('active',), touch, conversion, match, flag_codes, at, on) -%}
    {%- if not rules -%}{{ return('cast(null as varchar)') }}{%- endif -%}
    {%- set cases = [] -%}
    {%- for rule in rules -%}
        {%- do cases.append("when " ~ rule.sql ~ " then '" ~ rule.rule_id | replace("'", "''") ~ "'") -%}
    {%- endfor -%}
    {{ return('case ' ~ cases | join(' ') ~ ' end') }}
{% endmacro %}

{# Flag codes of each flagged candidate as |a|b|; one row per app_id, conversion_id and touch_id. #}
{% macro fraud_flags_of_candidates() %}
    select
        app_id,
        conversion_id,
        touch_id,
        '|' || {{ dbt.listagg('flag_code', "'|'", 'order by flag_code') }} || '|' as flag_codes
    from {{ ref('int_candidate_flags') }}
    where {{ planned_dates('install_date') }}
    group by app_id, conversion_id, touch_id
{% endmacro %}

{# Flag codes of each flagged conversion as |a|b|; one row per app_id and conversion_id. #}
{% macro fraud_flags_of_conversions() %}
    select
        app_id,
        conversion_id,
        '|' || {{ dbt.listagg('flag_code', "'|'", 'order by flag_code') }} || '|' as flag_codes
    from {{ ref('int_conversion_flags') }}
    where {{ planned_dates('install_date') }}
    group by app_id, conversion_id
{% endmacro %}
