"""The questions the report asks of the marts. Each is plain ClickHouse SQL that a reader can copy and run.

Ratios are computed from sums of their parts, never averaged. Money columns are USD.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from serving.report.source import Query

Rows = list[dict[str, Any]]

MAX_CAMPAIGNS: Final = 15
MAX_COHORTS: Final = 16
RETENTION_DAYS: Final = (0, 1, 2, 3, 5, 7, 10, 14, 21, 30)

_APPS: Final = """
select app_id, min(install_date) as first_install, max(install_date) as last_install, count() as installs,
       countIf(touch_id is not null) as attributed
from attributed_installs where is_primary group by app_id order by installs desc, app_id
"""
_SPEND: Final = """
select app_id, sum(cost_usd) as cost, sum(impressions) as views, sum(clicks) as hits
from campaign_daily group by app_id order by app_id
"""
_REVENUE: Final = """
select app_id, sum(revenue_usd) as revenue, max(addDays(install_date, day_n)) as complete_until
from cohort_revenue where day_clock = 'calendar' and mature_installs > 0 group by app_id order by app_id
"""
_INGESTION: Final = """
select app_id, sum(received) as received_count, sum(accepted) as accepted_count, sum(rejected) as rejected_count,
       sum(duplicates) as duplicate_count, min(ingest_date) as first_day, max(ingest_date) as last_day
from ingestion_daily group by app_id order by received_count desc, app_id
"""
_CAMPAIGNS: Final = """
select app_id, partner, campaign_id, max(coalesce(campaign_name, '')) as name, sum(cost_usd) as cost,
       sum(installs) as install_count, sum(ecpi_cost_usd) as ecpi_cost, sum(ecpi_installs) as ecpi_count,
       sum(roas_d0_revenue_usd) as d0_revenue, sum(roas_d0_cost_usd) as d0_cost,
       sum(roas_d7_revenue_usd) as d7_revenue, sum(roas_d7_cost_usd) as d7_cost,
       sum(roas_d30_revenue_usd) as d30_revenue, sum(roas_d30_cost_usd) as d30_cost
from campaign_daily where partner not in ('organic', 'blocked')
group by app_id, partner, campaign_id having cost > 0
order by cost desc, app_id, partner, campaign_id limit {limit}
"""
_LTV: Final = """
select p.app_id as app_id, p.partner as partner, p.campaign_id as campaign_id, p.name as name,
       p.horizon_days as horizon_days, p.scored as scored, p.predicted_usd as predicted_usd,
       p.observed_usd as observed_usd, r.mature_count as mature_count, r.mature_usd as mature_usd
from (
    select app_id, partner, campaign_id, horizon_days, max(coalesce(campaign_name, '')) as name,
           sum(scored_installs) as scored, sum(predicted_ltv_usd) as predicted_usd,
           sum(observed_revenue_usd) as observed_usd
    from predicted_ltv_by_campaign group by app_id, partner, campaign_id, horizon_days
) as p
left join (
    select app_id, partner, campaign_id, day_n, sum(mature_installs) as mature_count,
           sum(cumulative_revenue_usd) as mature_usd
    from cohort_revenue where day_clock = 'elapsed_24h' and day_n = 29 group by app_id, partner, campaign_id, day_n
) as r on p.app_id = r.app_id and p.partner = r.partner and p.campaign_id = r.campaign_id
where p.horizon_days = 30 and p.app_id in ({apps})
order by scored desc, app_id, partner, campaign_id limit {limit}
"""
_RETENTION: Final = """
select day_clock, {cohort} as cohort, day_n, sum(mature_installs) as mature, sum(retained_installs) as retained
from cohort_retention where app_id in ({apps}) and day_n in ({days})
group by day_clock, cohort, day_n order by day_clock, cohort, day_n
"""
_COHORT_SIZES: Final = """
select {cohort} as cohort, sum(cohort_installs) as installs
from cohort_retention where app_id in ({apps}) and day_clock = 'calendar' and day_n = 0
group by cohort order by cohort
"""
_DAILY: Final = """
select date, sum(cost_usd) as cost, sum(installs) as install_count, sum(ecpi_installs) as paid_count
from campaign_daily where app_id in ({apps}) group by date order by date
"""
_DAILY_REVENUE: Final = """
select addDays(install_date, day_n) as date, sum(revenue_usd) as revenue
from cohort_revenue where app_id in ({apps}) and day_clock = 'calendar' and mature_installs > 0
group by date order by date
"""
_METHODS: Final = """
select multiIf(is_organic, 'organic', is_blocked, 'blocked as fraud',
           concat(ifNull(touch_type, ''), ', by ', ifNull(match_method, ''))) as method,
       count() as installs
from attributed_installs where is_primary and not is_implied group by method order by installs desc, method
"""
_REASONS: Final = """
select reason_code, is_eligible, count() as candidates
from attribution_candidates where not is_winner group by reason_code, is_eligible order by candidates desc, reason_code
"""
_CHURN: Final = """
select app_id, risk_band, count() as installs, avg(churn_probability) as probability, max(as_of) as as_of
from churn_risk group by app_id, risk_band order by app_id, probability
"""
_PUBLICATIONS: Final = """
select mart, delta_version, rows, published_at, run_id, checksum from _publications order by mart
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """A question with its rows; `sql` is what was really asked."""

    sql: str
    rows: Rows


@dataclass(frozen=True, slots=True)
class ReportData:
    """All answers by name. `apps` are those with spend (all apps if none has): what growth charts are about."""

    answers: Mapping[str, Answer]
    apps: Sequence[str]
    cohort_grain: str = "day"
    cohorts: Sequence[Any] = field(default_factory=tuple)

    def rows(self, name: str) -> Rows:
        return self.answers[name].rows


def gather(query: Query) -> ReportData:
    """Ask everything. Errors of `query` come through: a report with silent holes would be worse than none."""
    asked: dict[str, Answer] = {}

    def ask(name: str, sql: str) -> Rows:
        text = sql.strip()
        asked[name] = Answer(text, query(text))
        return asked[name].rows

    apps = ask("apps", _APPS)
    spend = ask("spend", _SPEND)
    with_spend = [row["app_id"] for row in spend if row["cost"]]
    chosen = with_spend or [row["app_id"] for row in apps]
    listed = ", ".join(_literal(app_id) for app_id in chosen) or "''"
    ask("revenue", _REVENUE)
    ask("ingestion", _INGESTION)
    ask("campaigns", _CAMPAIGNS.format(limit=MAX_CAMPAIGNS))
    ask("ltv", _LTV.format(limit=MAX_CAMPAIGNS, apps=listed))
    grain = _cohort_grain([row for row in apps if row["app_id"] in chosen])
    cohort = "install_date" if grain == "day" else "toMonday(install_date)"
    days = ", ".join(str(day) for day in RETENTION_DAYS)
    sizes = ask("cohorts", _COHORT_SIZES.format(cohort=cohort, apps=listed))
    ask("retention", _RETENTION.format(cohort=cohort, apps=listed, days=days))
    ask("daily", _DAILY.format(apps=listed))
    ask("daily_revenue", _DAILY_REVENUE.format(apps=listed))
    ask("methods", _METHODS)
    ask("reasons", _REASONS)
    ask("churn", _CHURN)
    ask("publications", _PUBLICATIONS)
    return ReportData(asked, chosen, grain, tuple(row["cohort"] for row in sizes)[-MAX_COHORTS:])


def _cohort_grain(apps: Sequence[Mapping[str, Any]]) -> str:
    if not apps:
        return "day"
    span = max(row["last_install"] for row in apps) - min(row["first_install"] for row in apps)
    return "day" if span.days < MAX_COHORTS else "week"


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
