"""Revenue as reports show it: a reporting currency that may change at will, and news that reaches far back.

Both take a full run per step. What each kind of revenue is worth is in `cases/`.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.dbt.runner import PROJECT, Dbt
from tests.dbt.test_incremental import rows_of, run
from tests.dbt.world import START, Home, Row, exchange_rates, record, simulate

POLICIES = "rule_revenue_policies"
REVENUE = ("silver/int_money_events", "gold/revenue_daily", "gold/cohort_revenue")
ONLY = ("--exclude-resource-type", "unit_test")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_reporting_currency_goes_there_and_back_without_loss(dbt: Dbt, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.land(simulate(seed=3, installs=24, days=8))
    found = {}
    for n, currency in enumerate(("USD", "EUR", "USD")):
        header = (PROJECT / "seeds" / f"{POLICIES}.csv").read_text(encoding="utf-8").splitlines()[0]
        home.settings.rules_dir.mkdir(exist_ok=True)
        (home.settings.rules_dir / f"{POLICIES}.csv").write_text(f"{header}\n*,{currency},,\n", encoding="utf-8")
        run(dbt, home, "run", full_refresh=True)
        found[n] = {table: rows_of(home.lake, table) for table in REVENUE}
        checked = dbt(home.folder, "test", "--select", "assert_revenue_adds_up", *ONLY)
        assert checked.success, checked.failures
    assert found[0] == found[2]
    for table in REVENUE:
        assert found[0][table] != found[1][table], table
    sums = home.lake.open("gold/revenue_daily").to_pyarrow_table().to_pylist()
    for name in ("store_fees", "refunds", "allocated_ad_revenue", "subscription_revenue", "trial_conversions"):
        assert any(row[name] for row in sums), f"the world has no {name}"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_news_of_old_orders_and_shared_days_restates_what_looks_back_at_them(dbt: Dbt, tmp_path: Path) -> None:
    """Late records, one at a time, change days and cohorts that they do not name."""

    def app_event(kind: str, record_id: str, day: int, install_id: str | None = None, **more: Any) -> tuple[str, Row]:
        values = {"install_id": install_id, "currency": "EUR" if "revenue_micros" in more else None} | more
        return "bronze/bronze_app_events", record(kind, record_id, START + timedelta(days=day), **values)

    def paid(record_id: str, day: int, micros: int, **more: Any) -> tuple[str, Row]:
        return app_event("event", record_id, day, event_name="did_renew", revenue_micros=micros, **more)

    known = [
        app_event("install", "in1", 0, "i1"),
        app_event("install", "in2", 1, "i2"),
        app_event("install", "in3", 2, "i3"),
        app_event("install", "in4", 3, "i4"),
        paid("free", 5, 8_000_000, install_id="i4", order_id="o4"),
        ("bronze/bronze_consents", record("consent", "said", START + timedelta(days=4), install_id="i4")),
        paid("charge", 9, 5_000_000, order_id="s2", original_order_id="s1"),
        paid("again", 16, 5_000_000, order_id="s3", original_order_id="s1"),
        paid("bought", 4, 9_000_000, install_id="i2", order_id="o1"),
        paid("refund", 12, -9_000_000, order_id="o2"),
        app_event("event", "end", 20, event_name="cancellation", original_order_id="s1"),
        app_event("ad_revenue", "total", 6, revenue_micros=1_000_000, ad_network="net"),
        app_event("session", "s1", 6, "i1"),
        app_event("session", "s2", 6, "i2"),
        app_event("session", "last", 40, "i3"),
    ]
    # A rate first, as it restates nearly every day.
    late = [
        [row for row in exchange_rates() if row[1]["currency"] == "JPY"],
        [app_event("event", "try", 2, "i1", event_name="start_trial", order_id="s1")],
        [paid("taken", 7, 9_000_000, install_id="i2", order_id="o2")],
        [app_event("session", "s3", 6, "i3")],
        # The phone of somebody of ours: all that its install ever did goes.
        [app_event("session", "phone", 38, "i4", gaid="ours"), app_event("session", "more", 39, "i3")],
    ]
    step_by_step, at_once = Home(tmp_path / "incremental"), Home(tmp_path / "full")
    rules: dict[str, list[Row]] = {
        "rule_revenue_policies": [{"app_id": "game.android", "reporting_currency": "JPY"}],
        "rule_internal_traffic": [{"app_id": "*", "filter_kind": "device_id", "filter_value": "ours"}],
    }
    found = []
    for part in [known, *late]:
        step_by_step.land(part)
        plan = run(dbt, step_by_step, "run", rules)
        assert plan.mode == ("incremental" if found else "full")
        found.append({table: rows_of(step_by_step.lake, table) for table in REVENUE})
        assert not any(found[-1] == before for before in found[:-1]), "the news changes something"
    at_once.land([row for part in [known, *late] for row in part])
    run(dbt, at_once, "run", rules)
    for table in [*at_once.lake.tables("silver"), *at_once.lake.tables("gold")]:
        assert rows_of(step_by_step.lake, table) == rows_of(at_once.lake, table), table
    codes = {row["record_id"]: row for row in entries(step_by_step)}
    assert "free" not in codes
    assert (codes["charge"]["subscription_code"], codes["charge"]["install_id"]) == ("trial_conversion", "i1")
    assert codes["again"]["subscription_code"] == "renewal"
    assert (codes["end"]["subscription_code"], codes["end"]["install_id"]) == ("cancellation", "i1")
    assert (codes["refund"]["purchase_record_id"], codes["refund"]["install_id"]) == ("taken", "i2")


def entries(home: Home) -> list[Row]:
    return home.lake.open("silver/int_money_events").to_pyarrow_table().to_pylist()
