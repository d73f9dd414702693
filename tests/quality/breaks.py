"""How good data is broken: for every suite, changes that together break each of its expectations."""

from __future__ import annotations

_RECORD_BREAKS = (
    "app_id = null, record_type = null, record_id = ' ', payload_hash = null, source = null",
    "event_at = null, received_at = null, is_event_at_missing = null",
    "record_type = 'junk', platform = 'symbian', environment = 'test', source = 'fax'",
    "ingest_date = date '2020-02-02', event_date = date '2020-02-02'",
    "event_at = timestamptz '1960-01-01 00:00:00+00'",
    "event_at = received_at + interval 3 days, is_event_at_missing = true",
    "8 x event_at = received_at, is_event_at_missing = true",
)
# suite: column changes, each of which adds a bad copy of a row (or "N x" copies); together they break every expectation
BREAKS: dict[str, tuple[str, ...]] = {
    "bronze_touchpoints": (
        *_RECORD_BREAKS,
        "partner = ''",
        "partner = 'Big Network'",
        "gaid = '00000000-0000-0000-0000-000000000000', idfa = null, idfv = null",
        "cost_micros = 1, currency = null",
    ),
    "bronze_app_events": (
        *_RECORD_BREAKS,
        "record_type = 'event', install_id = null, user_id = null, event_name = null",
        "record_type = 'session', install_id = null, session_length_s = -1",
        "record_type = 'ad_revenue', revenue_micros = null, currency = 'XXX'",
        "record_type = 'ad_revenue', revenue_micros = -1, currency = null",
        "revenue_micros = 200000000000, currency = 'USD', idfa = '0000'",
    ),
    "bronze_costs": (
        *_RECORD_BREAKS,
        "partner = null, cost_date = null, cost_micros = null, currency = null",
        "cost_micros = -1, currency = 'BTC', clicks = -1",
    ),
    "bronze_skan_postbacks": (
        *_RECORD_BREAKS,
        "transaction_id = '', conversion_value = 64, postback_sequence_index = 3, coarse_conversion_value = 'huge'",
    ),
    "bronze_consents": _RECORD_BREAKS,
    "bronze_rejects": (
        "reason_code = null, message = '', ingest_date = date '2020-02-02', position = -1",
        "reason_code = 'Bad JSON!', raw = repeat('x', 70000)::blob, raw_length = 70000, raw_sha256 = null",
        "raw = null, raw_length = 20",
    ),
    "bronze_receipts": (
        "ingest_date = null, writer = null, received = -1, rejected = 50",
        "received = null",
        "rejected = 1000",
    ),
    "bronze_network": (
        "app_id = null, record_id = null, ingest_date = date '2020-02-02'",
        "ip = null, user_agent = null",
    ),
    "attributed_installs": (
        "app_id = null, install_id = null, install_date = date '2020-02-02', ruleset_id = null",
        "is_organic = true, touch_id = 't1', eligible_count = 1",
        "is_organic = false, touch_id = null, is_primary = false",
        "is_organic = null, partner = null, match_method = 'guess', reason_code = 'because'",
        "candidate_count = 0, eligible_count = 1",
        "is_blocked = true, partner = 'net'",
        "touch_at = install_at + interval 1 hour, click_to_install_s = -3600",
        "600 x is_organic = true, partner = 'organic', touch_id = null, match_method = null",
    ),
    "attribution_candidates": (
        "app_id = null, conversion_id = null, partner = null, is_winner = null, is_eligible = null",
        "is_winner = true, is_eligible = false, reason_code = 'won'",
        "is_winner = false, reason_code = null",
        "is_winner = true, candidate_rank = 2, reason_code = 'because', match_method = 'guess'",
        "is_eligible = true, elapsed_s = 700000, candidate_rank = null",
        "reason_code = 'won', fraud_rule_id = 'in_force'",
    ),
    "attribution_decisions": (
        "app_id = null, conversion_id = null",
        "app_id = 'a'",
        "touch_id = null, is_organic = false",
        "is_blocked = true",
    ),
    "fraud_signals": (
        "app_id = null, conversion_id = ''",
        "subject_type = 'person', signal_kind = 'rumour', signal_code = null, score = 101",
        "signal_kind = 'rule', signal_code = 'tried'",
        "signal_kind = 'rule', signal_code = 'tried'",
    ),
    "fraud_daily": (
        "app_id = null, partner = null, rule_id = null",
        "rejected_candidates = 0, concerned_cost_usd = -1, cost_model = null",
        "rejected_candidates = 0, concerned_cost_usd = -1, cost_model = null",
    ),
    "fraud_dry_run": (
        "app_id = null, rule_id = 'in_force', outcome = 'forgiven', revenue_usd = null",
        "new_touch_id = touch_id",
    ),
    "fraud_site_tests": (
        "app_id = null, test = null, p_value = 2, q_value = 1.5, n = 49, statistic = 'nan'::double",
        "q_value = 0.02",
        "q_value = 0.02",
    ),
    "multi_touch_credit": (
        "app_id = null, model = null, partner = null",
        "model = 'guess', credited_conversions = -1",
        "credited_revenue_d30_usd = 1, credited_revenue_d7_usd = null",
        "credited_revenue_d30_usd = 1, credited_revenue_d7_usd = null",
    ),
    "channel_credit": (
        "app_id = null, level = null, model = null, partner = null",
        "level = 'partner', campaign_id = 'c', credited_conversions = -1, share = 2, removal_effect = 'nan'::double",
        "level = 'creative', conversion_rate = 1.5, shapley_value = -1, standard_error = 99, credited_conversions = 11",
        "level = 'creative', conversion_rate = 1.5, shapley_value = -1, standard_error = 99, credited_conversions = 11",
    ),
    "attributed_events": (
        "app_id = null, record_id = null, partner = null, is_primary = null",
        "event_date = date '2020-02-02'",
        "is_organic = true, partner = 'net'",
        "currency = null",
        "conversion_id = 'other'",
    ),
    "campaign_daily": (
        "app_id = null, date = null, partner = null, clicks = -1, cost_usd = -1",
        "is_mature_d0 = false, is_mature_d7 = false, is_mature_d30 = true, revenue_d7_usd = 2, revenue_d30_usd = 1",
        "partner = 'organic', cost_usd = 1, roas_d7_cost_usd = 1",
        "partner = 'net', roas_d7_cost_usd = cost_usd + 1",
        "partner = 'net', roas_d7_cost_usd = cost_usd + 1",
    ),
    "cohort_retention": (
        "app_id = null, day_clock = null, day_n = null, mature_installs = 9",
        "day_clock = 'lunar', day_n = 31, retained_installs = 5, mature_installs = 1",
        "mature_installs = 0, retained_installs = 1, day_n = 0",
        "mature_installs = 0, retained_installs = 1, day_n = 0",
    ),
    "retention_curves": (
        "app_id = null, unit = 'year', day_clock = 'lunar', dimension = 'site', period_n = null, mature_users = 9",
        "mature_users = 1, rolling_users = 0, active_users = 2",
        "mature_users = 0, active_users = 1, rolling_users = 1",
        "mature_users = 0, active_users = 1, rolling_users = 1",
    ),
    "activity_daily": (
        "app_id = null, date = null, new_users = 99",
        "weekly_users = 0",
        "is_complete = false",
        "is_complete = false",
    ),
    "cohort_revenue": (
        "app_id = null, day_clock = null, mature_installs = 9",
        "day_clock = 'lunar', day_n = 31, paying_installs = 5, mature_installs = 1",
        "mature_installs = 0, cumulative_revenue_usd = 1",
        "mature_installs = 0, cumulative_revenue_usd = 1",
    ),
    "revenue_daily": (
        "app_id = null, partner = null, reporting_currency = null, active_installs = -1, refunds = 1",
        "amounts_without_rate = 1, linked_refund_count = 2",
        "paying_installs = 99",
        "net_revenue = 5",
    ),
    "ingestion_daily": (
        "app_id = null, rejected = -1",
        "duplicates = 99, landed = 10",
        "duplicates = 99, landed = 10",
    ),
    "predicted_ltv_by_campaign": (
        "app_id = null, horizon_days = null",
        "horizon_days = 999, predicted_ltv_usd = -1, scored_installs = 0",
        "horizon_days = 999, predicted_ltv_usd = 'nan'::double",
    ),
    "churn_risk": (
        "app_id = null, churn_probability = null, risk_band = null",
        "churn_probability = 1.5, risk_band = 'doomed'",
        "churn_probability = 1.5, risk_band = 'doomed'",
    ),
    "skan_postback_facts": (
        "app_id = null, partner = null, signature_state = 'guessed', value_state = 'some', conversion_type = 'sale'",
        "signature_state = 'invalid'",
        "is_counted = false, window_number = 4",
        "value_state = 'null', conversion_value = null, install_at_low = arrived_at",
        "is_decoded = false, conversion_value = null, revenue_mid_usd = 9",
        "campaign_match = 'none'",
    ),
    "skan_daily": (
        "app_id = null, date = null, partner = null, postbacks = 9, fine_value_postbacks = 9, installs = 9",
        "modelled_postbacks = 2, observed_revenue_mid_usd = 9",
        "ambiguous_postbacks = 21",
    ),
    "skan_event_daily": (
        "app_id = null, event_name = null, observed_postbacks = 0",
        "partner = 'net'",
        "partner = 'net'",
    ),
    "ios_daily": (
        "app_id = null, partner = null, modelled_installs = 9",
        "combined_installs = -1, overlap_installs = 4",
        "skan_beyond_first_opens = 11",
    ),
    "campaign_performance": (
        "app_id = null, partner = null, cost_source = null",
        "cost_source = 'guess', clicks_difference = 2, payback_day = 31",
        "cost_source = 'none', cost_usd = -1, roi_d7_profit_usd = 99, roas_d7_revenue_usd = 1, roas_d7_cost_usd = 1",
        "partner = 'organic', cost_usd = 1, installs = 1, installs_difference = 60",
        "partner = 'organic', cost_usd = 1",
    ),
    "campaign_payback": (
        "app_id = null, partner = 'organic', day_n = 31, installs = -1",
        "app_id = null, partner = 'organic', day_n = 31, installs = -1",
    ),
    "cost_restatements": (
        "app_id = null, partner = null, currency = null, statement_number = 3, days_after = -5",
        "statement_number = 2, cost_usd = 900, previous_cost_usd = 300, change_usd = 500",
    ),
    "mart_finality": (
        "app_id = null, source = 'rumours', late_records = 11, lateness_p50_h = 2, expected_share = 1.5",
        "status = 'done', reason = 'because', expected_to_come = -1",
        "status = null, expected_share = null",
        "expected_share = null",
    ),
    "measure_finality": (
        "app_id = null, limiting_source = 'rumours', expected_share = 1.5, reason = 'because', days_to_come = -1",
        "status = 'done', limiting_date = null",
        "status = null",
        "status = 'settling', expected_share = null, reason = 'no_records', final_from = date '2026-02-05'",
        "days_to_come = 1",
        "status = 'final'",
    ),
    "metric_alerts": (
        "app_id = null, level = 'site', metric = null, score = 1",
        "metric = 'mood', expected = 'nan'::double",
        "metric = 'mood'",
    ),
    "unmatched_costs": (
        "app_id = null, unmatched_reason = null, cost_rows = 0",
        "unmatched_reason = 'because'",
        "unmatched_reason = 'because'",
    ),
    "campaign_history": (
        "app_id = null, channel_code = null, valid_until = valid_from",
        "channel_code = 'tv', campaign_name = 'X', clean_name = ''",
        "channel_code = 'tv', is_current = true, valid_until = valid_from + 1",
    ),
    "campaigns": (
        "app_id = null, channel_code = null, adsets = -1",
        "channel_code = 'tv', campaign_id = '', last_date = first_date - 1",
        "channel_code = 'tv', campaign_id = '', last_date = first_date - 1",
    ),
    "fx_daily": (
        "currency = 'BTC', usd_per_unit = 0, rate_date = date '2026-01-03'",
        "currency = 'BTC', usd_per_unit = 0, rate_date = date '2026-01-03'",
    ),
    "mart_restatements": (
        "app_id = null, partner = null, new_value = old_value, change_value = 9, causes = '', statement_number = 0, "
        "is_restated = old_value is null",
        "causes = 'unknown'",
        "causes = 'unknown'",
    ),
    "bronze_fx_rates": (
        "currency = null, rate_date = null, version = 0",
        "currency = 'BTC', usd_per_unit = 0",
        "currency = 'BTC', usd_per_unit = 0",
    ),
}
