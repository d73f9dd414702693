{{ config(meta={'plan': 'cohort_dates'}, partition_by='conversion_date') }}

with

installs as (
    select
        *,
        row_number() over (order by app_id, conversion_id) as conversion_number
    from {{ ref('int_install_values') }}
    where {{ planned_dates('install_date') }}
),

-- The models in force: of each model the row of the app before that of all apps, then the latest.
models as (
    select
        *,
        dense_rank() over (order by model) as model_number
    from (
        select
            situation.app_id,
            situation.install_date,
            rule.model,
            rule.rule,
            rule.first_share,
            rule.last_share,
            rule.two_touches,
            rule.half_life_hours,
            row_number() over (
                partition by situation.app_id, situation.install_date, rule.model
                order by case when rule.app_id = '*' then 1 else 0 end, rule.valid_from desc
            ) as choice
        from (select distinct app_id, install_date from installs) as situation
        inner join {{ ref('rule_multi_touch_models') }} as rule
            on
                rule.app_id in (situation.app_id, '*')
                and situation.install_date >= rule.valid_from
                and (rule.valid_until is null or situation.install_date < rule.valid_until)
    ) as ranked
    where choice = 1
),

touches as (
    select
        install.conversion_number,
        install.app_id,
        install.install_date,
        install.revenue_d7_usd,
        install.revenue_d30_usd,
        path.partner,
        path.campaign_id,
        path.position,
        path.path_length,
        path.age_s - min(path.age_s) over (partition by install.conversion_number) as seconds_before_last
    from installs as install
    inner join {{ ref('int_conversion_paths') }} as path
        on install.app_id = path.app_id and install.conversion_id = path.conversion_id
    where {{ planned_dates('path.install_date') }}
),

direct as (
    select distinct situation.app_id, situation.install_date, situation.partner
    from (select distinct app_id, install_date, partner from touches) as situation
    inner join {{ ref('rule_direct_channels') }} as rule
        on
            situation.partner = rule.partner
            and rule.app_id in (situation.app_id, '*')
            and situation.install_date >= rule.valid_from
            and (rule.valid_until is null or situation.install_date < rule.valid_until)
),

known as (
    select
        touches.*,
        coalesce(
            max(case when direct.partner is null then touches.position end) over (
                partition by touches.conversion_number
            ),
            touches.path_length
        ) as last_non_direct_position
    from touches
    left join direct
        on
            touches.app_id = direct.app_id
            and touches.install_date = direct.install_date
            and touches.partner = direct.partner
),

-- Weights are decimals, so that their sum does not depend on the order in which rows are added up.
weighted as (
    select
        known.*,
        models.model,
        models.model_number,
        cast(
            case models.rule
                when 'first' then case when known.position = 1 then 1 else 0 end
                when 'last' then case when known.position = known.path_length then 1 else 0 end
                when 'linear' then 1
                when 'last_non_direct' then case when known.position = known.last_non_direct_position then 1 else 0 end
                when 'time_decay'
                    then power(cast(2 as double), -known.seconds_before_last / (3600.0 * models.half_life_hours))
                when 'position'
                    then case
                        when known.path_length = 1 then 1
                        when known.path_length = 2 and models.two_touches = 'spread'
                            then case when known.position = 1 then models.first_share else models.last_share end
                        when known.path_length = 2
                            then
                                0.5 + (models.first_share - models.last_share) * case
                                    when known.position = 1 then 0.5
                                    else -0.5
                                end
                        when known.position = 1 then models.first_share
                        when known.position = known.path_length then models.last_share
                        else cast(1 - models.first_share - models.last_share as double) / (known.path_length - 2)
                    end
            end as decimal(28, 18)
        ) as weight
    from known
    inner join models on known.app_id = models.app_id and known.install_date = models.install_date
),

totalled as (
    select
        *,
        sum(weight) over (partition by conversion_number, model_number) as total_weight
    from weighted
),

-- Rounded down to billionths, with a thousandth of one for what doubles lose; what is left of a conversion, and of its
-- money, goes to its last touch.
shared as (
    select
        *,
        cast(
            floor(
                case
                    when total_weight > 0 then 0.001 + 1e9 * (cast(weight as double) / cast(total_weight as double))
                    when position = path_length then 1e9
                    else 0
                end
            ) as decimal(22, 0)
        ) * cast(0.000000001 as decimal(9, 9)) as rounded_share
    from totalled
),

credited as (
    select
        *,
        cast(
            case
                when position < path_length then rounded_share
                else 1 + rounded_share - sum(rounded_share) over (partition by conversion_number, model_number)
            end as decimal(10, 9)
        ) as credit
    from shared
),

priced as (
    select
        *,
        {{ part_of('revenue_d7_usd', 'credit') }} as part_d7_usd,
        {{ part_of('revenue_d30_usd', 'credit') }} as part_d30_usd
    from credited
),

touched as (
    select distinct conversion_number from touches
),

parts as (
    select
        app_id,
        model,
        install_date,
        partner,
        campaign_id,
        credit as credited_conversions,
        case
            when position < path_length then part_d7_usd
            else revenue_d7_usd + part_d7_usd - sum(part_d7_usd) over (partition by conversion_number, model_number)
        end as credited_revenue_d7_usd,
        case
            when position < path_length then part_d30_usd
            else revenue_d30_usd + part_d30_usd - sum(part_d30_usd) over (partition by conversion_number, model_number)
        end as credited_revenue_d30_usd
    from priced
    union all
    select
        install.app_id,
        models.model,
        install.install_date,
        case when install.is_blocked then 'blocked' else 'organic' end as partner,
        '' as campaign_id,
        count(*) as credited_conversions,
        sum(install.revenue_d7_usd) as credited_revenue_d7_usd,
        sum(install.revenue_d30_usd) as credited_revenue_d30_usd
    from installs as install
    inner join models on install.app_id = models.app_id and install.install_date = models.install_date
    left join touched on install.conversion_number = touched.conversion_number
    where touched.conversion_number is null
    group by install.app_id, models.model, install.install_date, install.is_blocked
)

select
    app_id,
    model,
    install_date as conversion_date,
    partner,
    campaign_id,
    cast(sum(credited_conversions) as decimal(18, 9)) as credited_conversions,
    cast(sum(credited_revenue_d7_usd) as decimal(18, 6)) as credited_revenue_d7_usd,
    cast(sum(credited_revenue_d30_usd) as decimal(18, 6)) as credited_revenue_d30_usd
from parts
group by app_id, model, install_date, partner, campaign_id
having sum(credited_conversions) > 0 or sum(abs(credited_revenue_d7_usd)) > 0 or sum(abs(credited_revenue_d30_usd)) > 0
