"""Dates of what partners and Apple report, cost statements and postbacks: part of the date sets of a plan."""

from __future__ import annotations

from datetime import date

import duckdb

from lakehouse.plan_queries import dates_of


def reported_dates(connection: duckdb.DuckDBPyConnection) -> tuple[set[date], set[date]]:
    """Cost days of new costs, and UTC dates of new postbacks; both with those of the known rows that they reach."""
    costs = dates_of(
        connection,
        """
        select cost_date from bronze_new.bronze_costs
        union select s.cost_date from silver.stg_cost_statements s
            semi join bronze_new.bronze_costs n on s.app_id = n.app_id and s.record_id = n.record_id
        """,
    )
    postbacks = dates_of(
        connection,
        """
        with arrived as (
            select app_id, record_id, transaction_id, coalesce(postback_sequence_index, 0) as postback_sequence_index,
                event_date
            from bronze_new.bronze_skan_postbacks
        ),
        known as (
            select s.app_id, s.transaction_id, s.postback_sequence_index, s.event_date
            from silver.stg_skan_deliveries s semi join arrived using (app_id, record_id)
        ),
        -- A copy may leave the transaction that it was told of before, in which another delivery is the first then.
        transactions as (
            select app_id, transaction_id, postback_sequence_index from arrived
            union select app_id, transaction_id, postback_sequence_index from known
        )
        select event_date from arrived union select event_date from known
        union select s.event_date from silver.stg_skan_deliveries s
            semi join transactions using (app_id, transaction_id, postback_sequence_index)
        """,
    )
    return costs, postbacks
