"""The identities that hold between tables of the lake (see `invariants` for their form).

P3: nothing disappears on the way in. P4: every record is counted once. P6: one winner per conversion. Money that comes
in goes out. A total is the sum of its parts.
"""

from __future__ import annotations

from typing import Final

from lakehouse.contract import RECORD_TABLES
from quality.invariants import Invariant, balance, same_keys
from quality.money import MONEY_INVARIANTS

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
        "unpivot (select coalesce(app_id, '') as app_id, ingest_date, sum(received) as received, "
        "sum(accepted) as accepted, sum(rejected) as rejected from bronze.bronze_receipts group by all) "
        "on received, accepted, rejected into name what value n",
        "unpivot (select app_id, ingest_date, received, accepted, rejected from gold.ingestion_daily) "
        "on received, accepted, rejected into name what value n",
    ),
)

# Silver keeps one row per business key of these, not per record.
_OWN_KEYS: Final = ("bronze_costs", "bronze_skan_postbacks")


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
_POSTBACKS: Final = Invariant(
    name="stg_skan_postbacks_counts_once",
    promise="P4",
    why="every postback (app, transaction, sequence) of bronze is in silver exactly once, however often it was sent",
    needs=("silver.stg_skan_postbacks",),
    sql=same_keys(
        "stg_skan_postbacks",
        "app_id, transaction_id, sequence",
        "(select app_id, transaction_id, coalesce(postback_sequence_index, 0) as sequence "
        "from bronze.bronze_skan_postbacks)",
        "(select app_id, transaction_id, postback_sequence_index as sequence from silver.stg_skan_postbacks)",
    ),
)
_ONE_DECISION: Final = Invariant(
    name="one_primary_decision_per_install",
    promise="P6",
    why="every install that counts has exactly one primary decision; organic is one of the channels",
    needs=("silver.int_conversions", "gold.attributed_installs"),
    sql=same_keys(
        "installs",
        "app_id, install_id",
        "(select app_id, install_id from silver.int_conversions where is_counted)",
        "(select app_id, install_id from gold.attributed_installs where is_primary)",
    ),
)
_EVERY_CONVERSION: Final = Invariant(
    name="one_primary_decision_per_conversion",
    promise="P6",
    why="installs, reinstalls and returns each have exactly one primary decision",
    needs=("silver.int_conversions", "gold.attribution_decisions"),
    sql=same_keys(
        "conversions",
        "app_id, conversion_id",
        "silver.int_conversions",
        "(select app_id, conversion_id from gold.attribution_decisions where is_primary)",
    ),
)
_EVENT_CREDIT: Final = Invariant(
    name="events_are_credited_once",
    promise="P6",
    why="of the rows of an event one is primary, so credited revenue is the revenue of known installs",
    needs=("silver.int_revenue_events", "silver.int_installs", "gold.attributed_events"),
    sql=same_keys(
        "revenue events",
        "app_id, record_id, revenue_usd",
        "(select r.app_id, r.record_id, r.revenue_usd from silver.int_revenue_events r "
        "semi join silver.int_installs i on r.app_id = i.app_id and r.install_id = i.install_id)",
        "(select app_id, record_id, revenue_usd from gold.attributed_events "
        "where is_primary and amount_micros is not null)",
    ),
)
_ONE_WINNER: Final = Invariant(
    name="winner_is_a_candidate",
    promise="P6",
    why="an attributed install has one winning candidate, the touch it names; an organic one has none",
    needs=("gold.attribution_candidates", "gold.attribution_decisions", "gold.attributed_installs"),
    sql=same_keys(
        "winning touches",
        "app_id, conversion_id, touch_id",
        "(select app_id, conversion_id, touch_id from gold.attributed_installs "
        "where touch_id is not null and is_primary)",
        # What would have won a blocked conversion has won nothing.
        "(select app_id, conversion_id, touch_id from gold.attribution_candidates where is_winner "
        "and conversion_type = 'install' and "
        "(app_id, conversion_id) not in "
        "(select app_id, conversion_id from gold.attribution_decisions where is_blocked))",
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
        where w.touch_id is not null
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
_MULTI_TOUCH: Final = Invariant(
    name="multi_touch_credits_sum_to_installs",
    promise="P6",
    why="every model in force credits all installs of a date, organic among them, to the last billionth",
    needs=("rules.rule_multi_touch_models", "gold.attributed_installs", "gold.multi_touch_credit"),
    sql=balance(
        "app_id, model",
        """
        select app_id, model, count(*)::decimal(18, 9) as n
        from (
            select distinct i.app_id, i.install_id, r.model
            from gold.attributed_installs as i
            inner join rules.rule_multi_touch_models as r
                on r.app_id in (i.app_id, '*') and i.install_date >= r.valid_from
                and (r.valid_until is null or i.install_date < r.valid_until)
            where i.is_primary
        ) group by all
        """,
        "select app_id, model, sum(credited_conversions) as n from gold.multi_touch_credit group by all",
    ),
)
_CHANNEL_CREDIT: Final = Invariant(
    name="channel_credits_sum_to_installs",
    promise="P6",
    why="Markov and Shapley models credit all installs of a month but blocked ones, to the last billionth",
    needs=("gold.attributed_installs", "gold.channel_credit"),
    sql=balance(
        "app_id, month, level, model",
        """
        select i.app_id, i.month, m.level, m.model, i.n
        from (
            select app_id, date_trunc('month', install_date)::date as month, count(*)::decimal(18, 9) as n
            from gold.attributed_installs where is_primary and not is_blocked group by all
        ) as i
        inner join (select distinct app_id, month, level, model from gold.channel_credit) as m
            on i.app_id = m.app_id and i.month = m.month
        """,
        "select app_id, month, level, model, sum(credited_conversions) as n from gold.channel_credit group by all",
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
        "where record_type in ('click', 'impression') and environment = 'production' group by all",
        "select app_id, rtrim(what, 's') as record_type, sum(n) as n from ("
        "unpivot (select app_id, clicks, impressions from gold.campaign_daily) "
        "on clicks, impressions into name what value n) group by all",
    ),
)

_REJECTED_TOUCHES: Final = Invariant(
    name="fraud_daily_counts_rejections",
    promise="P7",
    why="every candidate and conversion that a fraud rule rejected is counted once, under its rule",
    needs=("gold.attribution_candidates", "gold.attribution_decisions", "gold.fraud_daily"),
    sql=balance(
        "app_id, rule_id",
        "select app_id, fraud_rule_id as rule_id, count(*) as n from (select app_id, fraud_rule_id from "
        "gold.attribution_candidates union all select app_id, fraud_rule_id from gold.attribution_decisions) "
        "where fraud_rule_id is not null group by all",
        "select app_id, rule_id, sum(rejected_candidates + blocked_conversions) as n "
        "from gold.fraud_daily group by all",
    ),
)

_FINALITY: Final = Invariant(
    name="measures_are_held_back_by_their_source",
    promise="totals",
    why="a number that is not final is in the state of the day of records that holds it back",
    needs=("gold.mart_finality", "gold.measure_finality"),
    # A day whose end the app's data have not reached is open, whatever has arrived of it.
    sql="""
        select m.mart || ' ' || m.measure as subject, count(*) as expected,
               count(*) filter (m.status = f.status) as observed
        from gold.measure_finality as m
        inner join gold.mart_finality as f
            on m.app_id = f.app_id and m.limiting_source = f.source and m.limiting_date = f.date
        where m.reason is distinct from 'days_not_over'
        group by m.mart, m.measure
    """,
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


INVARIANTS: Final[dict[str, Invariant]] = {
    invariant.name: invariant
    for invariant in (
        _RECEIVED,
        _ACCEPTED,
        _REJECTED,
        _INGESTION_DAILY,
        *(_counted_once(table.name) for table in RECORD_TABLES if table.name not in _OWN_KEYS),
        _COST_STATEMENTS,
        _POSTBACKS,
        _ONE_DECISION,
        _EVERY_CONVERSION,
        _EVENT_CREDIT,
        _ONE_WINNER,
        _OWN_APP,
        _CREDIT,
        _MULTI_TOUCH,
        _CHANNEL_CREDIT,
        _TOUCHES,
        _REJECTED_TOUCHES,
        _FINALITY,
        _cohorts("cohort_retention"),
        _cohorts("cohort_revenue"),
        *MONEY_INVARIANTS,
    )
}
