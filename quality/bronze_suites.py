"""What must be true of each bronze table: the endpoint's promises about single records, checked once they have landed.

Values come from the record contract. Identities between tables are in `invariants`, not here.
"""

from __future__ import annotations

from typing import Final

from lakehouse.contract import (
    ENVIRONMENTS,
    PLATFORMS,
    RECORD_TABLES,
    REJECT_RAW_LIMIT,
    SOURCES,
    BronzeTable,
)
from lakehouse.currencies import CURRENCIES
from quality.outcome import Severity
from quality.suite import Expectation, Suite, has_rows, is_between, is_filled, is_one_of, never, plain

# Without app events there is nothing to stand on; the others may not have come yet.
_NEEDED: Final = frozenset({"bronze_app_events"})
_CODE: Final = "^[a-z][a-z0-9_]*$"


def _blank(column: str) -> str:
    return f"{column} is null or trim({column}) = ''"


# Every table of records
_RECORD_COLUMNS: Final = {
    **plain("app_id", "record_type", "platform", "environment", "source", "ingest_date"),
    "has_no_record_id": _blank("record_id"),
    "has_no_payload_hash": _blank("payload_hash"),
    "has_no_event_at": "event_at is null",
    "has_no_received_at": "received_at is null",
    "has_other_ingest_date": "ingest_date is distinct from received_at::date",
    "has_other_event_date": "event_date is distinct from event_at::date",
    "is_far_in_future": "event_at > received_at + interval 25 hours",
    "is_far_in_past": "event_at < timestamptz '1970-01-01 00:00:00+00'",
    "has_unmarked_event_at": "is_event_at_missing is null or (is_event_at_missing and event_at <> received_at)",
}
_RECORD_TOTALS: Final = {"missing_event_at_share": "coalesce(avg(is_event_at_missing::int), 0)"}


def _record_expectations(table: BronzeTable) -> tuple[Expectation, ...]:
    arrived = has_rows("no record of this kind has ever arrived")
    return (
        *((arrived,) if table.name in _NEEDED else ()),
        is_filled("app_id", "a record belongs to an app"),
        never("has_no_record_id", "(app_id, record_id) is the key everything is counted by"),
        is_filled("record_type", "the record type decides the rules"),
        is_one_of("record_type", table.record_types, "the table takes these record types only"),
        is_one_of("platform", PLATFORMS, "platforms of the contract"),
        is_one_of("environment", ENVIRONMENTS, "environments of the contract"),
        is_filled("source", "the endpoint sets the way a record came in"),
        is_one_of("source", SOURCES, "sources of the contract"),
        never("has_no_payload_hash", "the hash breaks ties between copies"),
        never("has_no_event_at", "event_at is received_at when the sender gives none"),
        never("has_no_received_at", "received_at is the endpoint's clock"),
        never("has_other_ingest_date", "ingest_date is the UTC date of received_at, the partition"),
        never("has_other_event_date", "event_date is the UTC date of event_at"),
        never("is_far_in_future", "the endpoint refuses events later than its clock plus a day", "warning"),
        never("is_far_in_past", "the endpoint refuses events before its earliest date"),
        never("has_unmarked_event_at", "an event time that we made up is marked and equals received_at"),
        is_between("missing_event_at_share", 0, 0.2, "senders should give event_at", "warning", on_totals=True),
    )


# What a table adds to that: columns, expectations
_EXTRA: Final[dict[str, tuple[dict[str, str], tuple[Expectation, ...]]]] = {
    "bronze_touchpoints": (
        {
            "has_no_partner": _blank("partner"),
            "has_unwritten_partner_case": "partner <> lower(partner)",
            "has_zero_device_id": (
                "regexp_full_match(coalesce(gaid, '') || coalesce(idfa, '') || coalesce(idfv, ''), '[0-]+')"
            ),
            "has_amount_without_currency": "cost_micros is not null and currency is null",
        },
        (
            never("has_no_partner", "a touch belongs to a partner"),
            never("has_unwritten_partner_case", "partners are written in lower case", "warning"),
            never("has_zero_device_id", "an id of zeros is null and never a join key"),
            never("has_amount_without_currency", "an amount without currency is worth nothing"),
        ),
    ),
    "bronze_app_events": (
        {
            **plain("currency", "receipt_state"),
            "has_no_person": f"({_blank('install_id')}) and ({_blank('user_id')})",
            "has_no_install_id": f"record_type in ('install', 'session', 'uninstall') and ({_blank('install_id')})",
            "has_no_event_name": f"record_type = 'event' and ({_blank('event_name')})",
            "has_no_ad_revenue": "record_type = 'ad_revenue' and revenue_micros is null",
            "has_amount_without_currency": "revenue_micros is not null and currency is null",
            "has_negative_ad_revenue": "record_type = 'ad_revenue' and revenue_micros < 0",
            "has_huge_amount": "abs(revenue_micros) > 100000 * 1000000::bigint and currency in ('USD', 'EUR', 'GBP')",
            "has_negative_session_length": "session_length_s < 0",
            "has_zero_device_id": (
                "regexp_full_match(coalesce(gaid, '') || coalesce(idfa, '') || coalesce(idfv, ''), '[0-]+')"
            ),
        },
        (
            never("has_no_person", "a record nobody can be told by is of no use"),
            never("has_no_install_id", "installs, sessions and uninstalls name their install"),
            never("has_no_event_name", "an in-app event has a name"),
            never("has_no_ad_revenue", "an ad_revenue record has an amount"),
            never("has_amount_without_currency", "an amount without currency is worth nothing"),
            is_one_of("currency", sorted(CURRENCIES), "ISO 4217"),
            never("has_negative_ad_revenue", "networks do not charge for showing their ads", "warning"),
            never("has_huge_amount", "above 100,000 in one record: micros sent as units?", "warning"),
            never("has_negative_session_length", "a session does not end before it begins", "warning"),
            never("has_zero_device_id", "an id of zeros is null and never a join key"),
        ),
    ),
    "bronze_costs": (
        {
            **plain("currency"),
            "has_no_partner": _blank("partner"),
            "has_no_cost_date": "cost_date is null",
            "has_no_cost": "cost_micros is null",
            "has_negative_cost": "cost_micros < 0",
            "has_negative_count": "least(impressions, clicks, installs) < 0",
        },
        (
            never("has_no_partner", "spend belongs to a partner"),
            never("has_no_cost_date", "spend belongs to a day"),
            never("has_no_cost", "a cost row has an amount"),
            is_filled("currency", "an amount without currency is worth nothing"),
            is_one_of("currency", sorted(CURRENCIES), "ISO 4217"),
            never("has_negative_cost", "credits lower a day's total, they do not stand alone", "warning"),
            never("has_negative_count", "partners count from zero", "warning"),
        ),
    ),
    "bronze_skan_postbacks": (
        {
            **plain("postback_sequence_index", "coarse_conversion_value"),
            "has_no_transaction": _blank("transaction_id"),
            "has_other_fine_value": "conversion_value not between 0 and 63",
        },
        (
            never("has_no_transaction", "Apple's transaction id makes a postback countable once"),
            never("has_other_fine_value", "a fine conversion value has six bits"),
            is_one_of("postback_sequence_index", [0, 1, 2], "SKAdNetwork 4 sends three postbacks"),
            is_one_of("coarse_conversion_value", ["low", "medium", "high"], "coarse values of SKAdNetwork 4"),
        ),
    ),
    "bronze_consents": ({}, ()),
}


def _record_suite(table: BronzeTable) -> Suite:
    columns, expectations = _EXTRA[table.name]
    return Suite(
        name=table.name,
        table=f"bronze.{table.name}",
        columns=_RECORD_COLUMNS | columns,
        expectations=_record_expectations(table) + expectations,
        date_column="ingest_date",
        totals=_RECORD_TOTALS,
        missing_severity=_missing(table.name),
    )


def _missing(name: str) -> Severity:
    return "critical" if name in _NEEDED else "warning"


_REJECTS: Final = Suite(
    name="bronze_rejects",
    table="bronze.bronze_rejects",
    columns={
        **plain("reason_code", "ingest_date"),
        "has_no_message": _blank("message"),
        "has_other_ingest_date": "ingest_date is distinct from received_at::date",
        "has_no_position": "position is null or position < 0",
        "has_too_much_raw": f"octet_length(raw) > {REJECT_RAW_LIMIT}",
        "has_lost_raw": f"raw_length <= {REJECT_RAW_LIMIT} and octet_length(raw) is distinct from raw_length",
        "has_no_hash": f"raw_length > {REJECT_RAW_LIMIT} and raw_sha256 is null",
    },
    expectations=(
        is_filled("reason_code", "a reject says why"),
        Expectation(
            "ExpectColumnValuesToMatchRegex", "reason_code", "codes are countable words", "warning", {"regex": _CODE}
        ),
        never("has_no_message", "a reject says in words what to mend"),
        never("has_other_ingest_date", "ingest_date is the UTC date of received_at, the partition"),
        never("has_no_position", "a reject says which record of the request it was"),
        never("has_too_much_raw", "raw bytes are kept up to a limit"),
        never("has_lost_raw", "raw bytes are kept whole up to the limit"),
        never("has_no_hash", "what is cut keeps its hash"),
    ),
    date_column="ingest_date",
    missing_severity="warning",
)

_RECEIPTS: Final = Suite(
    name="bronze_receipts",
    table="bronze.bronze_receipts",
    columns={
        **plain("ingest_date"),
        "has_no_writer": _blank("writer"),
        "has_lost_records": "received <> accepted + rejected",
        "has_negative_count": "least(requests, received, accepted, rejected, bytes) < 0",
        "has_null_count": "received is null or accepted is null or rejected is null",
    },
    totals={"reject_share": "coalesce(sum(rejected) / nullif(sum(received), 0), 0)"},
    expectations=(
        has_rows("nothing has ever been received"),
        is_filled("ingest_date", "receipts are counted by day"),
        never("has_no_writer", "a receipt names the spool that took the requests"),
        never("has_lost_records", "accepted + rejected = received"),
        never("has_negative_count", "counts start at zero"),
        never("has_null_count", "counts are known"),
        is_between("reject_share", 0, 0.1, "many rejects mean a broken sender", "warning", on_totals=True),
    ),
    date_column="ingest_date",
)

_NETWORK: Final = Suite(
    name="bronze_network",
    table="bronze.bronze_network",
    columns={
        **plain("app_id", "ingest_date"),
        "has_no_record_id": _blank("record_id"),
        "has_other_ingest_date": "ingest_date is distinct from received_at::date",
        "is_empty": "ip is null and user_agent is null",
    },
    expectations=(
        is_filled("app_id", "a record belongs to an app"),
        never("has_no_record_id", "network data belongs to a record"),
        never("has_other_ingest_date", "whole ingest dates are dropped after their time"),
        never("is_empty", "a row without network data keeps nothing", "warning"),
    ),
    date_column="ingest_date",
    missing_severity="warning",
)

BRONZE_SUITES: Final = (*(_record_suite(table) for table in RECORD_TABLES), _REJECTS, _RECEIPTS, _NETWORK)
