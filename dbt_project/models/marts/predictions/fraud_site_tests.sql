select
    app_id,
    period_date,
    partner,
    site_id,
    test,
    n,
    statistic,
    baseline,
    p_value,
    q_value,
    is_suspicious
from {{ source('ml', 'predictions_fraud_sites') }}
