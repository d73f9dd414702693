-- Days are over when the app's data say so, never because a clock on the wall does. A record from the future counts
-- from the moment it was received.
select
    app_id,
    max(least(event_at, received_at)) as watermark_at,
    {{ utc_date('max(least(event_at, received_at))') }} as watermark_date
from {{ ref('stg_app_events') }}
-- What a vendor says has happened does not make the app's own data more complete.
where coalesce(environment, 'production') != 'claims'
group by app_id
