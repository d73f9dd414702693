"""What must be true of the marts about the numbers themselves: how final they are, and what they were before."""

from __future__ import annotations

from typing import Final

from quality.suite import is_between, is_filled, is_one_of, mart, plain

_FINALITY: Final = mart(
    "mart_finality",
    ("mart", "measure", "app_id", "date", "record_type", "source"),
    "date",
    {
        "is_final_too_early": (
            "status = 'final' and watermark_date < final_from_date",
            "nothing is final before the days of the rule are over",
            "critical",
        ),
        "hides_a_reason": (
            "(share_to_come is null) <> (share_unknown_reason is not null)",
            "a share is known, or it is said why not",
            "critical",
        ),
        "has_odd_lateness": (
            "not (lateness_p50_s <= lateness_p95_s and lateness_p95_s <= lateness_p99_s) "
            "or (record_count = 0) <> (lateness_p50_s is null)",
            "of more records the latest are later",
            "critical",
        ),
        "is_complete_in_the_future": (
            "record_type <> 'cost' and complete_until_date >= watermark_date",
            "a day of the watermark is not over",
            "critical",
        ),
    },
    is_one_of("status", ("open", "settling", "final"), "states that docs/finality.md explains"),
    is_filled("status", "a number is one of them"),
    is_one_of(
        "share_unknown_reason",
        ("not_over", "too_little_history", "loaded_later"),
        "reasons that docs/finality.md explains",
    ),
    columns=plain("status", "share_unknown_reason"),
    may_be_empty=True,
)

_RESTATEMENTS: Final = mart(
    "mart_restatements",
    ("app_id", "date", "platform", "partner", "campaign_id", "measure", "recording"),
    "date",
    {
        "changes_nothing": ("new_value is not distinct from old_value", "a row is a change", "critical"),
        "has_other_change": (
            "change_value <> new_value - old_value or is_restated <> (old_value is not null)",
            "a change is from the old value to the new",
            "critical",
        ),
        "has_no_reason": ("causes = '' or reason = ''", "a change has a cause, if only an unknown one", "critical"),
        "cannot_be_told": ("causes = 'unknown'", "bronze was cleaned before the change was recorded", "warning"),
    },
    is_filled("partner", "organic is a channel of its own"),
    is_between("statement_number", 1, None, "statements are counted from 1"),
    columns=plain("partner", "statement_number"),
    missing_severity="warning",
    may_be_empty=True,
)

FINALITY_SUITES: Final = (_FINALITY, _RESTATEMENTS)
