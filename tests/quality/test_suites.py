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
from tests.quality.breaks import BREAKS

# Importing Great Expectations takes seconds: all its tests share one process.
pytestmark = pytest.mark.xdist_group("great_expectations")

TABLE_ROW = ""  # the column of an expectation about the whole table


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
