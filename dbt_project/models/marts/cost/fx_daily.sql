select
    days.date,
    rate.currency,
    rate.usd_per_unit,
    rate.provider,
    rate.version,
    rate.valid_from as rate_date
from (select distinct date from {{ ref('campaign_daily') }}) as days
inner join {{ ref('int_fx_rates') }} as rate on days.date >= rate.valid_from and days.date < rate.valid_until
