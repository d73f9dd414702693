"""What must be true of each mart by itself: grain, ranges, and columns that must agree within a row.

Whether a mart agrees with the tables it is made from is in `invariants`.
"""

from __future__ import annotations

from typing import Final

from quality.outcome import Severity
from quality.suite import (
    Expectation,
    Suite,
    has_rows,
    is_between,
    is_filled,
    is_like,
    is_one_of,
    is_unique,
    key,
    never,
    plain,
)

_MATCH_METHODS: Final = ("click_id", "referrer", "ad_id", "vendor_id", "user_id", "fingerprint")
_CLOCKS: Final = ("calendar", "elapsed_24h")
_CAMPAIGN: Final = ("app_id", "platform", "partner", "campaign_id")


def _never_all(conditions: dict[str, tuple[str, str, Severity]]) -> tuple[dict[str, str], tuple[Expectation, ...]]:
    """Columns and expectations of conditions {name: (SQL, why, severity)} that hold on no row."""
    columns = {name: sql for name, (sql, _, _) in conditions.items()}
    return columns, tuple(never(name, why, severity) for name, (_, why, severity) in conditions.items())


def _mart(
    name: str,
    grain: tuple[str, ...],
    date_column: str,
    conditions: dict[str, tuple[str, str, Severity]],
    *expectations: Expectation,
    columns: dict[str, str] | None = None,
    totals: dict[str, str] | None = None,
    missing_severity: Severity = "critical",
) -> Suite:
    asked, nevers = _never_all(conditions)
    return Suite(
        name=name,
        table=f"gold.{name}",
        columns=plain("app_id") | (columns or {}) | key(*grain) | asked,
        expectations=(
            has_rows("an empty mart answers no question"),
            is_unique(f"one row per {' x '.join(grain)}"),
            is_filled("app_id", "a row belongs to an app"),
            *expectations,
            *nevers,
        ),
        date_column=date_column,
        totals=totals or {},
        missing_severity=missing_severity,
    )


_INSTALLS: Final = _mart(
    "attributed_installs",
    ("app_id", "install_id"),
    "install_date",
    {
        "has_no_install": ("install_id is null or install_at is null", "an install has an id and a time", "critical"),
        "has_other_date": (
            "install_date is distinct from install_at::date",
            "install_date is the UTC date of install_at, the partition",
            "critical",
        ),
        "is_organic_with_touch": (
            "is_organic and (touch_id is not null or partner <> 'organic' or match_method is not null)",
            "organic means that no touch won",
            "critical",
        ),
        "is_attributed_without_touch": (
            "not is_organic and (touch_id is null or partner = 'organic' or match_method is null)",
            "an attributed install names the touch and how it matched",
            "critical",
        ),
        "is_touched_after_install": ("touch_at > install_at", "a touch that wins lies before the install", "critical"),
        "has_other_elapsed": (
            "click_to_install_s < 0",
            "time from touch to install is not negative",
            "critical",
        ),
        "has_odd_counts": (
            "not (candidate_count >= eligible_count and eligible_count >= 0)",
            "eligible candidates are among the candidates",
            "critical",
        ),
        "is_organic_in_spite_of_candidates": (
            "is_organic and eligible_count > 0",
            "the best eligible candidate wins",
            "critical",
        ),
        "is_not_primary": ("is_primary is not true", "this mart holds primary decisions only", "critical"),
        "has_no_ruleset": ("ruleset_id is null", "a decision names the rules that made it", "critical"),
        "has_no_country": ("country is null and not is_implied", "geography is asked for in most reports", "warning"),
    },
    is_filled("partner", "organic is a channel of its own"),
    is_filled("is_organic", "either organic or not"),
    is_one_of("match_method", _MATCH_METHODS, "methods of the rules"),
    is_between(
        "organic_share", 0.02, 0.98, "all or nothing organic means that matching is broken", "warning", on_totals=True
    ),
    columns=plain("platform", "partner", "is_organic", "match_method"),
    totals={"organic_share": "avg(is_organic::int) filter (not is_implied)"},
)

_CANDIDATES: Final = _mart(
    "attribution_candidates",
    ("app_id", "conversion_id", "touch_id"),
    "install_date",
    {
        "has_no_conversion": ("conversion_id is null or touch_id is null", "a candidate joins two records", "critical"),
        "has_second_winner": (
            "is_winner and count(*) filter (is_winner) over (partition by app_id, conversion_id) > 1",
            "one winner per conversion",
            "critical",
        ),
        "is_winner_ineligible": ("is_winner and not is_eligible", "only an eligible touch wins", "critical"),
        "has_no_reason": (
            "not is_winner and reason_code is null",
            "every candidate that lost says why",
            "critical",
        ),
        "is_eligible_outside_window": (
            "is_eligible and (elapsed_s > window_s or elapsed_s < 0)",
            "an eligible touch lies inside its window",
            "critical",
        ),
        "has_no_rank": ("is_eligible and candidate_rank is null", "eligible candidates are ranked", "critical"),
        "is_winner_not_first": ("is_winner and candidate_rank <> 1", "the first in rank wins", "critical"),
    },
    is_filled("is_winner", "either won or not"),
    is_filled("is_eligible", "either eligible or not"),
    is_like("reason_code", "^[a-z][a-z0-9_]*$", "codes are countable words"),
    is_filled("partner", "a touch belongs to a partner"),
    columns=plain("partner", "touch_type", "match_method", "reason_code", "is_winner", "is_eligible"),
)

_DECISIONS: Final = _mart(
    "attribution_decisions",
    ("app_id", "conversion_id"),
    "install_date",
    {"has_no_conversion": ("conversion_id is null", "a decision is about a conversion", "critical")},
)

_CAMPAIGN_DAILY: Final = _mart(
    "campaign_daily",
    ("app_id", "date", *_CAMPAIGN[1:]),
    "date",
    {
        "has_negative_count": ("least(impressions, clicks, installs) < 0", "counts start at zero", "critical"),
        "has_negative_cost": ("cost_usd < 0", "credits do not exceed a day's spend", "warning"),
        "is_mature_out_of_order": (
            "(is_mature_d30 and not is_mature_d7) or (is_mature_d7 and not is_mature_d0)",
            "a cohort that is 30 days old is also 7 days old",
            "critical",
        ),
        "has_immature_revenue": (
            "(not is_mature_d7 and revenue_d7_usd is not null) or (not is_mature_d30 and revenue_d30_usd is not null)",
            "a number that can still grow is not shown",
            "critical",
        ),
        "has_shrinking_revenue": (
            "revenue_d30_usd < revenue_d7_usd or revenue_d7_usd < revenue_d0_usd",
            "cumulative revenue falls only by refunds",
            "warning",
        ),
        "has_odd_organic": (
            "partner = 'organic' and (cost_usd > 0 or clicks > 0 or impressions > 0)",
            "organic installs have neither cost nor touches",
            "critical",
        ),
    },
    is_filled("date", "the grain is a day"),
    is_filled("partner", "organic is a channel of its own"),
    columns=plain("date", "partner"),
)

_RETENTION: Final = _mart(
    "cohort_retention",
    ("app_id", "install_date", *_CAMPAIGN[1:], "day_clock", "day_n"),
    "install_date",
    {
        "has_odd_counts": (
            "not (cohort_installs >= mature_installs and mature_installs >= 0)",
            "mature installs are among the cohort's",
            "critical",
        ),
        "is_above_one": ("retained_installs > mature_installs", "retention is at most 100 %", "critical"),
        "has_immature_cell": (
            "(mature_installs = 0) <> (retained_installs is null)",
            "a cell is empty exactly while no install of it is mature",
            "critical",
        ),
    },
    is_one_of("day_clock", _CLOCKS, "both clocks by their names"),
    is_filled("day_clock", "a day number needs a clock"),
    is_filled("day_n", "the grain is a day number"),
    is_between("day_n", 0, 30, "D0 to D30"),
    columns=plain("day_clock", "day_n", "partner"),
)

_REVENUE: Final = _mart(
    "cohort_revenue",
    ("app_id", "install_date", *_CAMPAIGN[1:], "day_clock", "day_n"),
    "install_date",
    {
        "has_odd_counts": (
            "not (cohort_installs >= mature_installs and mature_installs >= 0)",
            "mature installs are among the cohort's",
            "critical",
        ),
        "has_too_many_payers": ("paying_installs > mature_installs", "payers are among the mature", "critical"),
        "has_immature_cell": (
            "(mature_installs = 0) <> (cumulative_revenue_usd is null)",
            "a cell is empty exactly while no install of it is mature",
            "critical",
        ),
    },
    is_one_of("day_clock", _CLOCKS, "both clocks by their names"),
    is_filled("day_clock", "a day number needs a clock"),
    is_between("day_n", 0, 30, "D0 to D30"),
    columns=plain("day_clock", "day_n", "partner"),
)

_INGESTION: Final = _mart(
    "ingestion_daily",
    ("app_id", "ingest_date"),
    "ingest_date",
    {
        "has_lost_records": ("received <> accepted + rejected", "accepted + rejected = received", "critical"),
        "has_negative_count": (
            "least(received, accepted, rejected, duplicates) < 0",
            "counts start at zero",
            "critical",
        ),
        "has_too_many_duplicates": ("duplicates > accepted", "a duplicate was accepted", "critical"),
        "has_many_duplicates": (
            "duplicates > 0.2 * accepted",
            "a fifth of the records sent twice means a client that retries blindly",
            "warning",
        ),
    },
    columns=plain("ingest_date"),
)

_PREDICTED_LTV: Final = _mart(
    "predicted_ltv_by_campaign",
    ("app_id", "install_date", *_CAMPAIGN[1:], "horizon_days"),
    "install_date",
    {
        "has_negative_prediction": ("predicted_ltv_usd < 0", "customers do not owe us", "critical"),
        "is_not_a_number": ("not isfinite(predicted_ltv_usd::double)", "a prediction is a number", "critical"),
    },
    is_filled("horizon_days", "a prediction has a horizon"),
    is_between("horizon_days", 1, 400, "horizons in days"),
    columns=plain("horizon_days", "partner"),
    missing_severity="warning",
)

_CHURN: Final = _mart(
    "churn_risk",
    ("app_id", "install_id"),
    "as_of",
    {
        "has_no_probability": ("churn_probability is null or isnan(churn_probability)", "scored or absent", "critical"),
        "is_no_probability": ("churn_probability not between 0 and 1", "a probability", "critical"),
    },
    is_filled("risk_band", "every score falls into a band"),
    is_one_of("risk_band", ("low", "medium", "high"), "bands of the mart"),
    columns=plain("risk_band"),
    missing_severity="warning",
)

MART_SUITES: Final = (
    _INSTALLS,
    _CANDIDATES,
    _DECISIONS,
    _CAMPAIGN_DAILY,
    _RETENTION,
    _REVENUE,
    _INGESTION,
    _PREDICTED_LTV,
    _CHURN,
)
