"""What must be true of the growth and prediction marts by themselves: grain, ranges, columns that agree within a row.

Whether a mart agrees with the tables it is made from is in `identities` and `money`.
"""

from __future__ import annotations

from typing import Final

from quality.suite import is_between, is_filled, is_one_of, mart, plain

_CLOCKS: Final = ("calendar", "elapsed_24h")
_CAMPAIGN: Final = ("app_id", "platform", "partner", "campaign_id")

_CAMPAIGN_DAILY: Final = mart(
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
        "has_other_ratio_parts": (
            "partner not in ('organic', 'blocked') and is_mature_d7 and (roas_d7_revenue_usd, roas_d7_cost_usd) "
            "is distinct from (revenue_d7_usd, cost_usd)",
            "ROAS is made of the revenue and the cost of the same row",
            "critical",
        ),
        "has_immature_ratio_parts": (
            "(not is_mature_d7 or partner in ('organic', 'blocked')) "
            "and (roas_d7_revenue_usd is not null or roas_d7_cost_usd is not null)",
            "cost counts in ROAS only where revenue does",
            "critical",
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

_RETENTION: Final = mart(
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
        "is_gone_on_day_0": (
            "day_n = 0 and retained_installs <> mature_installs",
            "the open that made the install is the activity of day 0",
            "critical",
        ),
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

_CURVES: Final = mart(
    "retention_curves",
    (
        "app_id",
        "cohort_kind",
        "cohort_date",
        "dimension",
        *_CAMPAIGN[1:],
        "country",
        "unit",
        "day_clock",
        "period_n",
    ),
    "cohort_date",
    {
        "has_odd_counts": (
            "not (cohort_users >= mature_users and mature_users >= 0)",
            "mature users are among the cohort's",
            "critical",
        ),
        "is_above_one": (
            "greatest(rolling_users, cumulative_users) > mature_users or active_users > rolling_users",
            "who is there in a period is there in it or later, and all are mature",
            "critical",
        ),
        "has_immature_cell": (
            "(mature_users = 0) <> (active_users is null)",
            "a cell is empty exactly while no user of it is mature",
            "critical",
        ),
    },
    is_one_of("unit", ("day", "week", "month", "bracket"), "units by their names"),
    is_one_of("day_clock", _CLOCKS, "both clocks by their names"),
    is_one_of("dimension", ("campaign", "country"), "splits by their names"),
    is_filled("period_n", "the grain is a period"),
    columns=plain("unit", "day_clock", "dimension", "period_n"),
)

_ACTIVITY: Final = mart(
    "activity_daily",
    ("app_id", "platform", "date"),
    "date",
    {
        "has_other_sum": (
            "active_users <> new_users + retained_users + resurrected_users",
            "an active user is new, retained or resurrected",
            "critical",
        ),
        "has_shorter_month": (
            "active_users > weekly_users or weekly_users > monthly_users",
            "who is active on a day is active in its week and month",
            "critical",
        ),
        "has_incomplete_number": (
            "is_complete = (active_users is null)",
            "a date that is not over shows no number",
            "critical",
        ),
    },
    is_filled("date", "the grain is a day"),
    columns=plain("date"),
)

_REVENUE: Final = mart(
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

_REVENUE_DAILY: Final = mart(
    "revenue_daily",
    ("app_id", "date", *_CAMPAIGN[1:]),
    "date",
    {
        "has_negative_count": (
            "least(active_installs, paying_installs, purchases, renewals, amounts_without_rate) < 0",
            "counts start at zero",
            "critical",
        ),
        "has_other_net": (
            "net_revenue <> purchase_revenue + subscription_revenue + refunds + store_fees + ad_revenue "
            "+ allocated_ad_revenue",
            "gross, refunds, fees and ads make the net",
            "critical",
        ),
        "has_odd_sign": (
            "purchase_revenue < 0 or subscription_revenue < 0 or refunds > 0",
            "what is paid is above zero, what is taken back below",
            "critical",
        ),
        "hides_a_missing_rate": (
            "(net_revenue is null) <> (amounts_without_rate > 0)",
            "a sum is empty exactly if an amount has no rate",
            "critical",
        ),
        "has_an_amount_without_rate": ("amounts_without_rate > 0", "import a rate of the currency", "warning"),
        "has_too_many_links": ("linked_refund_count > refund_count", "a link is of a refund", "critical"),
        "pays_without_being_there": (
            "paying_installs > active_installs and partner <> 'unattributed'",
            "who pays has opened the app, unless a server tells it",
            "warning",
        ),
    },
    is_filled("partner", "organic is a channel of its own"),
    is_filled("reporting_currency", "an amount without currency is worth nothing"),
    columns=plain("partner", "reporting_currency"),
    missing_severity="warning",
)

_INGESTION: Final = mart(
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
        "has_other_landed": (
            "landed <> accepted or rejects_kept <> rejected",
            "what was accepted or rejected is in bronze",
            "critical",
        ),
        "has_too_many_duplicates": ("duplicates > landed", "a duplicate was accepted", "critical"),
        "has_many_duplicates": (
            "duplicates > 0.2 * landed",
            "a fifth of the records sent twice means a client that retries blindly",
            "warning",
        ),
    },
    columns=plain("ingest_date"),
)

_PREDICTED_LTV: Final = mart(
    "predicted_ltv_by_campaign",
    ("app_id", "install_date", *_CAMPAIGN[1:], "horizon_days"),
    "install_date",
    {
        "has_negative_prediction": ("predicted_ltv_usd < 0", "customers do not owe us", "critical"),
        "is_not_a_number": ("not isfinite(predicted_ltv_usd::double)", "a prediction is a number", "critical"),
        "has_no_installs": ("scored_installs < 1", "a row stands for at least one scored install", "critical"),
        "is_outside_interval": (
            "not (predicted_ltv_usd between predicted_ltv_low_usd and predicted_ltv_high_usd)",
            "the interval holds the prediction",
            "warning",
        ),
    },
    is_filled("horizon_days", "a prediction has a horizon"),
    is_between("horizon_days", 1, 400, "horizons in days"),
    columns=plain("horizon_days", "partner"),
    missing_severity="warning",
)

_CHURN: Final = mart(
    "churn_risk",
    ("app_id", "install_id"),
    "install_date",
    {
        "has_no_probability": ("churn_probability is null or isnan(churn_probability)", "scored or absent", "critical"),
        "is_no_probability": ("churn_probability not between 0 and 1", "a probability", "critical"),
        "is_unknown_band": (
            "risk_band not in (select risk_band from rules.rule_risk_bands)",
            "bands of the rules",
            "critical",
        ),
    },
    is_filled("risk_band", "every score falls into a band"),
    columns=plain("risk_band"),
    missing_severity="warning",
)

_CHANNEL_CREDIT: Final = mart(
    "channel_credit",
    ("app_id", "month", "level", "model", "partner", "campaign_id"),
    "month",
    {
        "has_negative_credit": ("credited_conversions < 0", "a channel takes nothing away", "critical"),
        "is_no_share": ("share not between 0 and 1 or isnan(share)", "a share is between 0 and 1", "critical"),
        "is_no_removal_effect": (
            "removal_effect not between 0 and 1 or isnan(removal_effect)",
            "nothing more than the conversion rate can be lost",
            "critical",
        ),
        "has_credit_for_harm": (
            "shapley_value < 0 and share > 0",
            "a channel with which journeys convert more rarely gets no credit",
            "critical",
        ),
        "has_campaign_by_partner": ("level = 'partner' and campaign_id <> ''", "a level has its key", "critical"),
        "has_large_error": (
            "standard_error > credited_conversions and credited_conversions > 10",
            "an error larger than the credit asks for more permutations",
            "warning",
        ),
    },
    is_one_of("level", ("partner", "campaign"), "both levels by their names"),
    is_filled("level", "a channel has a level"),
    is_filled("model", "credit is given by a model"),
    is_filled("partner", "organic is a channel of its own"),
    is_between("conversion_rate", 0, 1, "installs are among the journeys"),
    columns=plain("level", "model", "partner", "conversion_rate"),
    missing_severity="warning",
)

GROWTH_SUITES: Final = (
    _CAMPAIGN_DAILY,
    _RETENTION,
    _CURVES,
    _ACTIVITY,
    _REVENUE,
    _REVENUE_DAILY,
    _INGESTION,
    _PREDICTED_LTV,
    _CHURN,
    _CHANNEL_CREDIT,
)
