{{ config(meta={'plan': 'cost_dates'}, partition_by='cost_date') }}

{% set columns = [
    'app_id', 'record_id', 'platform', 'event_at', 'received_at', 'event_date', 'source', 'payload_hash',
    'properties', 'country', 'time_zone', 'partner', 'channel', 'agency', 'campaign_id', 'campaign_name', 'adset_id',
    'adset_name', 'creative_id', 'creative_name', 'site_id', 'cost_model', 'cost_micros', 'currency', 'cost_date',
    'as_of', 'impressions', 'clicks', 'installs', 'request_id'
] %}

with

statements as (
    {{ first_copies(
        source('bronze', 'bronze_costs'),
        columns,
        {'partner': 'lower(partner)', 'as_of': 'coalesce(as_of, event_at)'},
        'cost_date'
    ) }}
)

-- A partner restates a day; what it said last holds. Statement time, not arrival, decides, so order does not matter.
select
    {{ columns | join(', ') }},
    row_number() over (
        partition by
            app_id, cost_date, partner, platform, country, channel, agency, campaign_id, adset_id, creative_id, site_id
        order by as_of, event_at, payload_hash, record_id
    ) as statement_number,
    count(*) over (
        partition by
            app_id, cost_date, partner, platform, country, channel, agency, campaign_id, adset_id, creative_id, site_id
    ) as statement_count
from statements
