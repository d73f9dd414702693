-- Every model that is in force on a date credits all installs of that date, to the last billionth.
with

credited as (
    select app_id, conversion_date, model, sum(credited_conversions) as conversions
    from {{ ref('multi_touch_credit') }}
    group by app_id, conversion_date, model
),

installs as (
    select app_id, install_date, count(*) as conversions
    from {{ ref('attributed_installs') }}
    where is_primary
    group by app_id, install_date
),

expected as (
    select
        installs.app_id,
        installs.install_date as conversion_date,
        rule.model,
        max(installs.conversions) as conversions
    from installs
    inner join {{ ref('rule_multi_touch_models') }} as rule
        on
            rule.app_id in (installs.app_id, '*')
            and installs.install_date >= rule.valid_from
            and (rule.valid_until is null or installs.install_date < rule.valid_until)
    group by installs.app_id, installs.install_date, rule.model
)

select
    coalesce(credited.app_id, expected.app_id) as app_id,
    coalesce(credited.conversion_date, expected.conversion_date) as conversion_date,
    coalesce(credited.model, expected.model) as model,
    credited.conversions as credited_conversions,
    expected.conversions as expected_conversions
from credited
full outer join expected
    on
        credited.app_id = expected.app_id
        and credited.conversion_date = expected.conversion_date
        and credited.model = expected.model
where coalesce(credited.conversions, 0) != coalesce(expected.conversions, 0)
