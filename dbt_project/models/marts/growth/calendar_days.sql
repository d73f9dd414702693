-- Built of nothing but its bounds, which every app's dates lie within.
with

days as (
    select cast(day as date) as date
    from generate_series(timestamp '1995-01-01', timestamp '2049-12-31', interval 1 day) as series (day)
)

select
    date,
    cast(isodow(date) as integer) as iso_weekday,
    cast(date_trunc('week', date) as date) as week_start,
    cast(isoyear(date) as integer) as iso_year,
    cast(weekofyear(date) as integer) as iso_week,
    cast(date_trunc('month', date) as date) as month_start,
    cast(date_trunc('quarter', date) as date) as quarter_start
from days
