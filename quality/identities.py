"""The identities that hold between tables of the lake (see `invariants` for their form).

P3: nothing disappears on the way in. P4: every record is counted once. P6: one winner per conversion. Money that comes
in goes out. A total is the sum of its parts.
"""

from __future__ import annotations

from typing import Final

from lakehouse.contract import RECORD_TABLES
from quality.invariants import Invariant


def balance(key: str, expected: str, observed: str) -> str:
    """SQL that compares two queries giving (key columns, n) by key; a key on one side only counts 0 on the other."""
    return f"""
        select concat_ws(' ', {key}) as subject, sum(expected) as expected, sum(observed) as observed
        from (
            select {key}, n as expected, 0 as observed from ({expected})
            union all
            select {key}, 0 as expected, n as observed from ({observed})
        )
        group by {key}
    """


def same_keys(label: str, key: str, source: str, target: str) -> str:
    """SQL that compares keys: each of `source` is in `target` exactly once, and `target` has no other."""
    return f"""
        with keys as (
            select {key}, max(in_source) as in_source, sum(in_target) as in_target
            from (
                select {key}, 1 as in_source, 0 as in_target from {source}
                union all
                select {key}, 0 as in_source, 1 as in_target from {target}
            )
            group by {key}
        )
        select '{label}, each exactly once' as subject, coalesce(sum(in_source), 0) as expected,
               count(*) filter (in_source = 1 and in_target = 1) as observed
        from keys
        union all
        select '{label}, unknown ones' as subject, 0 as expected,
               count(*) filter (in_source = 0) as observed
        from keys
    """


_LANDED: Final = " union all ".join(
    f"select app_id, ingest_date, count(*) as n from bronze.{table.name} group by all" for table in RECORD_TABLES
)
_RECEIVED: Final = Invariant(
    name="receipts_add_up",
    promise="P3",
    why="accepted + rejected = received, per app and day",
    needs=("bronze.bronze_receipts",),
    sql=balance(
        "app_id, ingest_date",
        "select app_id, ingest_date, sum(received) as n from bronze.bronze_receipts group by all",
        "select app_id, ingest_date, sum(accepted + rejected) as n from bronze.bronze_receipts group by all",
    ),
)
_ACCEPTED: Final = Invariant(
    name="accepted_records_landed",
    promise="P3",
    why="every accepted record is a row of bronze, and no other is",
    needs=("bronze.bronze_receipts",),
    sql=balance(
        "app_id, ingest_date",
        "select app_id, ingest_date, sum(accepted) as n from bronze.bronze_receipts group by all",
        f"select app_id, ingest_date, sum(n) as n from ({_LANDED}) group by all",
    ),
)
_REJECTED: Final = Invariant(
    name="rejected_records_kept",
    promise="P3",
    why="every rejected record is a row of bronze_rejects, and no other is",
    needs=("bronze.bronze_receipts",),
    sql=balance(
        "app_id, ingest_date",
        "select app_id, ingest_date, sum(rejected) as n from bronze.bronze_receipts group by all",
        "select app_id, ingest_date, count(*) as n from bronze.bronze_rejects group by all",
    ),
)
_INGESTION_DAILY: Final = Invariant(
    name="ingestion_daily_matches_receipts",
    promise="P3",
    why="the mart shows what was received, accepted and rejected",
    needs=("bronze.bronze_receipts", "gold.ingestion_daily"),
    sql=balance(
        "app_id, ingest_date, what",
        "unpivot (select app_id, ingest_date, sum(received) as received, sum(accepted) as accepted, "
        "sum(rejected) as rejected from bronze.bronze_receipts group by all) "
        "on received, accepted, rejected into name what value n",
        "unpivot (select app_id, ingest_date, received, accepted, rejected from gold.ingestion_daily) "
        "on received, accepted, rejected into name what value n",
    ),
)


def _counted_once(bronze: str) -> Invariant:
    silver = bronze.replace("bronze_", "stg_", 1)
    return Invariant(
        name=f"{silver}_counts_once",
        promise="P4",
        why=f"every (app_id, record_id) of {bronze} is in {silver} exactly once",
        needs=(f"silver.{silver}",),
        sql=same_keys(silver, "app_id, record_id", f"bronze.{bronze}", f"silver.{silver}"),
    )


_COST_STATEMENTS: Final = Invariant(
    name="stg_costs_counts_statements",
    promise="P4",
    why="every cost statement is either in force or replaced by a later one",
    needs=("silver.stg_costs",),
    sql=balance(
        "app_id",
        "select app_id, count(distinct record_id) as n from bronze.bronze_costs group by all",
        "select app_id, sum(statement_count) as n from silver.stg_costs group by all",
    ),
)
_ONE_DECISION: Final = Invariant(
    name="one_primary_decision_per_install",
    promise="P6",
    why="every install has exactly one primary decision; organic is one of the channels",
    needs=("silver.int_installs", "gold.attributed_installs"),
    sql=same_keys(
        "installs",
        "app_id, install_id",
        "silver.int_installs",
        "(select app_id, install_id from gold.attributed_installs where is_primary)",
    ),
)
_ONE_WINNER: Final = Invariant(
    name="winner_is_a_candidate",
    promise="P6",
    why="an attributed install has one winning candidate, the touch it names; an organic one has none",
    needs=("gold.attribution_candidates", "gold.attributed_installs"),
    sql=same_keys(
        "winning touches",
        "app_id, conversion_id, touch_id",
        "(select app_id, conversion_id, touch_id from gold.attributed_installs where not is_organic and is_primary)",
        "(select app_id, conversion_id, touch_id from gold.attribution_candidates where is_winner)",
    ),
)
_OWN_APP: Final = Invariant(
    name="no_touch_wins_across_apps",
    promise="P10",
    why="a winning touch is a touch of the same app",
    needs=("silver.stg_touchpoints", "gold.attributed_installs"),
    sql="""
        select 'winning touches of ' || w.app_id as subject, count(*) as expected, count(t.record_id) as observed
        from gold.attributed_installs as w
        left join silver.stg_touchpoints as t on w.app_id = t.app_id and w.touch_id = t.record_id
        where not w.is_organic
        group by w.app_id
    """,
)
_CREDIT: Final = Invariant(
    name="credits_sum_to_installs",
    promise="P6",
    why="installs of all campaigns, organic among them, are the installs",
    needs=("silver.int_installs", "gold.campaign_daily"),
    sql=balance(
        "app_id",
        "select app_id, count(*) as n from silver.int_installs group by all",
        "select app_id, sum(installs) as n from gold.campaign_daily group by all",
    ),
)
_TOUCHES: Final = Invariant(
    name="touches_sum_to_campaigns",
    promise="totals",
    why="clicks and impressions of all campaigns are the touches received",
    needs=("silver.stg_touchpoints", "gold.campaign_daily"),
    sql=balance(
        "app_id, record_type",
        "select app_id, record_type, count(*) as n from silver.stg_touchpoints "
        "where record_type in ('click', 'impression') group by all",
        "select app_id, rtrim(what, 's') as record_type, sum(n) as n from ("
        "unpivot (select app_id, clicks, impressions from gold.campaign_daily) "
        "on clicks, impressions into name what value n) group by all",
    ),
)


def _cohorts(mart: str) -> Invariant:
    return Invariant(
        name=f"{mart}_covers_installs",
        promise="totals",
        why="the cohorts of day 0 are the installs, on both clocks",
        needs=("gold.attributed_installs", f"gold.{mart}"),
        sql=balance(
            "app_id, day_clock",
            "select app_id, day_clock, count(*) as n from gold.attributed_installs "
            "cross join (values ('calendar'), ('elapsed_24h')) as clocks(day_clock) group by all",
            f"select app_id, day_clock, sum(cohort_installs) as n from gold.{mart} where day_n = 0 group by all",
        ),
    )


# What is not money: test purchases, and receipts that the store did not confirm.
_COUNTED: Final = (
    "revenue_micros is not null and coalesce(environment, 'production') = 'production' "
    "and coalesce(receipt_state, 'none') <> 'invalid'"
)
_REVENUE_IN: Final = Invariant(
    name="revenue_in_is_revenue_out",
    promise="money",
    why="micros received by currency are the micros of the revenue events",
    needs=("silver.stg_app_events", "silver.int_revenue_events"),
    sql=balance(
        "app_id, currency",
        f"select app_id, currency, sum(revenue_micros) as n from silver.stg_app_events where {_COUNTED} group by all",
        "select app_id, currency, sum(amount_micros) as n from silver.int_revenue_events group by all",
    ),
)
_REVENUE_USD: Final = Invariant(
    name="revenue_has_a_value_in_usd",
    promise="money",
    why="every amount has an exchange rate; one without is missing in all marts",
    needs=("silver.int_revenue_events",),
    sql="select currency as subject, count(*) as expected, count(revenue_usd) as observed "
    "from silver.int_revenue_events group by currency",
)

INVARIANTS: Final[dict[str, Invariant]] = {
    invariant.name: invariant
    for invariant in (
        _RECEIVED,
        _ACCEPTED,
        _REJECTED,
        _INGESTION_DAILY,
        *(_counted_once(table.name) for table in RECORD_TABLES if table.name != "bronze_costs"),
        _COST_STATEMENTS,
        _ONE_DECISION,
        _ONE_WINNER,
        _OWN_APP,
        _CREDIT,
        _TOUCHES,
        _cohorts("cohort_retention"),
        _cohorts("cohort_revenue"),
        _REVENUE_IN,
        _REVENUE_USD,
    )
}
