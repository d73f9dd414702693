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
    is_new
from {{ source('ml', 'predictions_metric_alerts') }}
