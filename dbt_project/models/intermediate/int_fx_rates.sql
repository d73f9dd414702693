-- Imported rates by day, and below them the levels shipped with the platform. Of several versions of a day the last
-- wins. A rate holds until the next day that has one, so weekends have Friday's.
with

versions as (
    select
        currency,
        rate_date as valid_from,
        usd_per_unit,
        provider,
        version,
        row_number() over (
            partition by currency, rate_date order by version desc, provider, usd_per_unit desc
        ) as recency
    from (
        select currency, rate_date, usd_per_unit, provider, version from {{ source('bronze', 'bronze_fx_rates') }}
        union all
        select currency, valid_from as rate_date, usd_per_unit, 'shipped' as provider, 0 as version
        from {{ ref('fx_rates') }}
    ) as known
)

select
    currency,
    valid_from,
    lead(valid_from, 1, cast('9999-12-31' as date)) over (partition by currency order by valid_from) as valid_until,
    usd_per_unit,
    provider,
    version
from versions
where recency = 1
