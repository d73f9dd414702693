-- The name of the rules in force is a hash of their content: the same rules have the same id everywhere, and a line
-- that comes into force on a day leaves the ids of the days before it as they were.
{% set dated = [
    ('rule_attribution_windows', 'app_id',
        ['app_id', 'partner', 'platform', 'conversion_type', 'touch_type', 'match_class', 'window_hours']),
    ('rule_policies', 'app_id', [
        'app_id', 'reinstall_policy', 'reattribution_window_days', 'att_second_install_hours', 'inactivity_days',
        'reengagement_window_days', 'event_attribution', 'rank_order'
    ]),
    ('rule_partners', 'app_id', ['app_id', 'partner', 'is_enabled']),
] %}
{% set fraud_rule = [
    'rule_id', 'priority', 'action', 'rule_kind', 'source_type', 'score', 'reason_code', 'version'
] %}
{% set undated = [
    ('rule_match_methods', ['match_method', 'match_class', 'method_strength']),
    ('rule_touch_types', ['touch_type', 'match_class', 'tier']),
    ('rule_reason_codes', ['reason_code', 'is_eligible']),
    ('rule_ip_lists', ['ip_prefix', 'ip_class']),
    ('rule_integrity_verdicts', ['integrity_verdict', 'flag_code']),
] %}
{% set settings = ['attribution_lookback_days', 'max_touches_per_fingerprint', 'max_installs_per_device_id'] %}

with

-- A rule that is only tried, or off, decides nothing.
fraud_rules as (
    select
        {{ fraud_rule | join(', ') }},
        valid_from,
        coalesce(valid_until, date '9999-12-31') as valid_until
    from {{ ref('rule_fraud_rules') }}
    where status = 'active'
),

dated as (
    {% for rule, scope, columns in dated -%}
        select
            {{ scope }} as app_scope,
            valid_from,
            coalesce(valid_until, date '9999-12-31') as valid_until,
            {{ rule_line(rule, columns) }} as line
        from {{ ref(rule) }}
        union all
    {% endfor -%}
    select
        '*' as app_scope,
        valid_from,
        valid_until,
        {{ rule_line('rule_fraud_rules', fraud_rule) }} as line
    from fraud_rules
    union all
    select
        '*' as app_scope,
        fraud_rules.valid_from,
        fraud_rules.valid_until,
        {{ rule_line('rule_fraud_conditions', [
            'condition.rule_id', 'condition.any_group', 'condition.attribute', 'condition.operator',
            'condition.compared_with'
        ]) }} as line
    from {{ ref('rule_fraud_conditions') }} as condition
    inner join fraud_rules on condition.rule_id = fraud_rules.rule_id
    union all
    select
        '*' as app_scope,
        valid_from,
        lead(valid_from, 1, date '9999-12-31') over (partition by threshold order by valid_from) as valid_until,
        {{ rule_line('rule_fraud_thresholds', ['threshold', 'threshold_value']) }} as line
    from {{ ref('rule_fraud_thresholds') }}
),

undated as (
    {% for rule, columns in undated -%}
        select {{ rule_line(rule, columns) }} as line from {{ ref(rule) }}
        union all
    {% endfor -%}
    {% for name in settings -%}
        select '{{ name }}|{{ var(name) }}' as line
        {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

scopes as (
    select '*' as app_scope
    union
    select app_scope from dated
),

-- Every day on which a line that concerns the scope begins or ends.
boundaries as (
    select scopes.app_scope, dated.valid_from as boundary
    from scopes inner join dated on dated.app_scope in (scopes.app_scope, '*')
    union
    select scopes.app_scope, dated.valid_until as boundary
    from scopes inner join dated on dated.app_scope in (scopes.app_scope, '*')
    union
    select app_scope, date '1970-01-01' as boundary from scopes
),

periods as (
    select
        app_scope,
        boundary as valid_from,
        lead(boundary) over (partition by app_scope order by boundary) as valid_until
    from boundaries
),

lines as (
    select periods.app_scope, periods.valid_from, periods.valid_until, dated.line
    from periods
    inner join dated
        on
            dated.app_scope in (periods.app_scope, '*')
            and periods.valid_from >= dated.valid_from
            and periods.valid_from < dated.valid_until
    where periods.valid_until is not null
    union all
    select periods.app_scope, periods.valid_from, periods.valid_until, undated.line
    from periods cross join undated
    where periods.valid_until is not null
)

select
    app_scope as app_id,
    valid_from,
    valid_until,
    {{ content_hash('line') }} as ruleset_id,
    count(*) as line_count
from lines
group by app_scope, valid_from, valid_until
