{{ config(meta={'plan': 'revenue_dates'}, partition_by='date') }}

-- One row per app_id, date, platform, partner and campaign_id. Users belong to the campaign of their install, as in the
-- cohort marts, so that revenue by day and by cohort are the same; what no install stands behind is `unattributed`.
with

installs as (
    select
        app_id, install_id, install_at, install_date, platform, partner, coalesce(campaign_id, '') as campaign_id
    from {{ ref('attributed_installs') }}
    where is_primary
),

members as (
    {{ cohort_members('installs') }}
),

entries as (
    select
        money.*,
        coalesce(member.platform, money.platform) as user_platform,
        coalesce(member.partner, 'unattributed') as partner,
        coalesce(member.campaign_id, '') as campaign_id,
        coalesce(member.install_id, money.install_id) as paying_id,
        money.entry_code in ('purchase', 'subscription') as is_gross,
        money.entry_code in ('purchase', 'subscription') and money.amount_micros > 0 as is_purchase,
        coalesce({{ days_between('member.install_date', 'money.event_date') }} <= {{ var('cohort_days') | int }}, false)
            as is_in_cohort
    from {{ ref('int_money_events') }} as money
    left join members as member
        on
            money.app_id = member.app_id
            and money.install_id = member.member_id
            and money.event_at >= member.install_at
    where {{ planned_dates('money.event_date') }}
),

money as (
    select
        entry.app_id,
        entry.event_date as date,
        entry.user_platform as platform,
        entry.partner,
        entry.campaign_id,
        {%- for name, amount in money_amounts() %}
            sum({{ amount }}) as {{ name }},
        {%- endfor %}
        {%- for name, counted in money_counts() %}
            count({{ counted }}) as {{ name }},
        {%- endfor %}
        count(distinct case when entry.is_purchase then entry.paying_id end) as paying_installs,
        count(case when entry.is_purchase then 1 end) as purchases,
        count(case when entry.entry_code = 'refund' then 1 end) as refund_count,
        count(case when entry.entry_code = 'refund' then entry.purchase_record_id end) as linked_refund_count,
        sum(case when entry.is_gross and entry.receipt_code = 'valid' then entry.revenue end) as validated_revenue,
        sum(case when entry.is_gross and entry.receipt_code = 'none' then entry.revenue end) as unvalidated_revenue,
        {%- for code in ['invalid', 'ad_total'] %}
            sum(case when entry.entry_code = '{{ code }}' then entry.revenue end) as {{ code }}_revenue,
            count(case when entry.entry_code = '{{ code }}' and entry.revenue is null then 1 end) as {{ code }}_gaps,
        {%- endfor %}
        {%- for precision in ['exact', 'publisher_defined', 'estimated', 'undisclosed'] %}
            sum(
                case
                    when entry.entry_code = 'ad_impression' and entry.precision_code = '{{ precision }}'
                        then entry.revenue
                end
            ) as ad_revenue_{{ precision }},
        {%- endfor %}
        sum(case when entry.is_counted and entry.is_in_cohort then entry.revenue + coalesce(entry.store_fee, 0) end)
            as cohort_net_revenue
    from entries as entry
    group by entry.app_id, entry.event_date, entry.user_platform, entry.partner, entry.campaign_id
),

-- Who opened the app: opens, what is done in it, and the open that made the install.
opens as (
    select distinct app_id, install_id, event_date as date
    from {{ ref('stg_app_events') }}
    where
        record_type in ('session', 'event', 'ad_revenue')
        and environment = 'production'
        and install_id is not null
        and {{ planned_dates('event_date') }}
    union
    select app_id, install_id, install_date as date
    from installs
    where {{ planned_dates('install_date') }}
),

active as (
    select
        opens.app_id,
        opens.date,
        coalesce(member.platform, app.platform, 'other') as platform,
        coalesce(member.partner, 'unattributed') as partner,
        coalesce(member.campaign_id, '') as campaign_id,
        count(distinct coalesce(member.install_id, opens.install_id)) as active_installs
    from opens
    left join members as member
        on opens.app_id = member.app_id and opens.install_id = member.member_id and opens.date >= member.install_date
    left join {{ source('config', 'apps') }} as app on opens.app_id = app.app_id
    group by all
),

keys as (
    select app_id, date, platform, partner, campaign_id from money
    union
    select app_id, date, platform, partner, campaign_id from active
)

{% set amounts = money_amounts() | map('first') | list %}
select
    keys.app_id,
    keys.date,
    keys.platform,
    keys.partner,
    keys.campaign_id,
    coalesce(own.reporting_currency, everyone.reporting_currency) as reporting_currency,
    coalesce(active.active_installs, 0) as active_installs,
    coalesce(money.paying_installs, 0) as paying_installs,
    coalesce(money.purchases, 0) as purchases,
    coalesce(money.refund_count, 0) as refund_count,
    coalesce(money.linked_refund_count, 0) as linked_refund_count,
    {%- for name in money_counts() | map('first') %}
        coalesce(money.{{ name }}, 0) as {{ name }},
    {%- endfor %}
    {%- for name in amounts + [
        'validated_revenue', 'unvalidated_revenue', 'ad_revenue_exact', 'ad_revenue_publisher_defined',
        'ad_revenue_estimated', 'ad_revenue_undisclosed', 'cohort_net_revenue'
    ] %}
        case
            when coalesce(money.amounts_without_rate, 0) = 0 then cast(coalesce(money.{{ name }}, 0) as decimal(18, 6))
        end as {{ name }},
    {%- endfor %}
    case
        when coalesce(money.amounts_without_rate, 0) = 0
            then
                cast(
                    {%- for name in amounts %}
                        {{ '+ ' if not loop.first }}coalesce(money.{{ name }}, 0)
                    {%- endfor %}
                    as decimal(18, 6)
                )
    end as net_revenue,
    case
        when coalesce(money.invalid_gaps, 0) = 0 then cast(coalesce(money.invalid_revenue, 0) as decimal(18, 6))
    end as invalid_revenue,
    case
        when coalesce(money.ad_total_gaps, 0) = 0 then cast(coalesce(money.ad_total_revenue, 0) as decimal(18, 6))
    end as ad_total_revenue
from keys
left join money using (app_id, date, platform, partner, campaign_id)
left join active using (app_id, date, platform, partner, campaign_id)
{{ join_app_rule('rule_revenue_policies', 'keys.app_id', 'own', 'everyone') }}
