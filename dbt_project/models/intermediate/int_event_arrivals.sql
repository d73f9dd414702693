{{ config(meta={'plan': 'event_dates'}, partition_by='event_date') }}

{{ arrival_counts(ref('stg_app_events'), 'event_date') }}
