{#
  One row per (app_id, record_id) of a bronze table. Of several copies the least (event_at, payload_hash, request_id)
  wins, and received_at is the least of all copies. With an incremental plan the known rows of the planned dates are
  copies too. Choosing the least is associative, so neither the order nor the split of deliveries matters.

  Only ids that occur more than once pay for the sort: a first pass over the key columns finds them by a 64-bit hash
  (another id with the same hash is sorted too, which is harmless), all other rows stream through.

  `cleaned` maps a column to the expression that stands for it; it must leave its own results as they are.
#}
{% macro first_copies(bronze, columns, cleaned={}, date_column='event_date') %}
    {%- set key = key_hash(['app_id', 'record_id']) -%}
    {%- set copies = bronze_copies(bronze, columns, cleaned, date_column) -%}
    {%- set repeated -%}
        select {{ key }} as repeated_key
        from ({{ bronze_copies(bronze, ['app_id', 'record_id'], {}, date_column) }}) as keys
        group by 1
        having count(*) > 1
    {%- endset -%}
    select {{ columns | join(', ') }}
    from ({{ copies }}) as copies
    left join ({{ repeated }}) as repeated on {{ key }} = repeated.repeated_key
    where repeated.repeated_key is null
    union all
    select {{ columns | join(', ') }}
    from (
        select
            {% for name in columns -%}
            {{ 'min(received_at) over (partition by app_id, record_id) as received_at' if name == 'received_at' else name }},
            {% endfor -%}
            row_number() over (
                partition by app_id, record_id order by event_at, payload_hash, request_id
            ) as copy_number
        from ({{ copies }}) as copies
        inner join ({{ repeated }}) as repeated on {{ key }} = repeated.repeated_key
    ) as ranked
    where copy_number = 1
{% endmacro %}

{% macro bronze_copies(bronze, columns, cleaned, date_column) %}
    select
        {% for name in columns -%}
        {{ cleaned[name] ~ ' as ' ~ name if name in cleaned else name }}{{ ',' if not loop.last }}
        {% endfor -%}
    from {{ arrivals(bronze) }}
    where {{ planned_dates(date_column) }}
    {%- if is_partial() %}
    union all
    {#- Known rows are cleaned again: a record may have become internal by what another one says of its install. #}
    select
        {% for name in columns -%}
        {{ cleaned[name] ~ ' as ' ~ name if name in cleaned else name }}{{ ',' if not loop.last }}
        {% endfor -%}
    from {{ this }}
    where {{ planned_dates(date_column) }}
    {%- endif %}
{% endmacro %}
