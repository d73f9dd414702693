{# How late records come in: what the models of arrivals and the ledger of finality share. #}

{#
  Records of `relation` by whole hours from the start of their day to the receipt (lag_h) and whole minutes since they
  happened (late_min): a few rows a day, however many records. A record from the future was not late. `late_s` tells the
  seconds since it happened; lived_until is how far the records reach, one from the future only to its receipt.
#}
{% macro arrival_counts(relation, day, environment="coalesce(environment, 'production')", late_s=none) -%}
    {%- set epoch = "cast('1970-01-01 00:00:00+00:00' as timestamp with time zone)" -%}
    {%- set day_s = '86400 * ' ~ days_between("cast('1970-01-01' as date)", day) -%}
    select
        app_id,
        {{ day }},
        environment,
        cast(floor(greatest(lag_s, 0) / 3600.0) as bigint) as lag_h,
        cast(floor(greatest(late_s, 0) / 60.0) as bigint) as late_min,
        count(*) as records,
        cast(sum(case when late_s > 86400 then 1 else 0 end) as bigint) as late_records,
        max(received_at) as received_until,
        max(least(event_at, received_at)) as lived_until
    from (
        select
            app_id,
            {{ day }},
            {{ environment }} as environment,
            event_at,
            received_at,
            {{ seconds_between(epoch, 'received_at') }} - {{ day_s }} as lag_s,
            {{ late_s or seconds_between('event_at', 'received_at') }} as late_s
        from {{ relation }}
        where {{ planned_dates(day) }}
    ) as record
    group by 1, 2, 3, 4, 5
{%- endmacro %}
