-- One row per app, date, platform, partner, campaign, measure and recording: what a number was from when on, and why.
select
    app_id,
    date,
    platform,
    partner,
    campaign_id,
    measure,
    recording,
    recorded_at,
    run_id,
    cast(
        row_number() over (partition by app_id, date, platform, partner, campaign_id, measure order by recording)
        as bigint
    ) as statement_number,
    old_value is not null as is_restated,
    old_value,
    new_value,
    cast(new_value - old_value as decimal(18, 6)) as change_value,
    causes,
    reason
from {{ source('ml', 'measure_changes') }}
