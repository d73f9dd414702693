with

postbacks as (
    select
        postback.*,
        postback.postback_sequence_index + 1 as window_number,
        lower(postback.ad_network_id) as network_id,
        coalesce(postback.partner, network.partner, lower(postback.ad_network_id)) as network_partner,
        -- By Apple's own route the campaign is Apple's number, by any other the sender's name for it.
        coalesce(
            postback.source_identifier, case when postback.signature_state is not null then postback.campaign_id end
        ) as source_code,
        case when postback.signature_state is null then postback.campaign_id end as given_campaign_id,
        case
            when postback.conversion_value is not null then 'fine'
            when postback.coarse_conversion_value is not null then 'coarse'
            else 'null'
        end as value_state,
        coalesce(cast(postback.conversion_value as varchar), postback.coarse_conversion_value) as value_code,
        timer.window_end_hours + timer.delay_min_hours as least_hours,
        timer.window_end_hours + timer.delay_max_hours
        + timer.hours_per_value * coalesce(postback.conversion_value, 63) as most_hours,
        timer.window_end_hours + (timer.delay_min_hours + timer.delay_max_hours) / 2 as usual_hours
    from {{ ref('stg_skan_postbacks') }} as postback
    left join {{ ref('skan_networks') }} as network on lower(postback.ad_network_id) = network.ad_network_id
    left join {{ ref('skan_timers') }} as timer
        on
            postback.skan_version = timer.skan_version
            and postback.postback_sequence_index + 1 = timer.window_number
),

dated as (
    select
        *,
        {{ add_hours('event_at', 'cast(-most_hours as bigint)') }} as install_at_low,
        {{ add_hours('event_at', 'cast(-least_hours as bigint)') }} as install_at_high,
        {{ utc_date(add_hours('event_at', 'cast(-most_hours as bigint)')) }} as install_date_low,
        {{ utc_date(add_hours('event_at', 'cast(-least_hours as bigint)')) }} as install_date_high,
        -- A version without known timers has no bounds; it counts on the day it came.
        coalesce({{ utc_date(add_hours('event_at', 'cast(-usual_hours as bigint)')) }}, event_date) as install_date
    from postbacks
),

-- The longest identifier that fits wins, then the rule of the app, then the one that came into force last. Lower tiers
-- keep the last digits, so an identifier fits by its end.
campaigns as (
    select
        dated.app_id,
        dated.transaction_id,
        dated.postback_sequence_index,
        rule.campaign_id,
        rule.campaign_name,
        rule.source_identifier,
        row_number() over (
            partition by dated.app_id, dated.transaction_id, dated.postback_sequence_index
            order by
                length(rule.source_identifier) desc,
                case when rule.app_id = '*' then 1 else 0 end,
                rule.valid_from desc
        ) as choice
    from dated
    inner join {{ ref('skan_campaigns') }} as rule
        on
            dated.network_id = rule.ad_network_id
            and rule.app_id in (dated.app_id, '*')
            and dated.install_date >= rule.valid_from
            and dated.install_date < coalesce(rule.valid_until, cast('9999-12-31' as date))
            and case
                when dated.source_identifier is null then dated.source_code = rule.source_identifier
                else
                    length(dated.source_code) >= length(rule.source_identifier)
                    and right(dated.source_code, length(rule.source_identifier)) = rule.source_identifier
            end
),

schema_days as (
    select
        day.app_id,
        day.date,
        schema.schema_id,
        row_number() over (
            partition by day.app_id, day.date
            order by case when schema.app_id = '*' then 1 else 0 end, schema.valid_from desc, schema.schema_id
        ) as choice
    from (
        select app_id, install_date as date from dated
        union
        select app_id, install_date_low as date from dated
        union
        select app_id, install_date_high as date from dated
    ) as day
    inner join {{ ref('skan_schemas') }} as schema
        on
            schema.app_id in (day.app_id, '*')
            and day.date >= schema.valid_from
            and day.date < coalesce(schema.valid_until, cast('9999-12-31' as date))
),

schemas as (
    select app_id, date, schema_id from schema_days where choice = 1
),

meanings as (
    select
        schema_id,
        window_number,
        value_code,
        {{ sorted_list('event_name') }} as events,
        count(event_name) as event_count,
        sum(revenue_low_usd) as revenue_low_usd,
        sum(revenue_high_usd) as revenue_high_usd
    from {{ ref('int_skan_decodings') }}
    group by schema_id, window_number, value_code
)

select
    dated.app_id,
    dated.transaction_id,
    dated.postback_sequence_index,
    cast(dated.window_number as integer) as window_number,
    dated.record_id,
    dated.skan_version,
    dated.environment,
    dated.event_at as arrived_at,
    dated.event_date as arrival_date,
    dated.install_at_low,
    dated.install_at_high,
    dated.install_date_low,
    dated.install_date_high,
    dated.install_date,
    dated.network_partner as partner,
    dated.ad_network_id,
    coalesce(campaigns.campaign_id, dated.given_campaign_id, '') as campaign_id,
    campaigns.campaign_name,
    case
        when campaigns.campaign_id is not null and dated.source_identifier is null then 'campaign_number'
        when campaigns.campaign_id is not null
            then concat('source_identifier_', cast(length(campaigns.source_identifier) as varchar))
        when dated.given_campaign_id is not null then 'sender'
        else 'none'
    end as campaign_match,
    dated.source_identifier,
    dated.source_app_id,
    dated.source_domain,
    dated.country,
    dated.fidelity_type,
    coalesce(
        dated.conversion_type, case when dated.is_redownload then 'redownload' else 'download' end
    ) as conversion_type,
    coalesce(dated.did_win, true) as is_winner,
    coalesce(dated.signature_state, 'unchecked') as signature_state,
    dated.environment = 'production' and coalesce(dated.signature_state, 'valid') = 'valid' as is_counted,
    case
        when dated.environment != 'production' then 'sandbox'
        when dated.signature_state = 'invalid' then 'signature_invalid'
        when dated.signature_state = 'unverifiable' then 'signature_unverifiable'
    end as exclusion_reason,
    dated.conversion_value,
    dated.coarse_conversion_value,
    dated.value_state,
    schemas.schema_id,
    coalesce(
        schemas.schema_id is distinct from first_schema.schema_id
        or schemas.schema_id is distinct from last_schema.schema_id,
        false
    ) as is_schema_ambiguous,
    meanings.value_code is not null as is_decoded,
    meanings.events,
    meanings.event_count,
    cast(meanings.revenue_low_usd as decimal(18, 6)) as revenue_low_usd,
    cast((meanings.revenue_low_usd + meanings.revenue_high_usd) * cast(0.5 as decimal(2, 1)) as decimal(18, 6))
        as revenue_mid_usd,
    cast(meanings.revenue_high_usd as decimal(18, 6)) as revenue_high_usd
from dated
left join campaigns
    on
        dated.app_id = campaigns.app_id
        and dated.transaction_id = campaigns.transaction_id
        and dated.postback_sequence_index = campaigns.postback_sequence_index
        and campaigns.choice = 1
left join schemas on dated.app_id = schemas.app_id and dated.install_date = schemas.date
left join schemas as first_schema
    on dated.app_id = first_schema.app_id and coalesce(dated.install_date_low, dated.install_date) = first_schema.date
left join schemas as last_schema
    on dated.app_id = last_schema.app_id and coalesce(dated.install_date_high, dated.install_date) = last_schema.date
left join meanings
    on
        schemas.schema_id = meanings.schema_id
        and dated.window_number = meanings.window_number
        and dated.value_code = meanings.value_code
