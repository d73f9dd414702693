-- Days are over when the app's data say so, never because a clock on the wall does. A record from the future counts
-- from the moment it was received.
select
    app_id,
    max(lived_until) as watermark_at,
    {{ utc_date('max(lived_until)') }} as watermark_date
from {{ ref('int_event_arrivals') }}
-- What a vendor says has happened does not make the app's own data more complete.
where environment != 'claims'
group by app_id
