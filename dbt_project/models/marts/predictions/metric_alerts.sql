select
    app_id,
    date,
    level,
    platform,
    partner,
    campaign_id,
    metric,
    observed,
    expected,
    clicks,
    score,
    since,
    is_new
from {{ source('ml', 'predictions_metric_alerts') }}
