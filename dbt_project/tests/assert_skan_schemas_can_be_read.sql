-- Schemas of an app do not overlap, their rules fit their kind, and a range leaves no value of 0 to 63 unread or read
-- twice.
select schema.schema_id, 'two schemas of the app hold on one date' as problem
from {{ ref('skan_schemas') }} as schema
inner join {{ ref('skan_schemas') }} as other
    on
        schema.app_id = other.app_id
        and schema.schema_id != other.schema_id
        and schema.valid_from < coalesce(other.valid_until, cast('9999-12-31' as date))
        and other.valid_from < coalesce(schema.valid_until, cast('9999-12-31' as date))
union all
select schema_id, 'value_kind is range, bit or hybrid' as problem
from {{ ref('skan_schemas') }}
where value_kind not in ('range', 'bit', 'hybrid') or valid_from >= valid_until
union all
select rule.schema_id, 'the rule fits neither a coarse value nor the bits of its kind of schema' as problem
from {{ ref('skan_schema_rules') }} as rule
left join {{ ref('skan_schemas') }} as schema on rule.schema_id = schema.schema_id
where
    schema.schema_id is null
    or rule.window_number not in (1, 2, 3)
    or rule.coarse_value not in ('low', 'medium', 'high')
    or (rule.coarse_value is not null and coalesce(rule.bit_count, rule.first_bit, rule.value_low) is not null)
    or (
        rule.coarse_value is null
        and (
            rule.first_bit is null
            or rule.bit_count is null
            or rule.value_low is null
            or rule.value_high is null
            or rule.window_number != 1
            or rule.first_bit not between 0 and 5
            or rule.first_bit + rule.bit_count not between 1 and 6
            or rule.value_low > rule.value_high
            or rule.value_low < 0
            or rule.value_high >= power(2, rule.bit_count)
            or (schema.value_kind = 'range' and (rule.first_bit != 0 or rule.bit_count != 6))
            or (schema.value_kind = 'bit' and (rule.bit_count != 1 or rule.value_low != 1))
        )
    )
    or coalesce(rule.revenue_low_usd > rule.revenue_high_usd, false)
    or (rule.revenue_low_usd is null) != (rule.revenue_high_usd is null)
union all
select decoding.schema_id, 'a value of a range has no meaning, or two' as problem
from {{ ref('int_skan_decodings') }} as decoding
inner join {{ ref('skan_schemas') }} as schema on decoding.schema_id = schema.schema_id
where schema.value_kind = 'range' and decoding.value_code not in ('low', 'medium', 'high')
group by decoding.schema_id, decoding.window_number
having count(*) != 64 or count(distinct decoding.value_code) != 64
