{{ config(meta={'plan': 'cohort_dates'}, partition_by='install_date') }}

-- What a rule that is only tried would change, asked of the decisions as they stand: it blocks nothing here.
{% set candidate_rules = fraud_rules('block_candidate', ('dry_run',), match='candidate') %}
{% set conversion_rules = fraud_rules('block_event', ('dry_run',), touch='winner', match='winner') %}

with

candidates as (
    select *
    from {{ ref('attribution_candidates') }}
    where is_eligible and {{ planned_dates('install_date') }}
),

decisions as (
    select *
    from {{ ref('attribution_decisions') }}
    where is_primary and not is_blocked and {{ planned_dates('install_date') }}
),

flags as (
    {{ fraud_flags_of_candidates() }}
),

conversion_flags as (
    {{ fraud_flags_of_conversions() }}
),

installs as (
    select * from {{ ref('int_installs') }} where {{ planned_dates('install_date') }}
),

tried as (
    select
        candidate.app_id,
        candidate.conversion_id,
        candidate.touch_id,
        candidate.candidate_rank,
        {% for rule in candidate_rules -%}
            {{ rule.sql }} as hit_{{ loop.index }},
        {% endfor -%}
        candidate.is_winner
    from candidates as candidate
    inner join installs as install
        on candidate.app_id = install.app_id and candidate.conversion_id = install.conversion_id
    inner join {{ ref('stg_touchpoints') }} as touch
        on
            candidate.app_id = touch.app_id
            and candidate.touch_id = touch.record_id
            and cast(candidate.touch_at as date) = touch.event_date
    left join flags
        on
            candidate.app_id = flags.app_id
            and candidate.conversion_id = flags.conversion_id
            and candidate.touch_id = flags.touch_id
    where {{ planned_dates('touch.event_date', days_before=var('attribution_lookback_days')) }}
),

-- Winners that a rule hits, with the rank of the best candidate that it does not hit.
lost as (
    {% for rule in candidate_rules -%}
        select
            '{{ rule.rule_id }}' as rule_id,
            app_id,
            conversion_id,
            min(case when not hit_{{ loop.index }} then candidate_rank end) as next_rank
        from tried
        group by app_id, conversion_id
        having max(case when is_winner and hit_{{ loop.index }} then 1 else 0 end) = 1
        union all
    {% endfor -%}
    select
        cast(null as varchar) as rule_id,
        app_id,
        conversion_id,
        cast(null as integer) as next_rank
    from tried
    where 1 = 0
),

rejected as (
    {% for rule in conversion_rules -%}
        select
            '{{ rule.rule_id }}' as rule_id,
            install.app_id,
            install.conversion_id
        from installs as install
        left join candidates as winner
            on install.app_id = winner.app_id and install.conversion_id = winner.conversion_id and winner.is_winner
        left join conversion_flags as flags
            on install.app_id = flags.app_id and install.conversion_id = flags.conversion_id
        where {{ rule.sql }}
        union all
    {% endfor -%}
    select
        cast(null as varchar) as rule_id,
        app_id,
        conversion_id
    from installs
    where 1 = 0
),

changes as (
    select
        lost.rule_id,
        lost.app_id,
        lost.conversion_id,
        case when lost.next_rank is null then 'becomes_organic' else 'moves_to_candidate' end as outcome,
        lost.next_rank
    from lost
    union all
    select
        rejected.rule_id,
        rejected.app_id,
        rejected.conversion_id,
        'blocked' as outcome,
        cast(null as integer) as next_rank
    from rejected
),

changed_installs as (
    select distinct
        decision.app_id,
        decision.install_id,
        decision.install_date
    from changes
    inner join decisions as decision
        on changes.app_id = decision.app_id and changes.conversion_id = decision.conversion_id
),

revenues as (
    select
        revenue.app_id,
        revenue.install_id,
        cast(sum(revenue.revenue_usd) as decimal(18, 6)) as revenue_usd
    from {{ ref('int_revenue_events') }} as revenue
    inner join changed_installs as changed
        on revenue.app_id = changed.app_id and revenue.install_id = changed.install_id
    where
        {{ days_between('changed.install_date', 'revenue.event_date') }} <= 30
        and {{ planned_dates('revenue.event_date', days_after=30) }}
    group by revenue.app_id, revenue.install_id
)

select
    changes.rule_id,
    changes.app_id,
    changes.conversion_id,
    decision.install_id,
    decision.install_date,
    changes.outcome,
    case when decision.is_organic then 'organic' else coalesce(winner.partner, 'unknown') end as partner,
    winner.campaign_id,
    decision.touch_id,
    case
        when changes.outcome = 'blocked' then 'blocked'
        when changes.outcome = 'becomes_organic' then 'organic'
        else coalesce(heir.partner, 'unknown')
    end as new_partner,
    heir.campaign_id as new_campaign_id,
    heir.touch_id as new_touch_id,
    cast(coalesce(revenues.revenue_usd, 0) as decimal(18, 6)) as revenue_usd
from changes
inner join decisions as decision
    on changes.app_id = decision.app_id and changes.conversion_id = decision.conversion_id
left join candidates as winner
    on changes.app_id = winner.app_id and changes.conversion_id = winner.conversion_id and winner.is_winner
left join candidates as heir
    on
        changes.app_id = heir.app_id
        and changes.conversion_id = heir.conversion_id
        and changes.next_rank = heir.candidate_rank
left join revenues on decision.app_id = revenues.app_id and decision.install_id = revenues.install_id
