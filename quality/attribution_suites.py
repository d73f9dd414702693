"""What must be true of the attribution marts by themselves: one winner, and a reason for everybody else.

Whether a mart agrees with the tables it is made from is in `identities`.
"""

from __future__ import annotations

from typing import Final

from quality.suite import is_between, is_filled, mart, plain

# Rules are data (dbt seeds), so what may stand in a column is asked of them.
_METHODS: Final = "select match_method from rules.rule_match_methods"
_REASONS: Final = "select reason_code from rules.rule_reason_codes where applies_to = "

_INSTALLS: Final = mart(
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
            "not is_organic and not is_blocked and (touch_id is null or partner = 'organic' or match_method is null)",
            "an attributed install names the touch and how it matched",
            "critical",
        ),
        "is_blocked_with_touch": (
            "is_blocked and (touch_id is not null or partner <> 'blocked' or is_organic)",
            "a blocked install is credited to nobody, and is not organic either",
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
        "has_unknown_method": (f"match_method not in ({_METHODS})", "methods of the rules", "critical"),
        "has_unknown_reason": (
            f"reason_code is null or reason_code not in ({_REASONS} 'decision')",
            "reasons of the rules",
            "critical",
        ),
    },
    is_filled("partner", "organic is a channel of its own"),
    is_filled("is_organic", "either organic or not"),
    is_between(
        "organic_share", 0.02, 0.98, "all or nothing organic means that matching is broken", "warning", on_totals=True
    ),
    columns=plain("platform", "partner", "is_organic", "reason_code"),
    totals={"organic_share": "avg(is_organic::int) filter (not is_implied)"},
)

_CANDIDATES: Final = mart(
    "attribution_candidates",
    ("app_id", "conversion_id", "touch_id"),
    "conversion_date",
    {
        "has_no_conversion": ("conversion_id is null or touch_id is null", "a candidate joins two records", "critical"),
        "has_second_winner": (
            "is_winner and count(*) filter (is_winner) over (partition by app_id, conversion_id) > 1",
            "one winner per conversion",
            "critical",
        ),
        "is_winner_ineligible": ("is_winner and not is_eligible", "only an eligible touch wins", "critical"),
        "has_no_reason": (
            f"reason_code is null or reason_code not in ({_REASONS} 'candidate')",
            "every candidate says by a reason of the rules why it won or lost",
            "critical",
        ),
        "has_unknown_method": (
            f"match_method is null or match_method not in ({_METHODS})",
            "methods of the rules",
            "critical",
        ),
        "is_rejected_without_rule": (
            "(reason_code = 'fraud_rejected') <> (fraud_rule_id is not null)",
            "a rejected candidate names the rule",
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
    is_filled("partner", "a touch belongs to a partner"),
    columns=plain("partner", "touch_type", "reason_code", "is_winner", "is_eligible"),
)

_DECISIONS: Final = mart(
    "attribution_decisions",
    ("app_id", "conversion_id"),
    "conversion_date",
    {
        "has_no_conversion": ("conversion_id is null", "a decision is about a conversion", "critical"),
        "has_other_reason": (
            "(touch_id is not null) <> (reason_code = 'attributed')"
            " or (is_organic or is_blocked) <> (touch_id is null and reason_code <> 'kept_original')",
            "a decision names a touch or says why there is none",
            "critical",
        ),
    },
)

_MULTI_TOUCH: Final = mart(
    "multi_touch_credit",
    ("app_id", "model", "conversion_date", "partner", "campaign_id"),
    "conversion_date",
    {
        "has_negative_credit": ("credited_conversions < 0", "a touch takes nothing away", "critical"),
        "has_early_d30": (
            "credited_revenue_d30_usd is not null and credited_revenue_d7_usd is null",
            "day 30 is over after day 7",
            "critical",
        ),
        "has_unknown_model": (
            "model not in (select model from rules.rule_multi_touch_models)",
            "models of the rules",
            "critical",
        ),
    },
    is_filled("model", "credit is given by a model"),
    is_filled("partner", "organic is a channel of its own"),
    columns=plain("model", "partner"),
)


_EVENTS: Final = mart(
    "attributed_events",
    ("app_id", "record_id", "conversion_id"),
    "event_date",
    {
        "has_no_event": (
            "record_id is null or conversion_id is null",
            "credit joins an event and a conversion",
            "critical",
        ),
        "has_other_date": ("event_date is distinct from event_at::date", "the partition is the UTC date", "critical"),
        "has_second_credit": (
            "is_primary and count(*) filter (is_primary) over (partition by app_id, record_id) > 1",
            "one row of an event counts",
            "critical",
        ),
        "is_organic_with_campaign": (
            "is_organic and (partner <> 'organic' or campaign_id is not null)",
            "organic events belong to nobody",
            "critical",
        ),
        "has_amount_without_currency": (
            "amount_micros is not null and currency is null",
            "money has a currency",
            "critical",
        ),
    },
    is_filled("partner", "organic is a channel of its own"),
    is_filled("is_primary", "either counts or not"),
    columns=plain("partner", "record_type", "is_primary", "is_organic"),
)

ATTRIBUTION_SUITES: Final = (_INSTALLS, _CANDIDATES, _DECISIONS, _EVENTS, _MULTI_TOUCH)
