"""A small lake that is right in every respect, as plain DuckDB tables; tests break it on purpose."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from lakehouse.contract import bronze_schemas
from lakehouse.engine import select_files

# Three iOS installs of app a (one organic, two from a click), one Android install of app b from an impression.
_TOUCHES = """
    select * from (values
        ('a', 't1', 'click', 'ios', 'net', 'c1', timestamptz '2026-01-01 10:00:00+00'),
        ('a', 't2', 'click', 'ios', 'net', 'c1', timestamptz '2026-01-01 11:00:00+00'),
        ('a', 't3', 'impression', 'ios', 'net', 'c2', timestamptz '2026-01-01 11:30:00+00'),
        ('b', 't1', 'impression', 'android', 'net', 'c9', timestamptz '2026-01-02 08:00:00+00')
    ) as t(app_id, record_id, record_type, platform, partner, campaign_id, event_at)
"""
_EVENTS = """
    select * from (values
        ('a', 'r1', 'install', 'ios', 'i1', null, null, null, timestamptz '2026-01-01 12:00:00+00'),
        ('a', 'r2', 'install', 'ios', 'i2', null, null, null, timestamptz '2026-01-01 13:00:00+00'),
        ('a', 'r3', 'install', 'ios', 'i3', null, null, null, timestamptz '2026-01-02 09:00:00+00'),
        ('b', 'r1', 'install', 'android', 'i1', null, null, null, timestamptz '2026-01-02 09:00:00+00'),
        ('a', 'r4', 'event', 'ios', 'i1', 'purchase', 4990000, 'USD', timestamptz '2026-01-01 15:00:00+00'),
        ('a', 'r5', 'ad_revenue', 'ios', 'i3', null, 12000, 'USD', timestamptz '2026-01-02 10:00:00+00'),
        ('b', 'r2', 'event', 'android', 'i1', 'purchase', 2000000, 'EUR', timestamptz '2026-01-03 10:00:00+00')
    ) as t(app_id, record_id, record_type, platform, install_id, event_name, revenue_micros, currency, event_at)
"""
_ENVELOPE = """
    'production' as environment, 'sdk' as source, md5(record_id) as payload_hash, false as is_event_at_missing,
    event_at::date as event_date, event_at + interval 1 minute as received_at,
    (event_at + interval 1 minute)::date as ingest_date
"""
_BRONZE = (
    f"insert into bronze.bronze_touchpoints by name select *, {_ENVELOPE} from ({_TOUCHES})",
    f"insert into bronze.bronze_app_events by name select *, {_ENVELOPE} from ({_EVENTS})",
    # A copy of one record, as a retry brings it
    "insert into bronze.bronze_app_events select * from bronze.bronze_app_events where record_id = 'r4'",
    f"""insert into bronze.bronze_costs by name select *, {_ENVELOPE} from (
        select 'a' as app_id, record_id, 'cost' as record_type, 'ios' as platform, 'net' as partner,
               'c1' as campaign_id, cost_micros, 'USD' as currency, date '2026-01-01' as cost_date, event_at
        from (values ('k1', 2900000, timestamptz '2026-01-02 03:00:00+00'),
                     ('k2', 3000000, timestamptz '2026-01-02 09:00:00+00')) as t(record_id, cost_micros, event_at))""",
    """insert into bronze.bronze_rejects by name
        select 'a' as app_id, timestamptz '2026-01-01 12:00:00+00' as received_at, date '2026-01-01' as ingest_date,
               'q1' as request_id, '/v1/events' as route, 3 as position, 'bad_json' as reason_code,
               'line 3 is not JSON' as message, 'x'::blob as raw, 1 as raw_length""",
    """insert into bronze.bronze_receipts by name
        select app_id, ingest_date, '/v1/events' as route, 'w' as writer, 1 as batch, 1 as requests,
               accepted + rejected as received, accepted, rejected, 100 as bytes
        from (values ('a', date '2026-01-01', 7, 1), ('a', date '2026-01-02', 4, 0), ('b', date '2026-01-02', 2, 0),
                     ('b', date '2026-01-03', 1, 0)) as t(app_id, ingest_date, accepted, rejected)""",
)
_SILVER = (
    *(
        f"create table silver.stg_{name} as select distinct on (app_id, record_id) * from bronze.bronze_{name}"
        for name in ("touchpoints", "app_events", "consents", "skan_postbacks")
    ),
    """create table silver.int_fx_rates as
        select * from (values ('USD', date '1970-01-01', date '9999-12-31', 1.0::decimal(13, 9)),
                              ('EUR', date '1970-01-01', date '9999-12-31', 1.1::decimal(13, 9)))
            as t(currency, valid_from, valid_until, usd_per_unit)""",
    # The statement of 3:00 is restated at 9:00
    """create table silver.stg_costs as
        select * exclude (environment), 2::bigint as statement_count from bronze.bronze_costs where record_id = 'k2'""",
    """create table silver.int_installs as
        select app_id, install_id, event_at as install_at, event_date as install_date, false as is_implied, platform
        from silver.stg_app_events where record_type = 'install'""",
    """create table silver.int_conversions as
        select app_id, install_id, 'conv-' || install_id as conversion_id, 'install' as conversion_type,
               true as is_counted, install_id as counted_install_id from silver.int_installs""",
    """create table silver.int_revenue_events as
        select app_id, record_id, install_id, event_at, event_date, revenue_micros as amount_micros, currency,
               (revenue_micros / 1000000 * case currency when 'EUR' then 1.1 else 1 end)::decimal(18, 6) as revenue_usd
        from silver.stg_app_events where revenue_micros is not null""",
)
_RULES = (
    """create table rules.rule_match_methods as
        select unnest(['referrer', 'click_id', 'ad_id', 'vendor_id']) as match_method""",
    """create table rules.rule_reason_codes as
        select * from (values ('won', 'candidate'), ('lost_to_later_touch', 'candidate'), ('attributed', 'decision'),
                              ('organic_no_candidate', 'decision'),
                              ('fraud_rejected', 'candidate')) as t(reason_code, applies_to)""",
    """create table rules.rule_fraud_rules as
        select * from (values ('in_force', 'active'), ('tried', 'dry_run')) as t(rule_id, status)""",
    "create table rules.rule_fraud_flags as select 'geo_mismatch' as flag_code",
    """create table rules.rule_multi_touch_models as
        select '*' as app_id, unnest(['first', 'linear']) as model, date '1970-01-01' as valid_from,
               null::date as valid_until""",
    "create table rules.rule_risk_bands as select unnest(['low', 'medium', 'high']) as risk_band",
)
_GOLD = (
    """create table gold.attribution_candidates as
        select *, 'conv-' || install_id as conversion_id, install_at::date as install_date,
               install_at::date as conversion_date, 'install' as conversion_type, 'click_id' as match_method,
               extract(epoch from install_at - touch_at)::bigint as elapsed_s, 604800 as window_s,
               true as is_eligible, candidate_rank = 1 as is_winner,
               case when candidate_rank > 1 then 'lost_to_later_touch' else 'won' end as reason_code,
               'rules-1' as ruleset_id, null::varchar as fraud_rule_id
        from (values
            ('a', 'i1', 't2', 'click', 'net', 'c1', timestamptz '2026-01-01 11:00:00+00',
             timestamptz '2026-01-01 12:00:00+00', 1),
            ('a', 'i1', 't1', 'click', 'net', 'c1', timestamptz '2026-01-01 10:00:00+00',
             timestamptz '2026-01-01 12:00:00+00', 2),
            ('a', 'i2', 't3', 'impression', 'net', 'c2', timestamptz '2026-01-01 11:30:00+00',
             timestamptz '2026-01-01 13:00:00+00', 1),
            ('b', 'i1', 't1', 'impression', 'net', 'c9', timestamptz '2026-01-02 08:00:00+00',
             timestamptz '2026-01-02 09:00:00+00', 1)
        ) as t(app_id, install_id, touch_id, touch_type, partner, campaign_id, touch_at, install_at, candidate_rank)""",
    """create table gold.attributed_installs as
        select i.app_id, i.platform, i.install_id, 'conv-' || i.install_id as conversion_id, i.install_at,
               i.install_date, 'DE' as country, false as is_implied, c.touch_id is null as is_organic,
               false as is_blocked,
               coalesce(c.partner, 'organic') as partner, coalesce(c.campaign_id, '') as campaign_id, c.touch_id,
               c.touch_type, c.touch_at, c.match_method, c.elapsed_s as click_to_install_s,
               case when c.touch_id is null then 'organic_no_candidate' else 'attributed' end as reason_code,
               coalesce(n.candidates, 0) as candidate_count, coalesce(n.candidates, 0) as eligible_count,
               'rules-1' as ruleset_id, true as is_primary
        from silver.int_installs as i
        left join gold.attribution_candidates as c
            on i.app_id = c.app_id and i.install_id = c.install_id and c.is_winner
        left join (select app_id, install_id, count(*) as candidates from gold.attribution_candidates group by all) as n
            on i.app_id = n.app_id and i.install_id = n.install_id""",
    """create table gold.multi_touch_credit as
        select app_id, model, install_date as conversion_date, partner, campaign_id,
               count(*)::decimal(18, 9) as credited_conversions, 1::decimal(18, 6) as credited_revenue_d7_usd,
               null::decimal(18, 6) as credited_revenue_d30_usd
        from gold.attributed_installs cross join (values ('first'), ('linear')) as models(model) group by all""",
    """create table gold.channel_credit as
        select app_id, date '2026-01-01' as month, level, model, partner,
               case when level = 'campaign' then campaign_id else '' end as campaign_id,
               count(*)::decimal(18, 9) as credited_conversions, 0.5::double as share, 0.5::double as removal_effect,
               0.1::double as shapley_value, null::double as standard_error, 0.4::double as conversion_rate
        from gold.attributed_installs cross join (values ('partner'), ('campaign')) as levels(level)
        cross join (values ('markov_1'), ('shapley')) as models(model) group by all""",
    """create table gold.attribution_decisions as
        select app_id, conversion_id, install_id, install_date, install_date as conversion_date, touch_id, is_organic,
               is_blocked, reason_code, true as is_primary, null::varchar as fraud_rule_id
        from gold.attributed_installs""",
    """create table gold.attributed_events as
        select r.app_id, r.record_id, i.conversion_id, true as is_primary, 'event' as record_type, r.event_at,
               r.event_date, r.install_id, i.partner, nullif(i.campaign_id, '') as campaign_id, i.is_organic,
               r.amount_micros, r.currency, r.revenue_usd
        from silver.int_revenue_events as r inner join gold.attributed_installs as i using (app_id, install_id)""",
    """create table gold.campaign_daily as
        select app_id, date, platform, partner, campaign_id, sum(impressions)::bigint as impressions,
               sum(clicks)::bigint as clicks, sum(installs)::bigint as installs, sum(cost_usd) as cost_usd,
               sum(d0) as revenue_d0_usd, sum(d7) as revenue_d7_usd, null::decimal(18, 6) as revenue_d30_usd,
               true as is_mature_d0, true as is_mature_d7, false as is_mature_d30,
               case when partner <> 'organic' then revenue_d7_usd end as roas_d7_revenue_usd,
               case when partner <> 'organic' then sum(cost_usd) end as roas_d7_cost_usd
        from (
            select app_id, event_date as date, platform, partner, campaign_id,
                   (record_type = 'impression')::int as impressions, (record_type = 'click')::int as clicks,
                   0 as installs, 0::decimal(18, 6) as cost_usd, 0::decimal(18, 6) as d0, 0::decimal(18, 6) as d7
            from silver.stg_touchpoints
            union all
            select app_id, install_date, platform, partner, campaign_id, 0, 0, 1, 0, 0, 0 from gold.attributed_installs
            union all
            select app_id, cost_date, platform, partner, campaign_id, 0, 0, 0, (cost_micros / 1000000)::decimal(18, 6),
                   0, 0
            from silver.stg_costs
            union all
            select r.app_id, i.install_date, i.platform, i.partner, i.campaign_id, 0, 0, 0, 0,
                   case when r.event_date = i.install_date then r.revenue_usd else 0 end, r.revenue_usd
            from silver.int_revenue_events as r inner join gold.attributed_installs as i using (app_id, install_id)
        ) group by app_id, date, platform, partner, campaign_id""",
    """create table gold.cohort_retention as
        select app_id, install_date, platform, partner, campaign_id, day_clock, day_n,
               count(*) as cohort_installs, case when day_n < 9 then count(*) else 0 end as mature_installs,
               case when day_n = 0 then count(*) when day_n < 9 then 0 end as retained_installs
        from gold.attributed_installs cross join range(31) as days(day_n)
        cross join (values ('calendar'), ('elapsed_24h')) as clocks(day_clock) group by 1, 2, 3, 4, 5, 6, 7""",
    """create table gold.retention_curves as
        select app_id, 'install' as cohort_kind, install_date as cohort_date, 'campaign' as dimension, platform,
               partner, campaign_id, '' as country, 'day' as unit, day_clock, day_n as period_n,
               cohort_installs as cohort_users, mature_installs as mature_users, retained_installs as active_users,
               retained_installs as rolling_users, case when day_n > 0 then retained_installs end as cumulative_users
        from gold.cohort_retention""",
    """create table gold.activity_daily as
        select app_id, platform, install_date as date, true as is_complete, count(*) as active_users,
               count(*) as weekly_users, count(*) as monthly_users, count(*) as new_users, 0 as retained_users,
               0 as resurrected_users
        from gold.attributed_installs group by 1, 2, 3""",
    # All revenue falls on day 0 or 1 of its install, on both clocks.
    """create table gold.cohort_revenue as
        select i.app_id, i.install_date, i.platform, i.partner, i.campaign_id, day_clock, day_n,
               count(distinct i.install_id) as cohort_installs,
               case when day_n < 9 then count(distinct i.install_id) else 0 end as mature_installs,
               case when day_n < 9 then coalesce(sum(r.revenue_usd), 0)::decimal(18, 6) end as cumulative_revenue_usd,
               case when day_n < 9 then count(distinct r.install_id) end as paying_installs
        from gold.attributed_installs as i cross join range(31) as days(day_n)
        cross join (values ('calendar'), ('elapsed_24h')) as clocks(day_clock)
        left join silver.int_revenue_events as r
            on i.app_id = r.app_id and i.install_id = r.install_id and r.event_date <= i.install_date + day_n::int
        group by 1, 2, 3, 4, 5, 6, 7""",
    """create table gold.revenue_daily as
        select i.app_id, i.install_date as date, i.platform, i.partner, i.campaign_id, 'USD' as reporting_currency,
               count(*) as active_installs, 0 as paying_installs, 0 as purchases, 0 as renewals, 1 as refund_count,
               0 as linked_refund_count, 0 as amounts_without_rate, 3.0::decimal(18, 6) as purchase_revenue,
               1.0::decimal(18, 6) as subscription_revenue, -1.0::decimal(18, 6) as refunds,
               -0.9::decimal(18, 6) as store_fees, 0.5::decimal(18, 6) as ad_revenue,
               0.4::decimal(18, 6) as allocated_ad_revenue, 3.0::decimal(18, 6) as net_revenue
        from gold.attributed_installs as i group by all""",
    """create table gold.ingestion_daily as
        select app_id, ingest_date, sum(received)::bigint as received, sum(accepted)::bigint as accepted,
               sum(rejected)::bigint as rejected,
               (app_id = 'a' and ingest_date = date '2026-01-01')::bigint as duplicates,
               sum(accepted)::bigint as landed, sum(rejected)::bigint as rejects_kept
        from bronze.bronze_receipts group by all""",
    """create table gold.predicted_ltv_by_campaign as
        select app_id, install_date, platform, partner, campaign_id, 30 as horizon_days, count(*) as scored_installs,
               1.5::double as predicted_ltv_usd, 0::double as predicted_ltv_low_usd, 9::double as predicted_ltv_high_usd
        from gold.attributed_installs group by all""",
    """create table gold.churn_risk as
        select app_id, install_id, install_date,
               timestamptz '2026-01-20 00:00:00+00' as as_of, 0.4::double as churn_probability,
               'medium' as risk_band from gold.attributed_installs""",
    # One more candidate, rejected by a rule
    """insert into gold.attribution_candidates by name
        select * replace ('t9' as touch_id, false as is_eligible, false as is_winner, null as candidate_rank,
                          'fraud_rejected' as reason_code, 'in_force' as fraud_rule_id)
        from gold.attribution_candidates where touch_id = 't3'""",
    """create table gold.fraud_daily as
        select app_id, install_date as date, partner, campaign_id, '' as site_id, fraud_rule_id as rule_id,
               1::bigint as rejected_candidates, 1::bigint as concerned_conversions, 0::bigint as blocked_conversions,
               'cpi' as cost_model, 1.5::decimal(18, 6) as concerned_cost_usd
        from gold.attribution_candidates where fraud_rule_id is not null""",
    """create table gold.fraud_signals as
        select app_id, install_date as signal_date, 'candidate' as subject_type, conversion_id, touch_id, signal_kind,
               signal_code, 50 as score
        from gold.attribution_candidates
        cross join (values ('rule', 'in_force'), ('flag', 'geo_mismatch')) as signals(signal_kind, signal_code)
        where fraud_rule_id is not null""",
    """create table gold.fraud_dry_run as
        select 'tried' as rule_id, app_id, conversion_id, install_date, 'becomes_organic' as outcome, touch_id,
               'organic' as new_partner, null::varchar as new_touch_id, 0::decimal(18, 6) as revenue_usd
        from gold.attributed_installs where not is_organic""",
    """create table gold.fraud_site_tests as
        select 'a' as app_id, date '2026-01-01' as period_date, 'net' as partner, 's' as site_id,
               'ctit_distance' as test, 60::bigint as n, 0.4::double as statistic, 0.001::double as p_value,
               0.002::double as q_value, true as is_suspicious""",
)
_SKAN = (
    """create table gold.skan_postback_facts as
        select 'a' as app_id, 't1' as transaction_id, 0::bigint as postback_sequence_index, 1 as window_number,
               timestamptz '2026-01-10 06:00:00+00' as arrived_at, date '2026-01-10' as arrival_date,
               timestamptz '2026-01-06 06:00:00+00' as install_at_low,
               timestamptz '2026-01-07 06:00:00+00' as install_at_high, date '2026-01-06' as install_date_low,
               date '2026-01-07' as install_date_high, date '2026-01-06' as install_date, 'net' as partner,
               'sender' as campaign_match, 'download' as conversion_type, true as is_winner, 'valid' as signature_state,
               true as is_counted, null::varchar as exclusion_reason, 9::bigint as conversion_value,
               null::varchar as coarse_conversion_value, 'fine' as value_state, true as is_decoded,
               1::bigint as event_count, 1::decimal(18, 6) as revenue_low_usd, 2::decimal(18, 6) as revenue_mid_usd,
               3::decimal(18, 6) as revenue_high_usd""",
    """create table gold.skan_daily as
        select 'a' as app_id, date '2026-01-06' as date, 'net' as partner, 'c1' as campaign_id, 1 as window_number,
               3 as postbacks, 2 as winning_postbacks, 1 as lost_postbacks, 0 as invalid_postbacks,
               0 as unverifiable_postbacks, 0 as sandbox_postbacks, 2 as installs, 0 as redownloads, 0 as reengagements,
               1 as fine_value_postbacks, 0 as coarse_value_postbacks, 1 as null_value_postbacks,
               0 as ambiguous_postbacks, 1 as observed_postbacks, 1 as modelled_postbacks,
               1::decimal(18, 6) as observed_revenue_low_usd, 2::decimal(18, 6) as observed_revenue_mid_usd,
               3::decimal(18, 6) as observed_revenue_high_usd, 3::decimal(18, 6) as modelled_revenue_high_usd""",
    """create table gold.skan_event_daily as
        select 'a' as app_id, date '2026-01-06' as date, 'net' as partner, 'c1' as campaign_id, 1 as window_number,
               'purchase' as event_name, 1 as observed_postbacks""",
    """create table gold.ios_daily as
        select 'a' as app_id, date '2026-01-06' as date, 'net' as partner, 4 as deterministic_installs,
               5 as skan_installs, 2 as overlap_installs, 3 as skan_only_installs, 1 as skan_beyond_first_opens,
               6 as combined_installs, 2 as modelled_installs""",
)
_FINALITY = (
    """create table gold.mart_finality as
        select 'a' as app_id, date '2026-01-01' as date, 'app_events' as source, 10 as records, 1 as late_records,
               0.5 as lateness_p50_h, 1.0 as lateness_p95_h, 25.0 as lateness_max_h, 0.99::double as expected_share,
               0.1::decimal(18, 3) as expected_to_come, null::varchar as reason, 'settling' as status""",
    """create table gold.measure_finality as
        select 'campaign_daily' as mart, 'installs' as measure, 'a' as app_id, date '2026-01-01' as date,
               'settling' as status, 0.99::double as expected_share, null::varchar as reason,
               'app_events' as limiting_source, date '2026-01-01' as limiting_date,
               timestamptz '2026-02-05 06:00:00+00' as as_of, date '2026-02-06' as final_from, 0 as days_to_come""",
    """create table gold.mart_restatements as
        select 'a' as app_id, date '2026-01-01' as date, 'ios' as platform, 'net' as partner, 'c1' as campaign_id,
               'cost_usd' as measure, recording, recording + 1 as statement_number,
               old_value is not null as is_restated,
               old_value::decimal(18, 6) as old_value, new_value::decimal(18, 6) as new_value,
               (new_value - old_value)::decimal(18, 6) as change_value, causes, 'because' as reason
        from (values (0, null, 2, 'first_recorded'), (1, 2, 3, 'cost_restated'))
            as t(recording, old_value, new_value, causes)""",
)
_ALERTS = (
    """create table gold.metric_alerts as
        select 'a' as app_id, date '2026-01-01' as date, 'campaign' as level, '' as platform, 'net' as partner,
               'c' as campaign_id, 'installs' as metric, 60.0::double as expected, -9.0::double as score""",
)
_COSTS = (
    """create table gold.campaign_performance as
        select app_id, date, platform, partner, campaign_id, impressions, clicks, installs,
               impressions + 10 as reported_impressions, clicks + 1 as reported_clicks, installs as reported_installs,
               10::bigint as impressions_difference, 1::bigint as clicks_difference, 0::bigint as installs_difference,
               case when cost_usd > 0 then 'network' else 'none' end as cost_source, cost_usd,
               nullif(cost_usd, 0) as reported_cost_usd, null::decimal(18, 6) as link_cost_usd,
               cost_usd as ecpi_paid_cost_usd, case when partner <> 'organic' then installs else 0 end
               as ecpi_paid_installs, installs as ecpi_all_installs, null::decimal(18, 6) as roas_d0_revenue_usd,
               roas_d7_revenue_usd, roas_d7_cost_usd, roas_d7_revenue_usd - roas_d7_cost_usd as roi_d7_profit_usd,
               3 as payback_day
        from gold.campaign_daily""",
    """create table gold.campaign_payback as
        select app_id, date, platform, partner, campaign_id, 0 as day_n, installs
        from gold.campaign_daily where partner <> 'organic'""",
    """create table gold.cost_restatements as
        select 'a' as app_id, record_id, date '2026-01-01' as cost_date, 'net' as partner, 'USD' as currency,
               statement_number, 2 as statement_count, statement_number = 2 as is_in_force, 1 as days_after,
               cost_usd::decimal(18, 6) as cost_usd, previous::decimal(18, 6) as previous_cost_usd,
               change::decimal(18, 6) as change_usd
        from (values ('k1', 1, 2.9, null, 2.9), ('k2', 2, 3.0, 2.9, 0.1))
            as t(record_id, statement_number, cost_usd, previous, change)""",
    """create table gold.unmatched_costs as
        select 'a' as app_id, date '2026-01-01' as date, 'ios' as platform, 'net' as partner, 'x' as campaign_id,
               'X' as campaign_name, 'no_touch_of_campaign' as unmatched_reason, 1 as cost_rows""",
    """create table gold.campaign_history as
        select 'a' as app_id, 'net' as partner, 'c' as campaign_id, date '2026-01-01' as valid_from,
               null::date as valid_until, true as is_current, 'C' as campaign_name, 'c' as clean_name,
               'network' as channel_code""",
    """create table gold.campaigns as
        select 'a' as app_id, 'net' as partner, 'c' as campaign_id, 'network' as channel_code, 1 as adsets, 1 as names,
               date '2026-01-01' as first_date, date '2026-01-02' as last_date""",
    """create table gold.fx_daily as
        select date '2026-01-02' as date, currency, rate::decimal(13, 9) as usd_per_unit, date '2026-01-01' as rate_date
        from (values ('USD', 1), ('EUR', 1.1)) as t(currency, rate)""",
)


@pytest.fixture(scope="session")
def _shared_lake() -> Iterator[duckdb.DuckDBPyConnection]:
    con = duckdb.connect()
    con.execute("set TimeZone = 'UTC'")
    for layer in ("bronze", "silver", "gold", "rules", "meta"):
        con.execute(f"create schema {layer}")
    for key, schema in bronze_schemas().items():
        con.execute(f"create table {key.replace('/', '.')} as {select_files(schema, [])}")
    for statement in (*_BRONZE, *_SILVER, *_RULES, *_GOLD, *_SKAN, *_COSTS, *_FINALITY, *_ALERTS):
        con.execute(statement)
    yield con
    con.close()


@pytest.fixture
def good_lake(_shared_lake: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """The lake; whatever a test does to it is rolled back."""
    _shared_lake.begin()
    yield _shared_lake
    _shared_lake.rollback()


@pytest.fixture
def empty_lake(good_lake: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """Every table of the good lake, without rows."""
    tables = good_lake.execute("select schema_name || '.' || table_name from duckdb_tables()").fetchall()
    for (table,) in tables:
        good_lake.execute(f"delete from {table}")
    return good_lake
