{# Names and channels of campaigns, and which records are internal. Rules are read while running. #}

{# Rows of rule_campaign_suffixes; none in a dbt case, which may override this macro. #}
{% macro campaign_suffix_rows() %}
    {%- if execute and model.resource_type == 'unit_test' -%}{{ return([]) }}{%- endif -%}
    {%- set suffixes = ref('rule_campaign_suffixes') -%}
    {{ return(seed_rows(suffixes) if execute else []) }}
{% endmacro %}

{# Rows of rule_internal_traffic; none in a dbt case, which may override this macro. #}
{% macro internal_traffic_rows() %}
    {%- if execute and model.resource_type == 'unit_test' -%}{{ return([]) }}{%- endif -%}
    {%- set filters = ref('rule_internal_traffic') -%}
    {{ return(seed_rows(filters) if execute else []) }}
{% endmacro %}

{# Text in one Unicode form, so that letters that look the same are the same. #}
{% macro one_form(text) %}{{ return(adapter.dispatch('one_form', 'unmogrowp')(text)) }}{% endmacro %}
{% macro default__one_form(text) %}{{ return(text) }}{% endmacro %}
{% macro duckdb__one_form(text) %}{{ return('nfc_normalize(' ~ text ~ ')') }}{% endmacro %}

{# Every match of a pattern replaced. #}
{% macro replace_all(text, pattern, by) %}{{ return(adapter.dispatch('replace_all', 'unmogrowp')(text, pattern, by)) }}{% endmacro %}
{% macro default__replace_all(text, pattern, by) %}
    {{ return('regexp_replace(' ~ text ~ ", '" ~ pattern ~ "', '" ~ by ~ "')") }}
{% endmacro %}
{% macro duckdb__replace_all(text, pattern, by) %}
    {{ return('regexp_replace(' ~ text ~ ", '" ~ pattern ~ "', '" ~ by ~ "', 'g')") }}
{% endmacro %}

{#
  A campaign name for people and for comparing: one Unicode form, blanks of all kinds as one, lower case, without the
  suffixes that say nothing. A name that is nothing but a suffix stays.
#}
{% macro clean_name(name, partner) %}
    {%- set plain = 'lower(trim(' ~ replace_all(one_form(name), '[\\s\\x{00A0}\\x{200B}]+', ' ') ~ '))' -%}
    {%- set patterns = {'*': []} -%}
    {%- for row in campaign_suffix_rows() | sort(attribute='suffix_pattern') -%}
        {%- do patterns.setdefault(row.partner, []).append('(?:' ~ row.suffix_pattern | replace("'", "''") ~ ')') -%}
    {%- endfor -%}
    {%- set cases = [] -%}
    {%- for whose, own in patterns | dictsort if whose != '*' -%}
        {%- set cut = without_suffixes(plain, own + patterns['*']) -%}
        {%- do cases.append('when ' ~ partner ~ " = '" ~ whose | replace("'", "''") ~ "' then " ~ cut) -%}
    {%- endfor -%}
    {%- set cut = without_suffixes(plain, patterns['*']) -%}
    {{ return('case ' ~ cases | join(' ') ~ ' else ' ~ cut ~ ' end' if cases else cut) }}
{% endmacro %}

{% macro without_suffixes(text, patterns) %}
    {%- if not patterns -%}{{ return(text) }}{%- endif -%}
    {%- set cut = 'trim(' ~ replace_all(text, '(?:' ~ patterns | join('|') ~ ')+$', '') ~ ')' -%}
    {{ return("coalesce(nullif(" ~ cut ~ ", ''), " ~ text ~ ')') }}
{% endmacro %}

{#
  `environment` of a bronze record: what it says, or `internal` for production records of the publisher's own people. A
  record is internal if a filter hits it, or if its install is: one of the install's records has a listed id, or its first
  open came from a listed network or version. Without filters this is the plain column and costs nothing.
#}
{% macro environment_of(has_version=true, by_install=true) %}
    {%- set plain = "coalesce(environment, 'production')" -%}
    {%- set ids = {'install_id': [], 'device_id': [], 'user_id': []} -%}
    {%- set places = {'ip_prefix': [], 'app_version': []} -%}
    {%- for row in internal_traffic_rows() | sort(attribute='filter_value') -%}
        {%- set literal = "'" ~ row.filter_value | replace("'", "''") ~ "'" -%}
        {%- set columns = ['idfa', 'gaid', 'oaid', 'idfv', 'app_set_id', 'android_id']
            if row.filter_kind == 'device_id' else [row.filter_kind] -%}
        {%- set scope = '' if row.app_id == '*' else " and app_id = '" ~ row.app_id | replace("'", "''") ~ "'" -%}
        {%- set test = '(' ~ literal ~ ' in (' ~ columns | join(', ') ~ ')' ~ scope ~ ')' -%}
        {%- do (ids if row.filter_kind in ids else places)[row.filter_kind].append(test) -%}
    {%- endfor -%}
    {%- set by_id = ids.install_id + ids.device_id + ids.user_id -%}
    {%- set by_place = places.ip_prefix + (places.app_version if has_version else []) -%}
    {%- set tests = by_id + by_place -%}
    {%- if by_install and by_id + places.ip_prefix + places.app_version -%}
        {%- set openings = places.ip_prefix + places.app_version -%}
        {%- set whose = by_id + (["record_type = 'install' and (" ~ openings | join(' or ') ~ ')'] if openings else []) -%}
        {%- do tests.append(
            '(app_id, install_id) in (select app_id, install_id from ' ~ source('bronze', 'bronze_app_events')
            ~ ' where install_id is not null and (' ~ whose | join(' or ') ~ '))'
        ) -%}
    {%- endif -%}
    {%- if not tests -%}{{ return(plain) }}{%- endif -%}
    {{ return('case when ' ~ plain ~ " = 'production' and (" ~ tests | join(' or ') ~ ") then 'internal' else " ~ plain ~ ' end') }}
{% endmacro %}
