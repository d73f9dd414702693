-- Whether an install counts again depends on the policy in force on its own day and on the device's last counted
-- install, so the installs of a device are walked through in order. Only devices with several installs are here.
with recursive

installs as (
    select
        device.app_id,
        device.device_id,
        install.install_id,
        install.install_at,
        install.install_date,
        install.platform,
        install.att_status,
        lag(install.install_at) over device_order as previous_install_at,
        lag(install.att_status) over device_order as previous_att_status,
        row_number() over device_order as install_number
    from {{ ref('int_install_devices') }} as device
    inner join {{ ref('int_installs') }} as install
        on device.app_id = install.app_id and device.install_id = install.install_id
    window
        device_order as (partition by device.app_id, device.device_id order by install.install_at, install.install_id)
),

policies as (
    {{ in_force(
        'installs', ref('rule_policies'), 'install_date', ['app_id'],
        ['reinstall_policy', 'reattribution_window_days', 'att_second_install_hours']
    ) | indent(4) }}
),

steps as (
    select
        installs.*,
        policies.reinstall_policy,
        {{ add_hours('installs.install_at', '-24 * policies.reattribution_window_days') }} as window_begins_at,
        -- Apps tell a second install when the user allows tracking, so that the ad id can be used.
        coalesce(
            installs.platform = 'ios'
            and installs.att_status = 'authorized'
            and coalesce(installs.previous_att_status, 'not_determined') != 'authorized'
            and installs.previous_install_at
            >= {{ add_hours('installs.install_at', '-policies.att_second_install_hours') }},
            false
        ) as is_att_second_install
    from installs
    inner join policies on installs.app_id = policies.app_id and installs.install_date = policies.install_date
),

walked as (
    select
        app_id,
        device_id,
        install_number,
        'install' as conversion_type,
        install_number as counted_number,
        install_at as counted_install_at,
        install_number as told_number
    from steps
    where install_number = 1
    union all
    select
        app_id,
        device_id,
        install_number,
        conversion_type,
        case when conversion_type = 'install' then install_number else counted_number end as counted_number,
        case when conversion_type = 'install' then install_at else counted_install_at end as counted_install_at,
        case when conversion_type = 'att_second_install' then told_number else install_number end as told_number
    from (
        select
            step.app_id,
            step.device_id,
            step.install_number,
            step.install_at,
            walked.counted_number,
            walked.counted_install_at,
            walked.told_number,
            case
                when step.is_att_second_install then 'att_second_install'
                when step.reinstall_policy = 'keep_original' then 'reinstall'
                when walked.counted_install_at >= step.window_begins_at then 'reinstall'
                else 'install'
            end as conversion_type
        from walked
        inner join steps as step
            on
                walked.app_id = step.app_id
                and walked.device_id = step.device_id
                and walked.install_number + 1 = step.install_number
    ) as stepped
)

select
    step.app_id,
    step.install_id,
    step.device_id,
    step.install_number,
    step.previous_install_at,
    walked.conversion_type,
    counted.install_id as counted_install_id,
    counted.install_at as counted_install_at,
    counted.install_date as counted_install_date,
    told.install_id as told_install_id
from walked
inner join steps as step
    on
        walked.app_id = step.app_id
        and walked.device_id = step.device_id
        and walked.install_number = step.install_number
inner join steps as counted
    on
        walked.app_id = counted.app_id
        and walked.device_id = counted.device_id
        and walked.counted_number = counted.install_number
inner join steps as told
    on
        walked.app_id = told.app_id
        and walked.device_id = told.device_id
        and walked.told_number = told.install_number
