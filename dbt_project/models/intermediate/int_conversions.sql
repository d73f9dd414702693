{{ config(meta={'plan': 'conversion_dates'}, partition_by='conversion_date') }}

-- What attribution decides about: first opens, further installs of a device that has the app already, and opens after a
-- touch of a retargeting campaign.
{% set policy = [
    'reinstall_policy', 'inactivity_days', 'reengagement_window_days', 'event_attribution', 'rank_order'
] %}

with

installs as (
    select
        install.app_id,
        install.conversion_id,
        coalesce(again.conversion_type, 'install') as conversion_type,
        install.install_id,
        install.install_at,
        install.install_date,
        install.install_at as conversion_at,
        install.install_date as conversion_date,
        install.platform,
        again.device_id,
        again.install_number,
        again.counted_install_id,
        again.counted_install_at,
        again.counted_install_date,
        again.told_install_id
    from {{ ref('int_installs') }} as install
    left join {{ ref('int_reinstalls') }} as again
        on install.app_id = again.app_id and install.install_id = again.install_id
    where {{ planned_dates('install.install_date') }}
),

opens as (
    select
        opened.app_id,
        opened.conversion_id,
        'reengagement' as conversion_type,
        opened.install_id,
        install.install_at,
        install.install_date,
        opened.conversion_at,
        opened.conversion_date,
        install.platform,
        again.device_id,
        again.install_number,
        again.counted_install_id,
        again.counted_install_at,
        again.counted_install_date,
        again.told_install_id
    from {{ ref('int_reengagement_opens') }} as opened
    inner join {{ ref('int_installs') }} as install
        on opened.app_id = install.app_id and opened.install_id = install.install_id
    left join {{ ref('int_reinstalls') }} as again
        on opened.app_id = again.app_id and opened.install_id = again.install_id
    where {{ planned_dates('opened.conversion_date') }}
),

conversions as (
    select * from installs
    union all
    select * from opens
),

situations as (
    select distinct app_id, conversion_date from conversions
),

policies as (
    {{ in_force('situations', ref('rule_policies'), 'conversion_date', ['app_id'], policy) | indent(4) }}
),

rulesets as (
    {{ in_force('situations', ref('int_rulesets'), 'conversion_date', ['app_id'], ['ruleset_id']) | indent(4) }}
)

select
    conversion.app_id,
    conversion.conversion_id,
    conversion.conversion_type,
    conversion.conversion_type = 'install' as is_counted,
    conversion.install_id,
    conversion.install_at,
    conversion.install_date,
    conversion.conversion_at,
    conversion.conversion_date,
    conversion.platform,
    coalesce(conversion.device_id, conversion.install_id) as device_id,
    cast(coalesce(conversion.install_number, 1) as bigint) as install_number,
    coalesce(conversion.counted_install_id, conversion.install_id) as counted_install_id,
    coalesce(conversion.counted_install_at, conversion.install_at) as counted_install_at,
    coalesce(conversion.counted_install_date, conversion.install_date) as counted_install_date,
    coalesce(conversion.told_install_id, conversion.install_id) as told_install_id,
    -- Users who had the app can be won back, not won: by the policy, touches of other campaigns are out.
    conversion.conversion_type in ('reinstall', 'reengagement')
    or (
        conversion.conversion_type = 'install'
        and coalesce(conversion.install_number, 1) > 1
        and policies.reinstall_policy = 'new_after_window'
    ) as needs_retargeting,
    policies.reinstall_policy,
    policies.inactivity_days,
    policies.reengagement_window_days,
    policies.event_attribution,
    policies.rank_order,
    rulesets.ruleset_id
from conversions as conversion
inner join policies
    on conversion.app_id = policies.app_id and conversion.conversion_date = policies.conversion_date
inner join rulesets
    on conversion.app_id = rulesets.app_id and conversion.conversion_date = rulesets.conversion_date
