-- Every value a postback can carry, read by every schema. A rule looks at `bit_count` bits of the fine value, from
-- `first_bit` on, as a number: six bits are a range, one bit is a flag.
with

windows as (
    select distinct schema_id, window_number from {{ ref('skan_schema_rules') }} where coarse_value is null
),

numbers as (
    {{ day_numbers(63) }}
),

fine_values as (
    select schema.schema_id, windows.window_number, schema.value_kind, numbers.day_n as value
    from {{ ref('skan_schemas') }} as schema
    inner join windows on schema.schema_id = windows.schema_id
    cross join numbers
),

fine as (
    select
        fine_values.schema_id,
        fine_values.window_number,
        cast(fine_values.value as varchar) as value_code,
        rule.event_name,
        rule.revenue_low_usd,
        rule.revenue_high_usd
    from fine_values
    left join {{ ref('skan_schema_rules') }} as rule
        on
            fine_values.schema_id = rule.schema_id
            and fine_values.window_number = rule.window_number
            and rule.coarse_value is null
            and mod(
                cast(floor(fine_values.value / power(2, rule.first_bit)) as integer),
                cast(power(2, rule.bit_count) as integer)
            ) between rule.value_low and rule.value_high
    -- No flag set means that nothing happened; a number outside every range means nothing that is known.
    where rule.schema_id is not null or fine_values.value_kind != 'range'
),

coarse as (
    select schema_id, window_number, coarse_value, event_name, revenue_low_usd, revenue_high_usd
    from {{ ref('skan_schema_rules') }}
    where coarse_value is not null
)

select
    schema_id,
    window_number,
    value_code,
    event_name,
    cast(coalesce(revenue_low_usd, 0) as decimal(18, 6)) as revenue_low_usd,
    cast(coalesce(revenue_high_usd, 0) as decimal(18, 6)) as revenue_high_usd
from fine
union all
select
    schema_id,
    window_number,
    coarse_value as value_code,
    event_name,
    cast(coalesce(revenue_low_usd, 0) as decimal(18, 6)) as revenue_low_usd,
    cast(coalesce(revenue_high_usd, 0) as decimal(18, 6)) as revenue_high_usd
from coarse
