"""What must be true of the cost marts and of exchange rates by themselves.

Whether a mart agrees with the tables it is made from is asked by the tests of the dbt project.
"""

from __future__ import annotations

from typing import Final

from lakehouse.currencies import CURRENCIES
from lakehouse.rule_shapes import CHANNEL_CODES
from quality.suite import Suite, is_filled, is_one_of, is_unique, key, mart, never, plain

_CAMPAIGN: Final = ("app_id", "date", "platform", "partner", "campaign_id")

_PERFORMANCE: Final = mart(
    "campaign_performance",
    _CAMPAIGN,
    "date",
    {
        "has_cost_of_nobody": (
            "(cost_source = 'none' and cost_usd <> 0) "
            "or (cost_source = 'network' and cost_usd <> coalesce(reported_cost_usd, 0)) "
            "or (cost_source = 'link' and cost_usd <> coalesce(link_cost_usd, 0))",
            "the cost is that of the source it names",
            "critical",
        ),
        "has_other_difference": (
            "clicks_difference <> reported_clicks - clicks or installs_difference <> reported_installs - installs "
            "or impressions_difference <> reported_impressions - impressions",
            "a difference is what the network reports less what was received",
            "critical",
        ),
        "has_other_ratio_parts": (
            "roi_d7_profit_usd <> roas_d7_revenue_usd - roas_d7_cost_usd "
            "or ecpi_paid_cost_usd <> cost_usd or ecpi_all_installs <> installs "
            "or (roas_d7_revenue_usd is null) <> (roas_d7_cost_usd is null)",
            "parts of a ratio are of the same row and the same days",
            "critical",
        ),
        "is_organic_with_cost": (
            "partner = 'organic' and (cost_usd <> 0 or ecpi_paid_installs <> 0 or roas_d0_revenue_usd is not null)",
            "organic installs cost nothing and stand in no ratio of paid ones",
            "critical",
        ),
        "has_negative_cost": ("cost_usd < 0", "credits do not exceed a day's spend", "warning"),
        "has_odd_payback": ("payback_day < 0 or payback_day > 30", "payback is looked for up to day 30", "critical"),
        "reports_far_more_installs": (
            "installs_difference > 50 and installs_difference > 2 * installs",
            "the network reports three times the installs that were credited to it",
            "warning",
        ),
    },
    is_one_of("cost_source", ("network", "link", "none"), "who says what it cost"),
    is_filled("cost_source", "a cost names its source"),
    is_filled("partner", "organic is a channel of its own"),
    columns=plain("cost_source", "partner", "date"),
)

_PAYBACK: Final = mart(
    "campaign_payback",
    (*_CAMPAIGN, "day_n"),
    "date",
    {
        "is_organic": ("partner = 'organic'", "organic installs have no spend to pay back", "critical"),
        "has_odd_day": ("day_n is null or day_n not between 0 and 30", "days 0 to 30", "critical"),
        "has_negative_installs": ("installs < 0", "counts start at zero", "critical"),
    },
    columns=plain("partner"),
    may_be_empty=True,
)

_RESTATEMENTS: Final = mart(
    "cost_restatements",
    ("app_id", "record_id"),
    "cost_date",
    {
        "has_odd_number": (
            "not (statement_number between 1 and statement_count) "
            "or is_in_force <> (statement_number = statement_count)",
            "the last statement is in force",
            "critical",
        ),
        "has_other_change": (
            "change_usd <> cost_usd - coalesce(previous_cost_usd, 0) "
            "or (statement_number = 1 and previous_cost_usd is not null)",
            "a change is from one statement to the next",
            "critical",
        ),
        "is_stated_before_the_day": ("days_after < -1", "spend is stated after it was spent", "warning"),
        "changed_by_half": (
            "statement_number > 1 and abs(change_usd) > 100 and abs(change_usd) > 0.5 * previous_cost_usd",
            "a restatement that changes a cost by half: ask the partner",
            "warning",
        ),
    },
    is_filled("currency", "an amount without currency is worth nothing"),
    is_filled("partner", "spend belongs to a partner"),
    columns=plain("currency", "partner"),
    may_be_empty=True,
)

_UNMATCHED: Final = mart(
    "unmatched_costs",
    (*_CAMPAIGN, "campaign_name", "unmatched_reason"),
    "date",
    {"has_no_rows": ("cost_rows < 1", "a row stands for at least one statement", "critical")},
    is_one_of(
        "unmatched_reason",
        ("no_campaign_given", "name_of_several_campaigns", "no_touch_of_campaign"),
        "reasons that docs/costs.md explains",
    ),
    is_filled("unmatched_reason", "what does not match says why"),
    columns=plain("unmatched_reason"),
    missing_severity="warning",
    may_be_empty=True,
)

_HISTORY: Final = mart(
    "campaign_history",
    ("app_id", "partner", "campaign_id", "valid_from"),
    "valid_from",
    {
        "is_current_with_an_end": ("is_current <> (valid_until is null)", "the last word has no end", "critical"),
        "ends_before_it_begins": ("valid_until <= valid_from", "a period is at least a day", "critical"),
        "is_called_nothing": (
            "campaign_name <> '' and coalesce(clean_name, '') = ''",
            "cleaning leaves something of a name",
            "warning",
        ),
    },
    is_one_of("channel_code", CHANNEL_CODES, "channels of rule_channels"),
    is_filled("channel_code", "every campaign has a channel"),
    columns=plain("channel_code"),
    missing_severity="warning",
    may_be_empty=True,
)

_CAMPAIGNS: Final = mart(
    "campaigns",
    ("app_id", "partner", "campaign_id"),
    "last_date",
    {
        "ends_before_it_begins": ("last_date < first_date", "first comes before last", "critical"),
        "has_negative_count": ("least(adsets, names) < 0", "counts start at zero", "critical"),
        "has_no_id": ("campaign_id = ''", "a campaign has an id", "critical"),
    },
    is_one_of("channel_code", CHANNEL_CODES, "channels of rule_channels"),
    is_filled("channel_code", "every campaign has a channel"),
    columns=plain("channel_code"),
    missing_severity="warning",
    may_be_empty=True,
)

_FX: Final = Suite(
    name="fx_daily",
    table="gold.fx_daily",
    columns={
        **plain("currency"),
        **key("date", "currency"),
        "has_no_rate": "usd_per_unit is null or usd_per_unit <= 0 or (currency = 'USD' and usd_per_unit <> 1)",
        "is_from_the_future": "rate_date > date",
    },
    expectations=(
        is_unique("one row per date x currency"),
        is_one_of("currency", sorted(CURRENCIES), "ISO 4217"),
        never("has_no_rate", "a rate is above zero, and a dollar is a dollar"),
        never("is_from_the_future", "a rate holds from its date on"),
    ),
    date_column="date",
    missing_severity="warning",
)

_BRONZE_FX: Final = Suite(
    name="bronze_fx_rates",
    table="bronze.bronze_fx_rates",
    columns={
        **plain("currency"),
        **key("currency", "rate_date", "provider", "version"),
        "has_no_date": "rate_date is null or ingest_date is null or received_at is null",
        "has_no_rate": "usd_per_unit is null or usd_per_unit <= 0 or (currency = 'USD' and usd_per_unit <> 1)",
        "has_no_version": "version is null or version < 1 or coalesce(provider, '') = ''",
    },
    expectations=(
        is_unique("one rate per currency x day x provider x version"),
        is_one_of("currency", sorted(CURRENCIES), "ISO 4217"),
        is_filled("currency", "a rate is of a currency"),
        never("has_no_date", "a rate is of a day, and came on one"),
        never("has_no_rate", "a rate is above zero, and a dollar is a dollar"),
        never("has_no_version", "a rate says whose it is and which version"),
    ),
    date_column="ingest_date",
    missing_severity="warning",
)

COST_SUITES: Final = (_PERFORMANCE, _PAYBACK, _RESTATEMENTS, _UNMATCHED, _HISTORY, _CAMPAIGNS, _FX, _BRONZE_FX)
