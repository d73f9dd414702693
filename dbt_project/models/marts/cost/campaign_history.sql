-- One row per app_id, partner, campaign_id and valid_from. Built whole: it reads a row per campaign, day and ad set and
-- the cost statements in force, never touches themselves.
with

told as (
    select
        app_id, event_date as date, last_at as told_at, 'touch' as evidence, partner, campaign_id, campaign_name,
        channel, cast(null as varchar) as status
    from {{ ref('int_campaign_evidence') }}
    union all
    -- A cost report speaks of a whole day, so what touches of that day say is later.
    select
        cost.app_id, cost.cost_date as date, {{ start_of_day('cost.cost_date') }} as told_at, 'cost' as evidence,
        spend.partner, spend.campaign_id, cost.campaign_name, cost.channel,
        lower({{ json_text('cost.properties', 'campaign_status') }}) as status
    from {{ ref('stg_costs') }} as cost
    inner join {{ ref('int_campaign_costs') }} as spend
        on cost.app_id = spend.app_id and cost.record_id = spend.record_id
    where spend.campaign_id != ''
),

numbered as (
    select
        *,
        row_number() over (
            partition by app_id, partner, campaign_id
            order by told_at, evidence, campaign_name nulls first, channel nulls first, status nulls first
        ) as place,
        row_number() over (
            partition by app_id, partner, campaign_id, date
            order by
                told_at desc, evidence desc, campaign_name desc nulls last, channel desc nulls last,
                status desc nulls last
        ) as place_from_end
    from told
),

-- What is not said again goes on to hold.
known as (
    select
        app_id,
        partner,
        campaign_id,
        date,
        evidence,
        place_from_end,
        last_value(campaign_name ignore nulls) over so_far as campaign_name,
        last_value(channel ignore nulls) over so_far as channel,
        last_value(status ignore nulls) over so_far as status
    from numbered
    window
        so_far as (
            partition by app_id, partner, campaign_id
            order by place rows between unbounded preceding and current row
        )
),

days as (
    select
        *,
        lag(date) over by_date as previous_date,
        lag(campaign_name) over by_date as previous_name,
        lag(channel) over by_date as previous_channel,
        lag(status) over by_date as previous_status
    from known
    where place_from_end = 1
    window by_date as (partition by app_id, partner, campaign_id order by date)
),

periods as (
    select
        *,
        lead(date) over (partition by app_id, partner, campaign_id order by date) as valid_until
    from days
    where
        previous_date is null
        or coalesce(previous_name, '') != coalesce(campaign_name, '')
        or coalesce(previous_channel, '') != coalesce(channel, '')
        or coalesce(previous_status, '') != coalesce(status, '')
),

mediums as (
    select distinct app_id, partner, coalesce(lower(channel), '') as medium from periods
),

channels as (
    select
        mediums.app_id,
        mediums.partner,
        mediums.medium,
        rule.channel_code,
        row_number() over (
            partition by mediums.app_id, mediums.partner, mediums.medium
            order by case when rule.app_id = '*' then 1 else 0 end, rule.priority
        ) as choice
    from mediums
    inner join {{ ref('rule_channels') }} as rule
        on
            rule.app_id in (mediums.app_id, '*')
            and mediums.partner like rule.partner_pattern
            and mediums.medium like rule.medium_pattern
)

select
    period.app_id,
    period.partner,
    period.campaign_id,
    period.date as valid_from,
    period.valid_until,
    period.valid_until is null as is_current,
    period.campaign_name,
    {{ clean_name('period.campaign_name', 'period.partner') }} as clean_name,
    period.channel as medium,
    coalesce(channels.channel_code, 'unknown') as channel_code,
    period.status,
    period.evidence
from periods as period
left join channels
    on
        period.app_id = channels.app_id
        and period.partner = channels.partner
        and coalesce(lower(period.channel), '') = channels.medium
        and channels.choice = 1
