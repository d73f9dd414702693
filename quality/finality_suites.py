"""What must be true of the marts about the numbers themselves: how final they are, what they were, which are odd."""

from __future__ import annotations

from typing import Final

from quality.suite import is_between, is_filled, is_one_of, mart, plain

_SOURCES: Final = ("app_events", "touchpoints", "costs", "skan_postbacks")
_FINALITY: Final = mart(
    "mart_finality",
    ("app_id", "date", "source"),
    "date",
    {
        "has_odd_counts": (
            "not (records > 0 and late_records between 0 and records)",
            "late ones are among all",
            "critical",
        ),
        "has_odd_lateness": (
            "not (0 <= lateness_p50_h and lateness_p50_h <= lateness_p95_h and lateness_p95_h <= lateness_max_h)",
            "percentiles rise, from zero on",
            "critical",
        ),
        "is_no_share": ("not (expected_share between 0 and 1)", "a share lies between 0 and 1", "critical"),
        "expects_less_than_nothing": ("expected_to_come < 0", "records do not go away", "critical"),
        "is_unknown_without_reason": (
            "(expected_to_come is null) <> (reason is not null)",
            "what cannot be told says why",
            "critical",
        ),
        "is_final_unknown": (
            "expected_share is null and status <> 'open'",
            "the unknown is not called final",
            "critical",
        ),
    },
    is_one_of("source", _SOURCES, "kinds of records"),
    is_one_of("status", ("open", "settling", "final"), "states that docs/finality.md explains"),
    is_filled("status", "a day has a state"),
    is_one_of(
        "reason",
        ("day_not_over", "too_little_history", "nothing_arrives_so_early"),
        "reasons that docs/finality.md explains",
    ),
    columns=plain("source", "status", "reason"),
)

_MEASURES: Final = mart(
    "measure_finality",
    ("mart", "measure", "app_id", "date"),
    "date",
    {
        "is_no_share": ("not (expected_share between 0 and 1)", "a share lies between 0 and 1", "critical"),
        "is_unknown_without_reason": (
            "(coalesce(expected_share, 0) = 0) <> (reason is not null)",
            "what cannot be told says why",
            "critical",
        ),
        "is_final_unknown": (
            "expected_share is null and status <> 'open'",
            "the unknown is not called final",
            "critical",
        ),
        "has_odd_limit": (
            "(status = 'final') <> (limiting_source is null) or (limiting_date is null) <> (limiting_source is null)",
            "what is not final is held back by a day of a source",
            "critical",
        ),
        "has_odd_days_to_come": (
            "days_to_come < 0 or (days_to_come > 0) <> (reason is not distinct from 'days_not_over')",
            "days that are not over hold a number back before anything else",
            "critical",
        ),
        "is_final_too_late": (
            "status <> 'final' and days_to_come = 0 and as_of >= (final_from::timestamp at time zone 'UTC')",
            "beyond all horizons nothing is waited for",
            "critical",
        ),
    },
    is_one_of("limiting_source", _SOURCES, "kinds of records"),
    is_one_of("status", ("open", "settling", "final"), "states that docs/finality.md explains"),
    is_filled("status", "a number has a state"),
    is_one_of(
        "reason",
        ("days_not_over", "no_records", "too_little_history", "nothing_arrives_so_early"),
        "reasons that docs/finality.md explains",
    ),
    columns=plain("limiting_source", "status", "reason"),
)

_ALERTS: Final = mart(
    "metric_alerts",
    ("app_id", "date", "level", "platform", "partner", "campaign_id", "metric"),
    "date",
    {
        "is_no_number": ("not (isfinite(score) and isfinite(expected))", "a score is a number", "critical"),
        "is_not_far": ("abs(score) < 5", "only what is far from usual is an alert", "critical"),
    },
    is_one_of("level", ("campaign", "partner", "platform"), "what is summed"),
    is_one_of("metric", ("installs", "cost", "revenue_d0", "cvr", "ecpi"), "what is watched"),
    is_filled("metric", "an alert is about something"),
    columns=plain("level", "metric"),
    missing_severity="warning",
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

FINALITY_SUITES: Final = (_FINALITY, _MEASURES, _ALERTS, _RESTATEMENTS)
