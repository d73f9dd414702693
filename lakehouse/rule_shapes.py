"""What every rule file holds: its columns, what tells its rows apart, and what may stand in them. The one place to
declare a new rule file.

A file may have fewer columns than are declared here; which it must have says the header of the project's own file.
The terms are in `lakehouse.rule_files`; checking files against these shapes is in `lakehouse.rules`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from lakehouse import fraud_rules
from lakehouse.currencies import CURRENCIES
from lakehouse.rule_files import Column, Fault, Kind, Row, Shape

_FROM: Final = Column("valid_from", Kind.DATE)
_UNTIL: Final = Column("valid_until", Kind.DATE, required=False)
_MATCH_CLASSES: Final = ("deterministic", "probabilistic")
_SUBSCRIPTION_CODES: Final = ("trial_start", "trial_conversion", "subscription_start", "renewal", "cancellation")
CHANNEL_CODES: Final = ("paid_search", "social", "network", "affiliate", "referral", "owned", "organic", "unknown")
_ONE: Final = Decimal(1)
_ZERO: Final = Decimal(0)


def _loose(names: str) -> tuple[Column, ...]:
    """Columns that may be empty; a name may say its kind after a colon."""
    return tuple(
        Column(name, Kind(kind or "text"), required=False)
        for name, _, kind in (column.partition(":") for column in names.split())
    )


def _fraud_faults(tables: Mapping[str, Sequence[Row]]) -> list[Fault]:
    names = ("rule_fraud_rules", "rule_fraud_conditions", "rule_fraud_flags", "rule_fraud_thresholds")
    sentences = fraud_rules.faults_of(*(tables.get(name, ()) for name in names))
    return [Fault(fraud_rules.RULES, None, sentence.rstrip(".")) for sentence in sentences]


def _activity_faults(tables: Mapping[str, Sequence[Row]]) -> list[Fault]:
    if any(row["app_id"] == "*" for row in tables.get("rule_activity", ())):
        return []
    return [Fault("rule_activity.csv", None, "no row is for all apps: give one whose app_id is *")]


def _cohort_faults(tables: Mapping[str, Sequence[Row]]) -> list[Fault]:
    taken = ("install", "any")
    return [
        Fault("rule_cohort_events.csv", n, f"cohort_kind {row['cohort_kind']} is taken; choose another name")
        for n, row in enumerate(tables.get("rule_cohort_events", ()), start=2)
        if row["cohort_kind"] in taken
    ]


def _bracket_faults(tables: Mapping[str, Sequence[Row]]) -> list[Fault]:
    return [
        Fault("rule_retention_brackets.csv", n, "last_day lies before first_day")
        for n, row in enumerate(tables.get("rule_retention_brackets", ()), start=2)
        if row["first_day"].isdigit() and row["last_day"].isdigit() and int(row["last_day"]) < int(row["first_day"])
    ]


def _revenue_policy_faults(tables: Mapping[str, Sequence[Row]]) -> list[Fault]:
    name, rows = "rule_revenue_policies", tables.get("rule_revenue_policies", ())
    faults = (
        [] if any(row["app_id"] == "*" for row in rows) else [Fault(f"{name}.csv", None, "no row is for all apps (*)")]
    )
    for row in rows:
        if row["reporting_currency"] not in CURRENCIES:
            problem = f"reporting_currency {row['reporting_currency']} of app {row['app_id']} is no ISO 4217 code"
            faults.append(Fault(f"{name}.csv", None, problem))
    return faults


def _internal_traffic_faults(tables: Mapping[str, Sequence[Row]]) -> list[Fault]:
    name = "rule_internal_traffic"
    return [
        Fault(f"{name}.csv", None, f"device id {row['filter_value']} is not in lower case, as records have it")
        for row in tables.get(name, ())
        if row["filter_kind"] == "device_id" and row["filter_value"] != row["filter_value"].lower()
    ]


def _suffix_faults(tables: Mapping[str, Sequence[Row]]) -> list[Fault]:
    name, faults = "rule_campaign_suffixes", []
    for row in tables.get(name, ()):
        try:
            re.compile(row["suffix_pattern"])
        except re.error as error:
            problem = f"suffix_pattern {row['suffix_pattern']} is no regular expression ({error})"
            faults.append(Fault(f"{name}.csv", None, problem))
    return faults


SHAPES: Final[dict[str, Shape]] = {
    shape.name: shape
    for shape in (
        Shape(
            "rule_attribution_windows",
            (
                Column("app_id"),
                Column("partner", Kind.LOWER),
                Column("platform", Kind.LOWER),
                Column("conversion_type", choices=("*", "install", "reinstall", "reengagement")),
                Column("touch_type", refers="rule_touch_types"),
                Column("match_class", choices=_MATCH_CLASSES),
                _FROM,
                _UNTIL,
                Column("window_hours", Kind.INTEGER, least=_ZERO, most_lookback=True),
            ),
            key=("app_id", "partner", "platform", "conversion_type", "touch_type", "match_class"),
            base=("app_id", "partner", "platform", "conversion_type"),
        ),
        Shape(
            "rule_policies",
            (
                Column("app_id"),
                _FROM,
                _UNTIL,
                Column("reinstall_policy", choices=("af_organic_events", "keep_original", "new_after_window")),
                Column("reattribution_window_days", Kind.INTEGER, least=_ZERO),
                Column("att_second_install_hours", Kind.INTEGER, least=_ZERO),
                Column("inactivity_days", Kind.INTEGER, least=_ZERO, most=Decimal(30)),
                Column("reengagement_window_days", Kind.INTEGER, least=_ZERO),
                Column("event_attribution", choices=("to_install", "to_latest_reattribution", "double")),
                Column("rank_order", choices=("tier_time_method", "tier_method_time")),
            ),
            key=("app_id",),
            base=("app_id",),
        ),
        Shape(
            "rule_partners",
            (Column("app_id"), Column("partner", Kind.LOWER), _FROM, _UNTIL, Column("is_enabled", Kind.BOOLEAN)),
            key=("app_id", "partner"),
            base=("app_id", "partner"),
        ),
        Shape(
            "rule_match_methods",
            (
                Column("match_method"),
                Column("match_class", choices=_MATCH_CLASSES),
                Column("method_strength", Kind.INTEGER, least=_ONE),
                Column("meaning"),
            ),
            key=("match_method",),
            is_closed=True,
            unique=("method_strength",),
        ),
        Shape(
            "rule_touch_types",
            (
                Column("touch_type"),
                Column("match_class", choices=_MATCH_CLASSES),
                Column("tier", Kind.INTEGER, least=_ONE),
                Column("meaning"),
            ),
            key=("touch_type", "match_class"),
            is_closed=True,
        ),
        Shape(
            "rule_reason_codes",
            (
                Column("reason_code"),
                Column("applies_to", choices=("candidate", "decision")),
                Column("is_eligible", Kind.BOOLEAN),
                Column("meaning"),
            ),
            key=("reason_code",),
            is_closed=True,
        ),
        Shape(
            "rule_risk_bands",
            (
                Column("risk_band"),
                Column("min_probability", Kind.NUMBER, least=_ZERO, most=_ONE),
                Column("max_probability", Kind.NUMBER, least=_ZERO),
            ),
            key=("risk_band",),
            ascending=(("min_probability", "max_probability"),),
        ),
        Shape(
            "rule_mmp_partners",
            (
                Column("vendor", Kind.LOWER),
                Column("vendor_partner", Kind.LOWER),
                Column("partner", Kind.LOWER),
                Column("is_self_reporting", Kind.BOOLEAN),
            ),
            key=("vendor", "vendor_partner"),
        ),
        Shape(
            "rule_mmp_differences",
            (Column("difference_class"), Column("sort_order", Kind.INTEGER, least=_ONE), Column("meaning")),
            key=("difference_class",),
            is_closed=True,
        ),
        Shape(
            "rule_multi_touch_models",
            (
                Column("app_id"),
                Column("model"),
                _FROM,
                _UNTIL,
                Column("rule"),
                Column("first_share", Kind.NUMBER, required=False, least=_ZERO, most=_ONE),
                Column("last_share", Kind.NUMBER, required=False, least=_ZERO, most=_ONE),
                Column("two_touches", required=False),
                Column("half_life_hours", Kind.NUMBER, required=False, least=_ZERO),
                Column("meaning"),
            ),
            key=("app_id", "model"),
        ),
        Shape(
            "rule_direct_channels",
            (Column("app_id"), Column("partner", Kind.LOWER), _FROM, _UNTIL, Column("meaning")),
            key=("app_id", "partner"),
        ),
        # What stands in the cells of fraud rules depends on other cells and files: `lakehouse.fraud_rules` says it all.
        Shape(
            "rule_fraud_rules",
            _loose(
                "rule_id priority:integer action rule_kind source_type status score:integer reason_code valid_from:date"
                " valid_until:date version:integer description"
            ),
            key=("rule_id",),
            check=_fraud_faults,
        ),
        Shape(
            "rule_fraud_conditions",
            _loose("rule_id any_group:integer attribute operator compared_with"),
            key=("rule_id", "any_group", "attribute", "operator", "compared_with"),
        ),
        Shape(
            "rule_fraud_flags",
            (
                Column("flag_code"),
                Column("flag_scope", choices=("touch", "conversion", "both", "site", "candidate")),
                Column("score", Kind.INTEGER, least=_ZERO, most=Decimal(100)),
                Column("meaning"),
            ),
            key=("flag_code",),
        ),
        Shape(
            "rule_fraud_thresholds",
            _loose("threshold valid_from:date threshold_value:number unit larger_means smaller_means"),
            key=("threshold", "valid_from"),
        ),
        Shape(
            "rule_fraud_baselines",
            (Column("app_id"), Column("partner", Kind.LOWER), Column("site_id")),
            key=("app_id", "partner", "site_id"),
        ),
        Shape(
            "rule_finality",
            (
                Column("source"),
                Column("horizon_days", Kind.INTEGER, least=_ONE),
                Column("min_history_days", Kind.INTEGER, least=_ONE),
                Column("settling_share", Kind.NUMBER, least=_ZERO, most=_ONE),
                Column("final_share", Kind.NUMBER, least=_ZERO, most=_ONE),
            ),
            key=("source",),
            is_closed=True,
            ascending=(("settling_share", "final_share"),),
        ),
        Shape(
            "rule_measure_sources",
            (
                Column("mart"),
                Column("measure"),
                Column("source", refers="rule_finality"),
                Column("days_before", Kind.INTEGER, least=_ZERO, most=Decimal(400)),
                Column("days_after", Kind.INTEGER, least=_ZERO, most=Decimal(400)),
            ),
            key=("mart", "measure", "source"),
            is_closed=True,
        ),
        Shape(
            "rule_ip_lists",
            (Column("ip_prefix"), Column("ip_class", Kind.LOWER), Column("list_source", required=False)),
            key=("ip_prefix", "ip_class"),
        ),
        Shape(
            "rule_integrity_verdicts",
            (Column("integrity_verdict"), Column("flag_code", refers="rule_fraud_flags"), Column("meaning")),
            key=("integrity_verdict",),
        ),
        Shape(
            "rule_activity",
            (
                Column("app_id"),
                Column("week_starts_on", Kind.INTEGER, least=_ONE, most=Decimal(7)),
                Column("churn_days", Kind.INTEGER, least=_ONE, most=Decimal(365)),
            ),
            key=("app_id",),
            check=_activity_faults,
        ),
        Shape(
            "rule_cohort_events",
            (Column("app_id"), Column("event_name"), Column("cohort_kind")),
            key=("app_id", "event_name"),
            check=_cohort_faults,
        ),
        Shape(
            "rule_retention_brackets",
            (
                Column("bracket_n", Kind.INTEGER, least=_ZERO, most=Decimal(62)),
                Column("first_day", Kind.INTEGER, least=_ZERO, most=Decimal(400)),
                Column("last_day", Kind.INTEGER, least=_ZERO, most=Decimal(400)),
            ),
            key=("bracket_n",),
            check=_bracket_faults,
        ),
        Shape(
            "rule_store_fees",
            (
                Column("app_id"),
                Column("store", Kind.LOWER),
                Column("platform", Kind.LOWER),
                Column("product_class", choices=("purchase", "subscription", "subscription_after_year")),
                Column("programme", choices=("standard", "small_business")),
                _FROM,
                _UNTIL,
                Column("fee_rate", Kind.NUMBER, least=_ZERO, most=_ONE),
                Column("meaning"),
            ),
            key=("app_id", "store", "platform", "product_class", "programme"),
            base=("app_id", "store", "platform"),
        ),
        Shape(
            "rule_revenue_policies",
            (
                Column("app_id"),
                Column("reporting_currency"),
                Column("small_business_from", Kind.DATE, required=False),
                Column("small_business_until", Kind.DATE, required=False),
            ),
            key=("app_id",),
            check=_revenue_policy_faults,
        ),
        Shape(
            "rule_subscription_events",
            (
                Column("app_id"),
                Column("event_name", Kind.LOWER),
                Column("subscription_code", choices=_SUBSCRIPTION_CODES),
            ),
            key=("app_id", "event_name"),
        ),
        Shape(
            "rule_internal_traffic",
            (
                Column("app_id"),
                Column("filter_kind", choices=("install_id", "device_id", "user_id", "ip_prefix", "app_version")),
                Column("filter_value"),
                Column("meaning", required=False),
            ),
            key=("app_id", "filter_kind", "filter_value"),
            check=_internal_traffic_faults,
        ),
        Shape(
            "rule_channels",
            (
                Column("app_id"),
                Column("priority", Kind.INTEGER, least=_ZERO),
                Column("partner_pattern", Kind.LOWER),
                Column("medium_pattern", Kind.LOWER),
                Column("channel_code", choices=CHANNEL_CODES),
                Column("meaning", required=False),
            ),
            key=("app_id", "priority"),
        ),
        Shape(
            "rule_campaign_suffixes",
            (Column("partner", Kind.LOWER), Column("suffix_pattern"), Column("meaning", required=False)),
            key=("partner", "suffix_pattern"),
            check=_suffix_faults,
        ),
        Shape(
            "fx_rates",
            (Column("currency"), _FROM, Column("usd_per_unit", Kind.NUMBER, least=_ZERO)),
            key=("currency",),
        ),
    )
}
