"""What must be true of the fraud marts by themselves: every accusation has a reason, and what is tried blocks nothing.

All of them may be empty: where nobody cheats, or no rule is tried, there is nothing to say.
"""

from __future__ import annotations

from typing import Final

from quality.suite import is_between, is_filled, is_one_of, mart, plain

# Rules are data (dbt seeds), so what may stand in a column is asked of them.
_FLAGS: Final = "select flag_code from rules.rule_fraud_flags"
_RULES: Final = "select rule_id from rules.rule_fraud_rules where status = "

_SIGNALS: Final = mart(
    "fraud_signals",
    ("app_id", "subject_type", "conversion_id", "touch_id", "signal_kind", "signal_code"),
    "signal_date",
    {
        "accuses_nobody": (
            "(conversion_id = '') <> (subject_type = 'touch') or (touch_id = '') <> (subject_type = 'conversion')",
            "a signal names the touch, the conversion, or both",
            "critical",
        ),
        "has_unknown_code": (
            f"not case signal_kind when 'flag' then signal_code in ({_FLAGS})"
            f" else signal_code in ({_RULES} 'active') end",
            "flags and active rules of the seeds",
            "critical",
        ),
    },
    is_one_of("subject_type", ("touch", "conversion", "candidate"), "what can be accused"),
    is_one_of("signal_kind", ("flag", "rule"), "what can accuse"),
    is_filled("signal_code", "no accusation without a reason"),
    is_between("score", 0, 100, "points of the seeds"),
    columns=plain("subject_type", "signal_kind", "signal_code", "score"),
    may_be_empty=True,
)

_DAILY: Final = mart(
    "fraud_daily",
    ("app_id", "date", "partner", "campaign_id", "site_id", "rule_id"),
    "date",
    {
        "has_rejected_nothing": (
            "not (rejected_candidates + blocked_conversions > 0 and concerned_conversions > 0)",
            "a row stands for something that was rejected",
            "critical",
        ),
        "has_negative_cost": ("concerned_cost_usd < 0", "a partner that pays us is odd", "warning"),
        "has_cost_of_nothing": (
            "cost_model is null and concerned_cost_usd is not null",
            "a price needs a cost model",
            "critical",
        ),
    },
    is_filled("rule_id", "a rule rejected"),
    is_filled("partner", "a touch belongs to a partner"),
    columns=plain("partner", "rule_id"),
    may_be_empty=True,
)

_DRY_RUN: Final = mart(
    "fraud_dry_run",
    ("rule_id", "app_id", "conversion_id"),
    "install_date",
    {
        "is_of_a_rule_in_force": (
            f"rule_id not in ({_RULES} 'dry_run')",
            "only rules that are tried are previewed",
            "critical",
        ),
        "has_odd_heir": (
            "(outcome = 'moves_to_candidate') <> (new_touch_id is not null)"
            " or (outcome = 'becomes_organic') <> (new_partner = 'organic')",
            "a touch, organic or nobody is credited instead",
            "critical",
        ),
        "stays_where_it_is": ("touch_id = new_touch_id", "only what would change is shown", "critical"),
    },
    is_one_of("outcome", ("moves_to_candidate", "becomes_organic", "blocked"), "what a rule can do"),
    is_filled("revenue_usd", "no revenue is a zero"),
    columns=plain("rule_id", "outcome", "revenue_usd"),
    may_be_empty=True,
)

_SITE_TESTS: Final = mart(
    "fraud_site_tests",
    ("app_id", "period_date", "partner", "site_id", "test"),
    "period_date",
    {
        "is_no_probability": (
            "not (coalesce(p_value, 0) between 0 and 1 and coalesce(q_value, 0) between 0 and 1)",
            "chances lie between 0 and 1",
            "critical",
        ),
        "has_too_good_q": ("q_value < p_value", "many tests make a finding less certain, never more", "critical"),
        "is_suspicious_by_rank": (
            "is_suspicious and (p_value is null or q_value >= 0.01)",
            "only what is certain is suspicious",
            "critical",
        ),
        "is_of_too_few": ("n < 50", "small sites are not judged", "critical"),
        "is_no_number": ("not isfinite(statistic)", "a statistic is a number", "critical"),
    },
    is_filled("test", "a row is a test"),
    columns=plain("test", "partner"),
    missing_severity="warning",
    may_be_empty=True,
)

FRAUD_SUITES: Final = (_SIGNALS, _DAILY, _DRY_RUN, _SITE_TESTS)
