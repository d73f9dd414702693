{# What sqlfluff sees of macros that need dbt: their text in a full run. #}
{% macro planned_dates(column, days_before=0, days_after=0) %}true{% endmacro %}
{% macro planned_keys(relation, keys, date_column) %}true{% endmacro %}
{% macro days_between(since, until) %}date_diff('day', {{ since }}, {{ until }}){% endmacro %}
{% macro seconds_between(since, until) %}date_sub('second', {{ since }}, {{ until }}){% endmacro %}
{% macro elapsed_days(since, until) %}date_sub('day', {{ since }}, {{ until }}){% endmacro %}
{% macro add_hours(instant, hours) %}({{ instant }} + to_hours({{ hours }})){% endmacro %}
{% macro add_days(day, days) %}({{ day }} + {{ days }}){% endmacro %}
{% macro month_of(day) %}date_trunc('month', {{ day }}){% endmacro %}
{% macro query_parameter(text, names) %}regexp_extract({{ text }}, 'x'){% endmacro %}
{% macro usd(micros, usd_per_unit) %}cast({{ micros }} * {{ usd_per_unit }} as decimal(18, 6)){% endmacro %}
{% macro first_copies(bronze, columns, cleaned={}, date_column='event_date') %}select {{ columns | join(', ') }} from {{ bronze }}{% endmacro %}
{% macro day_numbers(last) %}select 0 as day_n{% endmacro %}
{% macro cohort_installs() %}select * from attributed_installs{% endmacro %}
{% macro is_paid(partner) %}{{ partner }} not in ('organic', 'blocked'){% endmacro %}
{% macro cohort_members(installs) %}select * from {{ installs }}{% endmacro %}
{% macro in_force(situations, rule, date_column, scopes, values, exact=[]) %}select * from {{ situations }}{% endmacro %}
{% macro rule_line(rule, columns) %}concat_ws('|', {{ columns | join(', ') }}){% endmacro %}
{% macro same(left, right, columns) %}{{ left }}.app_id = {{ right }}.app_id{% endmacro %}
{% macro language(locale) %}lower({{ locale }}){% endmacro %}
{% macro cohort_grid(installs, last_day) %}select * from {{ installs }}{% endmacro %}
{% macro content_hash(column) %}md5(string_agg({{ column }}, ';' order by {{ column }})){% endmacro %}
{% macro path_text(partner, campaign, order) %}string_agg({{ partner }}, ',' order by {{ order }}){% endmacro %}
{% macro is_path_touch(touch_type) %}true{% endmacro %}
{% macro kept_position(place, touch_count) %}case when {{ place }} <= 20 then {{ place }} end{% endmacro %}
{% macro part_of(amount_usd, part) %}cast({{ amount_usd }} * {{ part }} as decimal(18, 6)){% endmacro %}
{% macro utc_date(instant) %}cast({{ instant }} as date){% endmacro %}
{% macro add_days(date, days) %}({{ date }} + {{ days }}){% endmacro %}
{% macro sorted_list(column) %}string_agg({{ column }}, ',' order by {{ column }}){% endmacro %}
{% macro hour_of(instant) %}date_trunc('hour', {{ instant }}){% endmacro %}
{% macro fraud_threshold(name, date_column) %}cast(1 as double){% endmacro %}
{% macro fraud_site_days() %}{{ return(28) }}{% endmacro %}
{% macro fraud_rule(action, touch='', conversion='', match='', flag_codes='', at='', on='') %}case when {{ touch or 'touch' }}.touch_id = flags.flag_codes then '' end{% endmacro %}
{% macro fraud_rules(action, statuses=(), touch='', conversion='', match='', flag_codes='', at='', on='') %}{{ return([{'rule_id': 'r', 'sql': (touch or 'touch') ~ ".touch_id = flags.flag_codes"}]) }}{% endmacro %}
{% macro fraud_flags_of_candidates() %}select * from int_candidate_flags{% endmacro %}
{% macro fraud_flags_of_conversions() %}select * from int_conversion_flags{% endmacro %}
{% macro add_seconds(instant, seconds) %}({{ instant }} + to_seconds({{ seconds }})){% endmacro %}
{% macro json_text(column, member) %}json_extract_string({{ column }}, '$.{{ member }}'){% endmacro %}
{% macro name_key(text) %}lower({{ text }}){% endmacro %}
{% macro active_users() %}select * from attributed_installs{% endmacro %}
{% macro local_date(instant, zone, utc_date) %}cast(timezone({{ zone }}, {{ instant }}) as date){% endmacro %}
{% macro week_number(day, starts_on) %}cast({{ days_between('since', day) }} / {{ starts_on }} as integer){% endmacro %}
{% macro month_number(day) %}cast(extract(month from {{ day }}) as integer){% endmacro %}
{% macro shifted(n) %}power(2, {{ n }}){% endmacro %}
{% macro set_of(n, last) %}case when {{ n }} <= {{ last }} then {{ n }} else 0 end{% endmacro %}
{% macro holds(numbers, n) %}{{ numbers }} >= {{ n }}{% endmacro %}
{% macro converted_micros(micros, rate, into_rate) %}{{ micros }} * {{ rate }} // {{ into_rate }}{% endmacro %}
{% macro units(micros) %}cast({{ micros }} * 0.000001 as decimal(18, 6)){% endmacro %}
{% macro allotted_micros(micros, before, upto, all_sessions) %}{{ micros }} * ({{ upto }}) // {{ all_sessions }} - ({{ before }}){% endmacro %}
{% macro join_app_rule(rule, app_id, own, everyone, also='') %}left join {{ rule }} as {{ own }} on {{ app_id }} = {{ own }}.app_id
left join {{ rule }} as {{ everyone }} on {{ everyone }}.app_id = '*'{% endmacro %}
{% macro money_amounts() %}{{ return([['purchase_revenue', 'entry.revenue']]) }}{% endmacro %}
{% macro money_counts() %}{{ return([['amounts_without_rate', 'entry.revenue']]) }}{% endmacro %}
{% macro start_of_day(day) %}cast({{ day }} as timestamptz){% endmacro %}
{% macro clean_name(name, partner) %}case when {{ partner }} != '' then lower({{ name }}) end{% endmacro %}
{% macro environment_of(has_version=true, by_install=true) %}{{ return("coalesce(environment, 'production')") }}{% endmacro %}
{% macro arrival_counts(relation, day, environment='x', late_s=none) %}select 1 as n{% endmacro %}
{% macro activity_days_before() %}0{% endmacro %}
