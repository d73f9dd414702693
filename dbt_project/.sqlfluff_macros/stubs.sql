{# What sqlfluff sees of macros that need dbt: their text in a full run. #}
{% macro planned_dates(column, days_before=0, days_after=0) %}true{% endmacro %}
{% macro planned_keys(relation, keys, date_column) %}true{% endmacro %}
{% macro days_between(since, until) %}date_diff('day', {{ since }}, {{ until }}){% endmacro %}
{% macro seconds_between(since, until) %}date_sub('second', {{ since }}, {{ until }}){% endmacro %}
{% macro elapsed_days(since, until) %}date_sub('day', {{ since }}, {{ until }}){% endmacro %}
{% macro add_hours(instant, hours) %}({{ instant }} + to_hours({{ hours }})){% endmacro %}
{% macro query_parameter(text, names) %}regexp_extract({{ text }}, 'x'){% endmacro %}
{% macro usd(micros, usd_per_unit) %}cast({{ micros }} * {{ usd_per_unit }} as decimal(18, 6)){% endmacro %}
{% macro first_copies(bronze, columns, cleaned={}) %}select {{ columns | join(', ') }} from {{ bronze }}{% endmacro %}
{% macro day_numbers(last) %}select 0 as day_n{% endmacro %}
{% macro cohort_installs() %}select * from attributed_installs{% endmacro %}
{% macro cohort_grid(installs, last_day) %}select * from {{ installs }}{% endmacro %}
{% macro content_hash(column) %}md5(string_agg({{ column }}, ';' order by {{ column }})){% endmacro %}
{% macro add_seconds(instant, seconds) %}({{ instant }} + to_seconds({{ seconds }})){% endmacro %}
{% macro json_text(column, member) %}json_extract_string({{ column }}, '$.{{ member }}'){% endmacro %}
{% macro name_key(text) %}lower({{ text }}){% endmacro %}
