with

known as (
    select
        app_id,
        partner,
        campaign_id,
        lower(trim(campaign_name)) as campaign_name
    from {{ ref('int_campaign_touches') }}
    where campaign_id != ''
    group by app_id, partner, campaign_id, lower(trim(campaign_name))
),

known_ids as (
    select app_id, partner, campaign_id from known group by app_id, partner, campaign_id
),

-- A name that two campaigns have had tells nothing.
known_names as (
    select app_id, partner, campaign_name, min(campaign_id) as campaign_id, count(*) as bearers
    from known
    where campaign_name != ''
    group by app_id, partner, campaign_name
),

mapped as (
    select
        cost.app_id,
        cost.record_id,
        rule.campaign_id,
        row_number() over (
            partition by cost.app_id, cost.record_id
            order by
                case when rule.reported_campaign_id is null then 1 else 0 end,
                case when rule.app_id = '*' then 1 else 0 end,
                rule.valid_from desc,
                rule.campaign_id
        ) as choice
    from {{ ref('stg_costs') }} as cost
    inner join {{ ref('campaign_mapping') }} as rule
        on
            cost.partner = rule.partner
            and rule.app_id in (cost.app_id, '*')
            and cost.cost_date >= rule.valid_from
            and cost.cost_date < coalesce(rule.valid_until, cast('9999-12-31' as date))
            and coalesce(rule.reported_campaign_id, rule.reported_campaign_name) is not null
            and (rule.reported_campaign_id is null or cost.campaign_id = rule.reported_campaign_id)
            and (
                rule.reported_campaign_name is null
                or lower(trim(cost.campaign_name)) = lower(trim(rule.reported_campaign_name))
            )
)

select
    cost.app_id,
    cost.record_id,
    cost.cost_date,
    coalesce(cost.platform, app.platform, 'other') as platform,
    coalesce(cost.partner, 'unknown') as partner,
    coalesce(mapped.campaign_id, known_ids.campaign_id, known_names.campaign_id, cost.campaign_id, '') as campaign_id,
    coalesce(cost.campaign_id, '') as reported_campaign_id,
    coalesce(cost.campaign_name, '') as reported_campaign_name,
    case
        when mapped.campaign_id is not null then 'mapping'
        when known_ids.campaign_id is not null then 'id'
        when known_names.campaign_id is not null then 'name'
        else 'none'
    end as campaign_match,
    case
        when coalesce(mapped.campaign_id, known_ids.campaign_id, known_names.campaign_id) is not null then null
        when cost.campaign_id is null and cost.campaign_name is null then 'no_campaign_given'
        when coalesce(names.bearers, 0) > 1 then 'name_of_several_campaigns'
        else 'no_touch_of_campaign'
    end as unmatched_reason,
    cost.cost_model,
    cost.currency,
    cost.cost_micros,
    {{ usd('cost.cost_micros', 'rate.usd_per_unit') }} as cost_usd,
    cost.impressions,
    cost.clicks,
    cost.installs
from {{ ref('stg_costs') }} as cost
left join {{ source('config', 'apps') }} as app on cost.app_id = app.app_id
left join {{ ref('int_fx_rates') }} as rate
    on
        cost.currency = rate.currency
        and cost.cost_date >= rate.valid_from
        and cost.cost_date < rate.valid_until
left join mapped on cost.app_id = mapped.app_id and cost.record_id = mapped.record_id and mapped.choice = 1
left join known_ids
    on
        cost.app_id = known_ids.app_id
        and cost.partner = known_ids.partner
        and cost.campaign_id = known_ids.campaign_id
left join known_names
    on
        cost.app_id = known_names.app_id
        and cost.partner = known_names.partner
        and lower(trim(cost.campaign_name)) = known_names.campaign_name
        and known_names.bearers = 1
left join known_names as names
    on
        cost.app_id = names.app_id
        and cost.partner = names.partner
        and lower(trim(cost.campaign_name)) = names.campaign_name
