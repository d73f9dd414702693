with

facts as (
    select *, is_counted and is_winner and window_number = 1 as is_first from {{ ref('skan_postback_facts') }}
),

days as (
    select
        app_id,
        install_date as date,
        partner,
        campaign_id,
        window_number,
        coalesce(schema_id, '') as schema_id,
        count(*) as postbacks,
        sum(case when is_counted and is_winner then 1 else 0 end) as winning_postbacks,
        sum(case when is_counted and not is_winner then 1 else 0 end) as lost_postbacks,
        sum(case when exclusion_reason = 'signature_invalid' then 1 else 0 end) as invalid_postbacks,
        sum(case when exclusion_reason = 'signature_unverifiable' then 1 else 0 end) as unverifiable_postbacks,
        sum(case when exclusion_reason = 'sandbox' then 1 else 0 end) as sandbox_postbacks,
        sum(case when is_first and conversion_type = 'download' then 1 else 0 end) as installs,
        sum(case when is_first and conversion_type = 'redownload' then 1 else 0 end) as redownloads,
        sum(case when is_first and conversion_type = 're-engagement' then 1 else 0 end) as reengagements,
        sum(case when is_counted and is_winner and value_state = 'fine' then 1 else 0 end) as fine_value_postbacks,
        sum(case when is_counted and is_winner and value_state = 'coarse' then 1 else 0 end) as coarse_value_postbacks,
        sum(case when is_counted and is_winner and value_state = 'null' then 1 else 0 end) as null_value_postbacks,
        sum(case when is_counted and is_winner and is_schema_ambiguous then 1 else 0 end) as ambiguous_postbacks,
        sum(case when is_counted and is_winner and is_decoded then 1 else 0 end) as observed_postbacks,
        sum(case when is_counted and is_winner and is_decoded then event_count else 0 end) as event_count,
        sum(case when is_counted and is_winner and is_decoded then revenue_low_usd else 0 end) as revenue_low_usd,
        sum(case when is_counted and is_winner and is_decoded then revenue_mid_usd else 0 end) as revenue_mid_usd,
        sum(case when is_counted and is_winner and is_decoded then revenue_high_usd else 0 end) as revenue_high_usd
    from facts
    group by app_id, install_date, partner, campaign_id, window_number, coalesce(schema_id, '')
),

-- What the postbacks with a value were like in the days up to that of those without.
pools as (
    select
        day.app_id,
        day.date,
        day.partner,
        day.campaign_id,
        day.window_number,
        day.schema_id,
        sum(pool.observed_postbacks) as pool_postbacks,
        sum(pool.event_count) as event_count,
        sum(pool.revenue_low_usd) as revenue_low_usd,
        sum(pool.revenue_mid_usd) as revenue_mid_usd,
        sum(pool.revenue_high_usd) as revenue_high_usd
    from days as day
    inner join days as pool
        on
            day.app_id = pool.app_id
            and day.partner = pool.partner
            and day.campaign_id = pool.campaign_id
            and day.window_number = pool.window_number
            and day.schema_id = pool.schema_id
    where
        day.null_value_postbacks > 0
        and {{ days_between('pool.date', 'day.date') }} between 0 and {{ var('skan_model_days') }} - 1
    group by day.app_id, day.date, day.partner, day.campaign_id, day.window_number, day.schema_id
    having sum(pool.observed_postbacks) >= {{ var('skan_model_min_postbacks') }}
),

-- One division of exact sums, rounded to the micro.
modelled as (
    select
        day.*,
        case when pool.app_id is not null then day.null_value_postbacks else 0 end as modelled_postbacks,
        cast(
            round(cast(pool.event_count as double) * day.null_value_postbacks / pool.pool_postbacks, 6)
            as decimal(18, 6)
        ) as modelled_event_count,
        cast(
            round(cast(pool.revenue_low_usd as double) * day.null_value_postbacks / pool.pool_postbacks, 6)
            as decimal(18, 6)
        ) as modelled_revenue_low_usd,
        cast(
            round(cast(pool.revenue_mid_usd as double) * day.null_value_postbacks / pool.pool_postbacks, 6)
            as decimal(18, 6)
        ) as modelled_revenue_mid_usd,
        cast(
            round(cast(pool.revenue_high_usd as double) * day.null_value_postbacks / pool.pool_postbacks, 6)
            as decimal(18, 6)
        ) as modelled_revenue_high_usd
    from days as day
    left join pools as pool
        on
            day.app_id = pool.app_id
            and day.date = pool.date
            and day.partner = pool.partner
            and day.campaign_id = pool.campaign_id
            and day.window_number = pool.window_number
            and day.schema_id = pool.schema_id
)

select
    app_id,
    date,
    partner,
    campaign_id,
    window_number,
    cast(sum(postbacks) as bigint) as postbacks,
    cast(sum(winning_postbacks) as bigint) as winning_postbacks,
    cast(sum(lost_postbacks) as bigint) as lost_postbacks,
    cast(sum(invalid_postbacks) as bigint) as invalid_postbacks,
    cast(sum(unverifiable_postbacks) as bigint) as unverifiable_postbacks,
    cast(sum(sandbox_postbacks) as bigint) as sandbox_postbacks,
    cast(sum(installs) as bigint) as installs,
    cast(sum(redownloads) as bigint) as redownloads,
    cast(sum(reengagements) as bigint) as reengagements,
    cast(sum(fine_value_postbacks) as bigint) as fine_value_postbacks,
    cast(sum(coarse_value_postbacks) as bigint) as coarse_value_postbacks,
    cast(sum(null_value_postbacks) as bigint) as null_value_postbacks,
    cast(sum(ambiguous_postbacks) as bigint) as ambiguous_postbacks,
    cast(sum(observed_postbacks) as bigint) as observed_postbacks,
    cast(sum(modelled_postbacks) as bigint) as modelled_postbacks,
    cast(sum(event_count) as bigint) as observed_event_count,
    cast(sum(revenue_low_usd) as decimal(18, 6)) as observed_revenue_low_usd,
    cast(sum(revenue_mid_usd) as decimal(18, 6)) as observed_revenue_mid_usd,
    cast(sum(revenue_high_usd) as decimal(18, 6)) as observed_revenue_high_usd,
    cast(coalesce(sum(modelled_event_count), 0) as decimal(18, 6)) as modelled_event_count,
    cast(coalesce(sum(modelled_revenue_low_usd), 0) as decimal(18, 6)) as modelled_revenue_low_usd,
    cast(coalesce(sum(modelled_revenue_mid_usd), 0) as decimal(18, 6)) as modelled_revenue_mid_usd,
    cast(coalesce(sum(modelled_revenue_high_usd), 0) as decimal(18, 6)) as modelled_revenue_high_usd
from modelled
group by app_id, date, partner, campaign_id, window_number
