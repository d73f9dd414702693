{{ config(meta={'plan': 'touch_dates'}, partition_by='event_date') }}

{{ arrival_counts(ref('stg_touchpoints'), 'event_date') }}
