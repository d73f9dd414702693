"""What a number was when: each change once, with the inputs that changed between."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lakehouse.engine import connect
from lakehouse.lake import Lake
from lakehouse.measure_changes import Recording, record_changes
from lakehouse.predictions import MEASURE_CHANGES
from lakehouse.settings import load_settings
from tests.lakehouse.plan_world import BRONZE, table

MONEY = pa.decimal128(18, 6)
DAILY = pa.schema(
    [
        ("app_id", pa.string()), ("date", pa.date32()), ("platform", pa.string()), ("partner", pa.string()),
        ("campaign_id", pa.string()), ("installs", pa.int64()), ("cost_usd", MONEY), ("revenue_d0_usd", MONEY),
        ("revenue_d7_usd", MONEY), ("revenue_d30_usd", MONEY), ("is_mature_d0", pa.bool_()),
    ]
)  # fmt: skip
DAY = date(2026, 3, 3)
AT = datetime(2026, 3, 12, tzinfo=UTC)


class Home:
    """A lake with `campaign_daily` as each test says it, and bronze tables that grow."""

    def __init__(self, folder: Path) -> None:
        self.settings = load_settings({"UNMOGROWP_HOME": str(folder)})
        self.lake = Lake(self.settings.lake)
        self.batch = 0
        for name, schema in BRONZE.items():
            self.lake.create(name, schema, ["ingest_date"])

    def land(self, name: str, **values: Any) -> None:
        row = {"app_id": "a", "record_id": f"r{self.batch}", "ingest_date": date(2026, 3, 12)} | values
        self.lake.append_once(f"bronze/{name}", table(BRONZE[f"bronze/{name}"], [row]), writer="w", batch=self.batch)
        self.batch += 1

    def build(self, *rows: dict[str, Any]) -> None:
        self.lake.overwrite("gold/campaign_daily", table(DAILY, list(rows)))

    def record(self) -> Recording:
        snapshot = self.lake.pin()
        connection = connect(self.settings, lake=self.lake, snapshot=snapshot)
        try:
            return record_changes(connection, snapshot, self.settings, self.lake, run_id="run", recorded_at=AT)
        finally:
            connection.close()

    def changes(self) -> list[tuple[Any, ...]]:
        """Campaign, measure, old and new value and causes of the last recording."""
        rows = self.lake.open(MEASURE_CHANGES).to_pyarrow_table().to_pylist()
        last = max(row["recording"] for row in rows)
        names = ("campaign_id", "measure", "old_value", "new_value", "causes")
        return sorted(
            (tuple(row[name] for name in names) for row in rows if row["recording"] == last),
            key=lambda row: row[:2],
        )


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def day(
    campaign: str = "c", partner: str = "n", *, on: date = DAY, mature: bool = True, **values: Any
) -> dict[str, Any]:
    row = {"app_id": "a", "date": on, "platform": "ios", "partner": partner, "campaign_id": campaign, "installs": 0}
    money = dict.fromkeys(("revenue_d0_usd", "revenue_d7_usd", "revenue_d30_usd")) | {"cost_usd": 0}
    made = {name: None if v is None or name == "installs" else Decimal(v) for name, v in (money | values).items()}
    return row | made | {"installs": values.get("installs", 0), "is_mature_d0": mature}


def test_a_value_is_recorded_once_its_day_is_over_and_zeros_are_not(home: Home) -> None:
    home.build(
        day(installs=5, cost_usd="10", revenue_d0_usd="0", revenue_d7_usd="8.1"),
        day("young", on=date(2026, 3, 11), installs=3, cost_usd="2", mature=False),
    )
    assert home.record() == Recording(1, first=3, restated=0)
    assert home.changes() == [
        ("c", "cost_usd", None, Decimal("10.000000"), "first_recorded"),
        ("c", "installs", None, Decimal("5.000000"), "first_recorded"),
        ("c", "revenue_d7_usd", None, Decimal("8.100000"), "first_recorded"),
    ]


def test_a_repeated_run_adds_nothing(home: Home) -> None:
    home.build(day(installs=5))
    first = home.record()
    assert home.record() == Recording(first.table_version, 0, 0)
    home.land("bronze_app_events", event_date=DAY, record_type="session")
    assert home.record().first == 0
    assert home.lake.row_count(MEASURE_CHANGES) == 1


def test_a_change_names_the_inputs_that_changed(home: Home) -> None:
    """ROAS D7 of the 3rd was 8.1 / 10 = 0.81; a late purchase and a restated cost make it 9.46 / 11 = 0.86."""
    home.build(day(installs=5, cost_usd="10", revenue_d7_usd="8.1"))
    home.record()
    home.land("bronze_app_events", event_date=date(2026, 3, 9), record_type="event")
    home.land("bronze_costs", cost_date=DAY)
    home.land("bronze_costs", cost_date=DAY)
    home.build(day(installs=5, cost_usd="11", revenue_d7_usd="9.46"))
    assert home.record().restated == 2
    assert home.changes() == [
        ("c", "cost_usd", Decimal(10), Decimal(11), "cost_restated"),
        ("c", "revenue_d7_usd", Decimal("8.1"), Decimal("9.46"), "late_events"),
    ]
    rows = home.lake.open(MEASURE_CHANGES).to_pyarrow_table().to_pylist()
    reasons = {row["measure"]: row["reason"] for row in rows if row["recording"] == 1}
    assert reasons["cost_usd"] == "the partner stated the cost of the day again (2 statements)"
    assert reasons["revenue_d7_usd"] == "1 app events of the days it rests on came after it was recorded"


def test_a_late_touch_moves_installs_to_a_campaign_that_had_none(home: Home) -> None:
    home.build(day("", "organic", installs=5), day("gone", installs=1))
    home.record()
    home.land("bronze_touchpoints", event_date=date(2026, 2, 27), record_type="click")
    home.land("bronze_app_events", event_date=DAY, record_type="event")  # no install rests on it
    home.build(day("", "organic", installs=4), day("new", installs=2))
    home.record()
    assert home.changes() == [
        ("", "installs", Decimal(5), Decimal(4), "late_touches"),
        ("gone", "installs", Decimal(1), Decimal(0), "late_touches"),
        ("new", "installs", Decimal(0), Decimal(2), "late_touches"),
    ]


def test_fraud_rates_rules_and_other_days_are_told_apart(home: Home) -> None:
    home.build(day(installs=5, revenue_d0_usd="3"))
    home.record()
    home.land("bronze_fx_rates", rate_date=date(2026, 3, 1))
    home.build(day(installs=4, revenue_d0_usd="2"), day("", "blocked", installs=1))
    home.record()
    assert home.changes() == [
        ("", "installs", Decimal(0), Decimal(1), "fraud_blocked"),
        ("c", "installs", Decimal(5), Decimal(4), "fraud_blocked"),
        ("c", "revenue_d0_usd", Decimal(3), Decimal(2), "fraud_blocked,fx_rates"),
    ]
    home.settings.rules_dir.mkdir()
    seed = home.settings.dbt_project / "seeds" / "rule_fraud_thresholds.csv"
    shutil.copyfile(seed, home.settings.rules_dir / seed.name)
    with (home.settings.rules_dir / seed.name).open("a") as stream:
        stream.write("\n")
    home.build(day(installs=5, revenue_d0_usd="2"), day("", "blocked", installs=1))
    home.record()
    assert home.changes() == [("c", "installs", Decimal(4), Decimal(5), "fraud_rules")]
    home.build(day(installs=6, revenue_d0_usd="2"), day("", "blocked", installs=1))
    home.land("bronze_app_events", event_date=date(2026, 1, 1), record_type="install")
    home.record()
    assert home.changes() == [("c", "installs", Decimal(5), Decimal(6), "other_days")]


@pytest.mark.parametrize("dies", ["before", "after"])
def test_a_run_that_dies_at_the_commit_leaves_each_change_once(
    home: Home, monkeypatch: pytest.MonkeyPatch, dies: str
) -> None:
    home.build(day(installs=5))
    home.record()
    home.build(day(installs=6))
    home.land("bronze_app_events", event_date=DAY, record_type="install")
    append = Lake.append_once

    def killed(lake: Lake, *args: Any, **options: Any) -> bool:
        if dies == "after":
            append(lake, *args, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Lake, "append_once", killed)
        with pytest.raises(KeyboardInterrupt):
            home.record()
    home.record()
    home.record()
    assert home.changes() == [("c", "installs", Decimal(5), Decimal(6), "late_events")]
    assert home.lake.row_count(MEASURE_CHANGES) == 2
