"""Every identity holds on good data, holds on empty tables, and fails on data that is really broken."""

from __future__ import annotations

import duckdb
import pytest

from quality.checks import INVARIANTS, compare
from quality.invariants import Invariant, check_invariant

# invariant: ((what goes wrong, SQL that does it), ...)
BREAKS: dict[str, tuple[tuple[str, str], ...]] = {
    "receipts_add_up": (
        ("a record vanished at the door", "update bronze.bronze_receipts set received = received + 1"),
    ),
    "accepted_records_landed": (
        ("a landed row is lost", "delete from bronze.bronze_app_events where record_id = 'r3'"),
        ("a segment landed twice", "insert into bronze.bronze_touchpoints select * from bronze.bronze_touchpoints"),
        ("rows without a receipt", "update bronze.bronze_touchpoints set app_id = 'z' where app_id = 'b'"),
    ),
    "rejected_records_kept": (
        ("a reject is lost", "delete from bronze.bronze_rejects"),
        ("a reject was not counted", "update bronze.bronze_rejects set app_id = null"),
    ),
    "ingestion_daily_matches_receipts": (
        ("a day is missing", "delete from gold.ingestion_daily where ingest_date = '2026-01-03'"),
        ("the mart is old", "update gold.ingestion_daily set rejected = 0, accepted = received"),
    ),
    "stg_touchpoints_counts_once": (("a touch is lost", "delete from silver.stg_touchpoints where record_id = 't3'"),),
    "stg_app_events_counts_once": (
        ("the copy is counted", "insert into silver.stg_app_events from silver.stg_app_events where record_id = 'r4'"),
        ("a record is lost", "delete from silver.stg_app_events where record_id = 'r4'"),
        ("a record came from nowhere", "update silver.stg_app_events set record_id = 'r9' where record_id = 'r4'"),
    ),
    "stg_costs_counts_statements": (
        ("spend is doubled", "insert into silver.stg_costs select * from silver.stg_costs"),
        ("a statement is lost", "update silver.stg_costs set statement_count = 1"),
    ),
    "stg_skan_postbacks_counts_once": (
        (
            "a postback is lost",
            "insert into bronze.bronze_skan_postbacks by name select 'a' as app_id, 's1' as transaction_id",
        ),
    ),
    "stg_consents_counts_once": (
        ("a consent is lost", "insert into bronze.bronze_consents by name select 'a' as app_id, 's1' as record_id"),
    ),
    "one_primary_decision_per_install": (
        ("an install has no decision", "delete from gold.attributed_installs where install_id = 'i3'"),
        ("two decisions", "insert into gold.attributed_installs from gold.attributed_installs where install_id = 'i2'"),
        ("only a copy", "update gold.attributed_installs set is_primary = false where install_id = 'i2'"),
    ),
    "one_primary_decision_per_conversion": (
        ("a conversion is not decided", "delete from gold.attribution_decisions where install_id = 'i3'"),
        ("only a copy", "update gold.attribution_decisions set is_primary = false where install_id = 'i2'"),
    ),
    "events_are_credited_once": (
        ("an event is credited to nobody", "delete from gold.attributed_events where record_id = 'r4'"),
        ("both copies count", "insert into gold.attributed_events from gold.attributed_events"),
        ("the amount is another one", "update gold.attributed_events set revenue_usd = 0"),
    ),
    "winner_is_a_candidate": (
        ("the winner is another touch", "update gold.attributed_installs set touch_id = 't1' where install_id = 'i1'"),
        ("two winners", "update gold.attribution_candidates set is_winner = true"),
        ("an organic install with a winner", "update gold.attributed_installs set touch_id = null"),
        ("a blocked install with credit", "update gold.attribution_decisions set is_blocked = true"),
    ),
    "fraud_daily_counts_rejections": (
        ("a rejection is not counted", "delete from gold.fraud_daily"),
        ("it is counted twice", "insert into gold.fraud_daily from gold.fraud_daily"),
        ("a blocked conversion is missing", "update gold.attribution_decisions set fraud_rule_id = 'in_force'"),
    ),
    "measures_are_held_back_by_their_source": (
        ("a number is less final than its source", "update gold.measure_finality set status = 'open'"),
        ("the source settled since", "update gold.mart_finality set status = 'final'"),
    ),
    "no_touch_wins_across_apps": (
        ("a touch of another app", "update gold.attributed_installs set touch_id = 't2' where app_id = 'b'"),
    ),
    "credits_sum_to_installs": (
        ("organic is left out", "delete from gold.campaign_daily where partner = 'organic'"),
        ("an install counts twice", "update gold.campaign_daily set installs = 2 where partner = 'organic'"),
    ),
    "multi_touch_credits_sum_to_installs": (
        ("organic is left out", "delete from gold.multi_touch_credit where partner = 'organic'"),
        (
            "a billionth is lost",
            "update gold.multi_touch_credit set credited_conversions = 0.999999999 where app_id = 'b'",
        ),
        ("a model is missing", "delete from gold.multi_touch_credit where model = 'linear'"),
        ("a model is made up", "update gold.multi_touch_credit set model = 'guess' where model = 'linear'"),
        (
            "a model that is no longer in force",
            "update rules.rule_multi_touch_models set valid_until = '2026-01-02' where model = 'first'",
        ),
    ),
    "channel_credits_sum_to_installs": (
        (
            "a level leaves out organic",
            "delete from gold.channel_credit where partner = 'organic' and level = 'campaign'",
        ),
        (
            "a billionth too much",
            "update gold.channel_credit set credited_conversions = 1.000000001 where app_id = 'b'",
        ),
        ("credit of another month", "update gold.channel_credit set month = '2026-02-01' where model = 'shapley'"),
    ),
    "touches_sum_to_campaigns": (
        ("clicks are lost", "update gold.campaign_daily set clicks = 0"),
        ("sandbox counts", "update silver.stg_touchpoints set environment = 'sandbox' where app_id = 'b'"),
        (
            "impressions are counted as clicks",
            "update gold.campaign_daily set clicks = impressions, impressions = clicks",
        ),
    ),
    "cohort_retention_covers_installs": (
        (
            "a cohort is missing",
            "delete from gold.cohort_retention where partner = 'organic' and day_clock = 'calendar'",
        ),
    ),
    "cohort_revenue_covers_installs": (
        ("a cohort is doubled", "update gold.cohort_revenue set cohort_installs = 2 where partner = 'organic'"),
    ),
    "revenue_in_is_revenue_out": (
        ("a purchase is lost", "delete from silver.int_revenue_events where record_id = 'r4'"),
        ("money changes currency", "update silver.int_revenue_events set currency = 'USD'"),
        ("a cent is lost", "update silver.int_revenue_events set amount_micros = amount_micros - 1"),
        (
            "a refused receipt counts",
            "update silver.stg_app_events set receipt_state = 'invalid' where record_id = 'r4'",
        ),
        ("sandbox money counts", "update silver.stg_app_events set environment = 'sandbox' where record_id = 'r4'"),
    ),
    "revenue_reaches_campaigns": (
        ("a cent is lost", "update gold.campaign_daily set revenue_d7_usd = revenue_d7_usd - 0.01 where app_id = 'b'"),
        ("money of another install", "update silver.int_revenue_events set install_id = 'i9' where record_id = 'r4'"),
        ("immature money shows", "update gold.campaign_daily set revenue_d30_usd = 1"),
    ),
    "cohort_revenue_matches_campaigns": (
        ("the marts differ", "update gold.cohort_revenue set cumulative_revenue_usd = 0 where app_id = 'b'"),
    ),
    "cost_in_is_cost_out": (
        ("spend is lost", "delete from gold.campaign_daily where cost_usd > 0"),
        ("the older statement counts", "update gold.campaign_daily set cost_usd = 2.9 where cost_usd > 0"),
    ),
    "cost_has_a_value_in_usd": (("no rate is known", "update silver.stg_costs set currency = 'XAF'"),),
    "revenue_has_a_value_in_usd": (
        ("no rate is known", "update silver.int_revenue_events set revenue_usd = null where currency = 'EUR'"),
    ),
}
CASES = [pytest.param(name, sql, id=f"{name}: {what}") for name, breaks in BREAKS.items() for what, sql in breaks]


def test_every_invariant_has_a_case_that_breaks_it() -> None:
    assert set(BREAKS) == set(INVARIANTS)


@pytest.mark.parametrize("name", INVARIANTS)
def test_holds_on_a_good_lake(good_lake: duckdb.DuckDBPyConnection, name: str) -> None:
    result = compare(good_lake, name)
    assert result.success, result.detail
    assert result.expected == result.observed


@pytest.mark.parametrize(("name", "damage"), CASES)
def test_fails_on_broken_data(good_lake: duckdb.DuckDBPyConnection, name: str, damage: str) -> None:
    good_lake.execute(damage)
    result = compare(good_lake, name)
    assert not result.success
    assert result.broken > 0
    assert result.sample[0]["expected"] != result.sample[0]["observed"]


@pytest.mark.parametrize("name", INVARIANTS)
def test_holds_on_empty_tables(empty_lake: duckdb.DuckDBPyConnection, name: str) -> None:
    result = compare(empty_lake, name)
    assert result.success, result.detail
    assert (result.expected, result.observed) == ("0", "0")


@pytest.mark.parametrize("name", INVARIANTS)
def test_a_missing_table_is_named_and_not_passed(good_lake: duckdb.DuckDBPyConnection, name: str) -> None:
    judged = INVARIANTS[name].table
    good_lake.execute(f"drop table {judged}")
    result = compare(good_lake, name)
    assert not result.success
    assert result.detail == f"cannot be checked: {judged} does not exist"


def test_a_bronze_table_that_has_not_come_yet_counts_as_empty(good_lake: duckdb.DuckDBPyConnection) -> None:
    good_lake.execute("drop table bronze.bronze_consents")
    assert compare(good_lake, "accepted_records_landed").success
    good_lake.execute("drop table bronze.bronze_costs")
    result = compare(good_lake, "accepted_records_landed")
    assert not result.success
    assert result.detail == "a 2026-01-02: expected 4, found 2"


def test_a_model_of_all_apps_and_of_one_app_is_one_model(good_lake: duckdb.DuckDBPyConnection) -> None:
    good_lake.execute("insert into rules.rule_multi_touch_models values ('a', 'first', '2025-01-01', null)")
    assert compare(good_lake, "multi_touch_credits_sum_to_installs").success


def test_a_missing_column_is_named_and_not_passed(good_lake: duckdb.DuckDBPyConnection) -> None:
    good_lake.execute("alter table gold.campaign_daily drop column installs")
    result = compare(good_lake, "credits_sum_to_installs")
    assert not result.success
    assert 'cannot be checked: Referenced column "installs" not found' in result.detail


def test_an_overflow_is_reported_and_not_passed(good_lake: duckdb.DuckDBPyConnection) -> None:
    """Amounts are summed exactly; one that no decimal can hold must not end the run without an answer."""
    huge = Invariant(
        name="x",
        promise="money",
        why="",
        needs=("silver.int_installs",),
        sql="select 'a' as subject, (9e37::decimal(38, 0) + 9e37::decimal(38, 0)) as expected, 0 as observed "
        "from silver.int_installs",
    )
    result = check_invariant(good_lake, huge)
    assert not result.success
    assert "Overflow" in result.detail


def test_large_spend_is_converted_exactly(good_lake: duckdb.DuckDBPyConnection) -> None:
    good_lake.execute("update silver.stg_costs set cost_micros = 1028510000123")
    good_lake.execute("update gold.campaign_daily set cost_usd = 1028510.000123 where cost_usd > 0")
    assert compare(good_lake, "cost_in_is_cost_out").success


def test_null_keys_are_compared_like_others(good_lake: duckdb.DuckDBPyConnection) -> None:
    """Rejects whose app could not be read are counted under no app on both sides."""
    good_lake.execute("update bronze.bronze_rejects set app_id = null")
    good_lake.execute("update bronze.bronze_receipts set rejected = 0")
    good_lake.execute(
        "insert into bronze.bronze_receipts by name "
        "select null as app_id, date '2026-01-01' as ingest_date, 0 as accepted, 1 as rejected"
    )
    assert compare(good_lake, "rejected_records_kept").success


def test_a_difference_that_cancels_out_in_the_total_is_seen(good_lake: duckdb.DuckDBPyConnection) -> None:
    swapped = Invariant(
        name="x",
        promise="totals",
        why="",
        needs=("silver.int_installs",),
        sql="select 'a' as subject, 1 as expected, 2 as observed union all select 'b', 2, 1",
    )
    result = check_invariant(good_lake, swapped)
    assert (result.success, result.expected, result.observed, result.broken) == (False, "3", "3", 2)
