"""A published set of marts with made-up rows: two apps that buy installs, one that does not, real ClickHouse."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from lakehouse.lake import Lake
from lakehouse.settings import Settings
from serving.publish import publish_marts
from serving.report import Query, published

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

# 40 install dates, of which day 30 is over for the first 9; three campaigns and organic per app
_COHORTS = """
    create table cohorts as
    select app_id, date '2026-01-10' + d::int as install_date, platform, partner, campaign_id,
           case when campaign_id <> '' then 'Campaign ' || campaign_id end as campaign_name,
           20 + (d * 7 + length(campaign_id) * 5) % 17 as installs, 39 - d as age, partner <> 'organic' as is_paid
    from range(40) as dates(d)
    cross join (values ('game.ios', 'ios'), ('game.android', 'android')) as apps(app_id, platform)
    cross join (values ('northads', 'c1'), ('northads', 'c22'), ('<b>south</b>', 'c333'), ('organic', ''))
        as channels(partner, campaign_id)
    union all
    select 'shop', date '1997-01-01' + d::int, 'other', 'organic', '', null, 5, 400, false from range(3) as dates(d)
"""
_MARTS = {
    "campaign_daily": """
        select app_id, install_date as date, platform, partner, campaign_id, campaign_name,
               case when partner = 'organic' then 0 else installs * 900 end::bigint as impressions,
               case when partner = 'organic' then 0 else installs * 30 end::bigint as clicks,
               installs::bigint as installs,
               case when is_paid then installs * 1.5 else 0 end::decimal(18, 6) as cost_usd,
               cost_usd as ecpi_cost_usd,
               case when is_paid then installs else 0 end::bigint as ecpi_installs,
               case when age > 0 and is_paid then installs * 0.3 end::decimal(18, 6) as roas_d0_revenue_usd,
               case when age > 0 and is_paid then cost_usd end as roas_d0_cost_usd,
               case when age > 7 and is_paid then installs * 0.9 end::decimal(18, 6) as roas_d7_revenue_usd,
               case when age > 7 and is_paid then cost_usd end as roas_d7_cost_usd,
               case when age > 30 and is_paid then installs * 1.8 end::decimal(18, 6) as roas_d30_revenue_usd,
               case when age > 30 and is_paid then cost_usd end as roas_d30_cost_usd
        from cohorts""",
    "cohort_retention": """
        select app_id, install_date, platform, partner, campaign_id, day_clock, day_n::bigint as day_n,
               installs::bigint as cohort_installs,
               case when age > day_n then installs else 0 end::bigint as mature_installs,
               case when age > day_n then ceil(installs / (1 + day_n)) end::bigint as retained_installs
        from cohorts cross join range(31) as days(day_n)
        cross join (values ('calendar'), ('elapsed_24h')) as clocks(day_clock)""",
    "cohort_revenue": """
        select app_id, install_date, platform, partner, campaign_id, day_clock, day_n::bigint as day_n,
               installs::bigint as cohort_installs,
               case when age > day_n then installs else 0 end::bigint as mature_installs,
               case when age > day_n then installs * 0.06 end::decimal(18, 6) as revenue_usd,
               case when age > day_n then installs * 0.06 * (day_n + 1) end::decimal(18, 6) as cumulative_revenue_usd
        from cohorts cross join range(31) as days(day_n)
        cross join (values ('calendar'), ('elapsed_24h')) as clocks(day_clock)""",
    "attributed_installs": """
        select app_id, platform, app_id || install_date || campaign_id || n as install_id, install_date, partner,
               partner = 'organic' as is_organic, false as is_blocked, true as is_primary,
               app_id = 'shop' as is_implied, case when partner <> 'organic' then 't' || n end as touch_id,
               case when partner <> 'organic' then ['click', 'impression'][1 + (n % 2)::int] end as touch_type,
               case when partner <> 'organic' then ['click_id', 'ad_id'][1 + (n % 2)::int] end as match_method
        from cohorts cross join lateral unnest(range(installs)) as numbers(n)""",
    "attribution_candidates": """
        select app_id, app_id || n as conversion_id, 't' || n as touch_id, install_date, n % 4 = 0 as is_winner,
               n % 4 < 2 as is_eligible,
               ['won', 'lost_to_later_touch', 'outside_window', 'after_install'][1 + (n % 4)::int] as reason_code
        from (select app_id, min(install_date) as install_date from cohorts group by app_id)
        cross join range(400) as numbers(n)""",
    "ingestion_daily": """
        select app_id, date '2026-02-19' as ingest_date, (5000 * length(app_id))::bigint as received,
               (received - 40)::bigint as accepted, 40::bigint as rejected, 7::bigint as duplicates
        from (select distinct app_id from cohorts)""",
    "predicted_ltv_by_campaign": """
        select app_id, install_date, platform, partner, campaign_id, 30 as horizon_days, campaign_name,
               installs::bigint as scored_installs, installs * 1.7::double as predicted_ltv_usd,
               (installs * 0.06 * least(age, 30))::decimal(18, 6) as observed_revenue_usd
        from cohorts where app_id <> 'shop'""",
    "churn_risk": """
        select app_id, app_id || n as install_id, install_date, timestamptz '2026-02-19 00:00:00+00' as as_of,
               n / 300 as churn_probability, ['low', 'medium', 'high'][1 + (n // 100)::int] as risk_band
        from (select app_id, min(install_date) as install_date from cohorts where app_id <> 'shop' group by app_id)
        cross join range(300) as numbers(n)""",
}


def publish(home: Path, where: str) -> Settings:
    """A home whose marts hold the rows of the world that match a condition."""
    settings = Settings(home=home, lake=str(home / "lake"))
    lake = Lake(settings.lake)
    con = duckdb.connect()
    con.execute("set TimeZone = 'UTC'")
    con.execute(_COHORTS)
    for mart, sql in _MARTS.items():
        lake.overwrite(f"gold/{mart}", con.sql(f"select * from ({sql}) where {where}").to_arrow_table())
    con.close()
    publish_marts(settings, lake, lake.pin(), sorted(_MARTS), run_id="run-12345678", clock=lambda: NOW)
    return settings


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return publish(tmp_path_factory.mktemp("home"), "true")


@pytest.fixture(scope="module")
def query(home: Settings) -> Iterator[Query]:
    with published(home) as ask:
        yield ask


@pytest.fixture
def quality() -> list[dict[str, Any]]:
    """Rows as `quality.history.latest` gives them: a suite with a failure, an invariant that holds."""
    shared = {"run_id": "r", "checked_at": NOW, "scope": "all rows", "sample": "[]", "expected": "", "row_count": 90}
    return [
        shared
        | {"kind": "invariant", "subject": "receipts_add_up", "position": 0, "expectation": "P3", "column_name": ""}
        | {"severity": "critical", "is_success": True, "why": "accepted + rejected = received", "observed": "90"}
        | {"unexpected_count": 0},
        shared
        | {"kind": "suite", "subject": "ingestion_daily", "position": 0, "expectation": "expect_x"}
        | {"column_name": "has_many_duplicates", "severity": "warning", "is_success": False}
        | {"why": "blind <retries>", "observed": "true", "unexpected_count": 3},
    ]


@pytest.fixture
def cdnow() -> dict[str, Any]:
    measures = {"ngini": 0.721, "bias": -0.052, "decile_mape": 0.09, "cohort_wape": 0.07, "rmse": 92.6}
    churn = {"churn_auc": 0.771, "churn_ece": 0.045}
    return {
        "customers": 23570,
        "rows": [
            {"model": "LightGBM hurdle", **measures, **churn},
            {"model": "past spend", **measures, "ngini": 0.698, "churn_auc": None, "churn_ece": None},
        ],
        "bars": [
            {"name": "nGini", "asked": ">= 0.700", "measured": 0.721, "is_passed": True, "is_suspicious": False},
            {"name": "bias", "asked": "within 15 %", "measured": -0.052, "is_passed": False, "is_suspicious": False},
        ],
        "ngini_gain": (0.042, 0.062),
    }
