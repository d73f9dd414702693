"""What must be true of the SKAdNetwork marts by themselves: nothing that does not count is counted, nothing is made up.

Whether a mart agrees with the tables it is made from is asked by the tests of the dbt project.
"""

from __future__ import annotations

from typing import Final

from quality.suite import is_between, is_filled, is_one_of, mart, plain

_DAY: Final = ("app_id", "date", "partner", "campaign_id", "window_number")
_STATES: Final = ("valid", "invalid", "unverifiable", "unchecked")

_FACTS: Final = mart(
    "skan_postback_facts",
    ("app_id", "transaction_id", "postback_sequence_index"),
    "arrival_date",
    {
        "is_counted_in_spite_of_its_signature": (
            "is_counted and signature_state in ('invalid', 'unverifiable')",
            "a postback that Apple did not sign is never counted",
            "critical",
        ),
        "has_other_exclusion": (
            "is_counted <> (exclusion_reason is null)",
            "what is not counted says why, and only that",
            "critical",
        ),
        "is_filled_in": (
            "value_state = 'null' and (is_decoded or revenue_mid_usd is not null or event_count is not null)",
            "a value that Apple withheld stays withheld",
            "critical",
        ),
        "has_value_it_should_not": (
            "(conversion_value is not null) <> (value_state = 'fine') "
            "or (value_state = 'null' and coarse_conversion_value is not null)",
            "the fine value goes before the coarse one",
            "critical",
        ),
        "has_odd_revenue": (
            "not (revenue_low_usd <= revenue_mid_usd and revenue_mid_usd <= revenue_high_usd)",
            "the middle lies between the bounds",
            "critical",
        ),
        "has_odd_bounds": (
            "not (install_at_low <= install_at_high and install_at_high < arrived_at) "
            "or not (install_date between install_date_low and install_date_high)",
            "the likely install date lies within its bounds, before the postback",
            "critical",
        ),
        "is_not_decoded": (
            "value_state <> 'null' and is_counted and not is_decoded",
            "a value that no schema of the app knows is worth nothing: write it down in skan_schemas",
            "warning",
        ),
        "has_no_campaign": (
            "is_counted and is_winner and campaign_match = 'none'",
            "a postback whose campaign cannot be told: write it down in skan_campaigns",
            "warning",
        ),
    },
    is_one_of("signature_state", _STATES, "states of a signature"),
    is_one_of("value_state", ("fine", "coarse", "null"), "fine, coarse or withheld"),
    is_one_of("conversion_type", ("download", "redownload", "re-engagement"), "Apple's kinds of conversion"),
    is_between("window_number", 1, 3, "Apple has three windows"),
    is_filled("partner", "a postback is of a network"),
    columns=plain("signature_state", "value_state", "conversion_type", "window_number", "partner"),
    missing_severity="warning",
    may_be_empty=True,
)

_DAILY: Final = mart(
    "skan_daily",
    _DAY,
    "date",
    {
        "has_lost_postbacks": (
            "postbacks <> winning_postbacks + lost_postbacks + invalid_postbacks + unverifiable_postbacks "
            "+ sandbox_postbacks",
            "every postback is one of these",
            "critical",
        ),
        "has_other_values": (
            "winning_postbacks <> fine_value_postbacks + coarse_value_postbacks + null_value_postbacks",
            "a winner has a fine value, a coarse one or none",
            "critical",
        ),
        "has_other_installs": (
            "installs + redownloads + reengagements <> case when window_number = 1 then winning_postbacks else 0 end",
            "the first postback of a conversion is its install, redownload or re-engagement",
            "critical",
        ),
        "models_what_is_known": (
            "modelled_postbacks > null_value_postbacks or (modelled_postbacks = 0 and modelled_revenue_high_usd <> 0)",
            "only withheld values are modelled",
            "critical",
        ),
        "has_odd_revenue": (
            "not (observed_revenue_low_usd <= observed_revenue_mid_usd "
            "and observed_revenue_mid_usd <= observed_revenue_high_usd)",
            "the middle lies between the bounds",
            "critical",
        ),
        "is_mostly_ambiguous": (
            "ambiguous_postbacks > 20 and ambiguous_postbacks * 2 > winning_postbacks",
            "a schema that changed within the days before: compare with care",
            "warning",
        ),
    },
    is_filled("date", "the grain is a day"),
    is_filled("partner", "a postback is of a network"),
    columns=plain("date", "partner"),
    missing_severity="warning",
    may_be_empty=True,
)

_EVENTS: Final = mart(
    "skan_event_daily",
    (*_DAY, "event_name"),
    "date",
    {"has_no_postback": ("observed_postbacks < 1", "a row stands for at least one postback", "critical")},
    is_filled("event_name", "the grain is an event"),
    columns=plain("event_name"),
    missing_severity="warning",
    may_be_empty=True,
)

_IOS: Final = mart(
    "ios_daily",
    ("app_id", "date", "partner"),
    "date",
    {
        "has_other_sum": (
            "partner <> 'organic' "
            "and combined_installs <> deterministic_installs + skan_only_installs - skan_beyond_first_opens",
            "an install is proven by a touch or told by a postback alone",
            "critical",
        ),
        "counts_twice": (
            "skan_installs <> overlap_installs + skan_only_installs or overlap_installs < 0",
            "a postback install that may be a proven one is not counted again",
            "critical",
        ),
        "has_other_modelled": (
            "modelled_installs > combined_installs or modelled_installs < 0 or skan_beyond_first_opens < 0",
            "what no touch proves is part of the whole",
            "critical",
        ),
        "has_negative_count": ("combined_installs < 0", "networks leave organic at least nothing", "critical"),
        "has_postbacks_without_opens": (
            "skan_beyond_first_opens > 10 and skan_beyond_first_opens * 2 > skan_installs",
            "half the postback installs have no first open: does the SDK send from all versions of the app?",
            "warning",
        ),
    },
    is_filled("partner", "organic is a channel of its own"),
    columns=plain("partner"),
    missing_severity="warning",
    may_be_empty=True,
)

SKAN_SUITES: Final = (_FACTS, _DAILY, _EVENTS, _IOS)
