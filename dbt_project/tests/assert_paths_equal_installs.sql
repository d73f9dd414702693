-- Paths that ended with an install are the primary installs of each date that fraud rules let count, organic ones with
-- an empty path.
with

paths as (
    select
        app_id,
        path_date,
        sum(path_count) as installs,
        sum(case when path = '[]' then 0 else path_count end) as touched
    from {{ ref('int_channel_paths') }}
    where is_converted
    group by app_id, path_date
),

installs as (
    select
        app_id,
        install_date,
        count(*) as installs,
        sum(case when is_organic then 0 else 1 end) as attributed
    from {{ ref('attributed_installs') }}
    where is_primary and not is_blocked
    group by app_id, install_date
)

select
    coalesce(paths.app_id, installs.app_id) as app_id,
    coalesce(paths.path_date, installs.install_date) as path_date,
    paths.installs as path_installs,
    installs.installs
from paths
full outer join installs on paths.app_id = installs.app_id and paths.path_date = installs.install_date
where
    coalesce(paths.installs, 0) != coalesce(installs.installs, 0)
    or coalesce(paths.touched, 0) > coalesce(installs.attributed, 0)
