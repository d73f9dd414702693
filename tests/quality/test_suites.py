"""Every suite passes on good data and each of its expectations fails on data that is really broken."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import duckdb
import pytest

from quality.checks import SUITES, review, validate
from quality.outcome import SuiteResult
from quality.suite import is_between
from quality.validation import validate_suite

# Importing Great Expectations takes seconds: all its tests share one process.
pytestmark = pytest.mark.xdist_group("great_expectations")

TABLE_ROW = ""  # the column of an expectation about the whole table

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


def _fill(con: duckdb.DuckDBPyConnection, table: str) -> None:
    """One good row in the bronze tables that the good lake leaves empty."""
    envelope = (
        "insert into {} by name select 'a' as app_id, 'x' as record_id, '{}' as record_type, 'sdk' as source, "
        "'h' as payload_hash, false as is_event_at_missing, timestamptz '2026-01-01 00:00:00+00' as event_at, "
        "timestamptz '2026-01-01 00:00:00+00' as received_at, date '2026-01-01' as event_date, "
        "date '2026-01-01' as ingest_date, {}"
    )
    if table == "bronze.bronze_skan_postbacks":
        con.execute(envelope.format(table, "skan_postback", "'tx' as transaction_id, 1 as postback_sequence_index"))
    elif table == "bronze.bronze_fx_rates":
        con.execute(
            f"insert into {table} by name select 'EUR' as currency, date '2026-01-01' as rate_date, 'ecb' as provider, "
            "1.1 as usd_per_unit, 1 as version, timestamptz '2026-01-01 00:00:00+00' as received_at, "
            "date '2026-01-01' as ingest_date"
        )
    elif table == "bronze.bronze_consents":
        con.execute(envelope.format(table, "consent", "'i1' as install_id"))
    elif table == "bronze.bronze_network":
        con.execute(
            f"insert into {table} by name select 'a' as app_id, 'x' as record_id, '203.0.113.7' as ip, "
            "timestamptz '2026-01-01 00:00:00+00' as received_at, date '2026-01-01' as ingest_date"
        )


def _damage(con: duckdb.DuckDBPyConnection, table: str, changes: str) -> None:
    number, _, repeated = changes.rpartition(" x ")
    con.execute(f"create or replace temp table bad as select * from {table} limit 1")
    con.execute(f"update bad set {repeated}")
    con.execute(f"insert into {table} by name select bad.* from bad cross join range({number or 1})")
    con.execute("drop table bad")


def _failed(result: SuiteResult) -> set[tuple[str, str]]:
    return {(e.name, e.column) for e in result.expectations if not e.success}


def test_every_suite_has_cases_that_break_it() -> None:
    assert set(BREAKS) == set(SUITES)


@pytest.mark.parametrize("name", SUITES)
def test_passes_on_good_data_and_every_expectation_fails_on_bad(
    good_lake: duckdb.DuckDBPyConnection, name: str
) -> None:
    table = SUITES[name].table
    _fill(good_lake, table)
    good = validate(good_lake, name)
    assert _failed(good) == set()
    assert good.severity is None
    assert good.rows > 0
    for changes in BREAKS[name]:
        _damage(good_lake, table, changes)
    bad = validate(good_lake, name)
    untouched = {(e.name, e.column) for e in bad.expectations if e.success and e.column != TABLE_ROW}
    assert untouched == set()
    assert bad.severity == "critical"


def test_a_failure_says_how_many_rows_and_which(good_lake: duckdb.DuckDBPyConnection) -> None:
    good_lake.execute("update bronze.bronze_app_events set platform = 'symbian' where app_id = 'b'")
    result = validate(good_lake, "bronze_app_events")
    [outcome] = [e for e in result.expectations if not e.success]
    assert (outcome.column, outcome.observed, outcome.unexpected_count) == ("platform", "symbian", 2)
    assert outcome.sample[0]["app_id"] == "b"
    assert {row["ingest_date"] for row in outcome.sample} == {"2026-01-02", "2026-01-03"}


def test_a_condition_that_should_never_hold_says_on_how_many_rows_it_does(good_lake: duckdb.DuckDBPyConnection) -> None:
    good_lake.execute("update bronze.bronze_app_events set session_length_s = -1 where app_id = 'b'")
    [outcome] = [e for e in validate(good_lake, "bronze_app_events").expectations if not e.success]
    assert (outcome.column, outcome.observed) == ("has_negative_session_length", "2 rows")


def test_an_expectation_that_does_not_fit_its_column_is_reported(good_lake: duckdb.DuckDBPyConnection) -> None:
    suite = replace(
        SUITES["ingestion_daily"],
        columns={"app_id": "app_id"},
        expectations=(is_between("app_id", 0, 1, "not a number at all"),),
    )
    [outcome] = validate_suite(good_lake, suite).expectations
    assert not outcome.success
    assert outcome.observed.startswith("cannot be evaluated")


def test_every_row_is_looked_at_however_few_groups_there_are(good_lake: duckdb.DuckDBPyConnection) -> None:
    good_lake.execute(
        "insert into bronze.bronze_app_events by name select * exclude (n) replace ('r' || n as record_id) "
        "from (from bronze.bronze_app_events where record_id = 'r1' and app_id = 'a') "
        "cross join range(10000) as copies(n)"
    )
    good_lake.execute("update bronze.bronze_app_events set record_id = null where record_id = 'r7777'")
    result = validate(good_lake, "bronze_app_events")
    assert result.rows == 10_008
    assert [(e.column, e.unexpected_count) for e in result.expectations if not e.success] == [("has_no_record_id", 1)]


def test_dates_bound_what_is_looked_at(good_lake: duckdb.DuckDBPyConnection) -> None:
    good_lake.execute("update bronze.bronze_app_events set platform = 'symbian' where ingest_date = '2026-01-01'")
    later = validate(good_lake, "bronze_app_events", (date(2026, 1, 2), date(2026, 1, 3)))
    assert (later.success, later.rows, later.scope) == (True, 4, "ingest_date 2026-01-02 to 2026-01-03")
    assert not validate(good_lake, "bronze_app_events", (date(2026, 1, 1), date(2026, 1, 1))).success


@pytest.mark.parametrize("name", SUITES)
def test_an_empty_table_only_warns(empty_lake: duckdb.DuckDBPyConnection, name: str) -> None:
    result = validate(empty_lake, name)
    assert {column for _, column in _failed(result)} <= {TABLE_ROW}
    assert result.severity in (None, "warning")
    assert result.rows == 0


@pytest.mark.parametrize("name", SUITES)
def test_a_missing_table_is_named_and_not_passed(good_lake: duckdb.DuckDBPyConnection, name: str) -> None:
    good_lake.execute(f"drop table {SUITES[name].table}")
    result = validate(good_lake, name)
    assert not result.success
    assert result.problem == f"table {SUITES[name].table} does not exist"
    assert result.severity == SUITES[name].missing_severity


def test_a_missing_column_fails_what_needs_it_and_nothing_else(good_lake: duckdb.DuckDBPyConnection) -> None:
    lacking = good_lake.sql("select * exclude (cost_usd) from gold.campaign_daily").to_arrow_table()
    con = duckdb.connect()
    con.register("lacking", lacking)
    con.execute("create schema gold; create view gold.campaign_daily as from lacking")
    result = validate(con, "campaign_daily")
    failed = {e.column: e.observed for e in result.expectations if not e.success}
    assert set(failed) == {"has_negative_cost", "has_odd_organic", "has_other_ratio_parts"}
    assert 'column "cost_usd" not found' in failed["has_negative_cost"]


def test_a_value_that_breaks_the_query_is_reported_and_not_passed() -> None:
    con = duckdb.connect()
    con.execute("create schema gold; create table gold.churn_risk as select 'a' as app_id, 1 as install_id")
    suite = replace(SUITES["churn_risk"], columns={"app_id": "app_id", "bad": "cast(app_id as integer)"})
    result = validate_suite(con, suite)
    assert (result.success, result.severity) == (False, "critical")
    assert result.problem.startswith("cannot be checked")


def test_a_review_is_as_bad_as_its_worst_check(good_lake: duckdb.DuckDBPyConnection) -> None:
    chosen = {"suites": ["ingestion_daily"], "invariants": ["receipts_add_up"]}
    assert review(good_lake, **chosen).success
    good_lake.execute("update gold.ingestion_daily set duplicates = accepted")
    assert review(good_lake, **chosen).severity == "warning"
    good_lake.execute("update bronze.bronze_receipts set received = 0")
    assert review(good_lake, **chosen).severity == "critical"
