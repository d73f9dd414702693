"""dbt takes the rule files of the home in the place of the project's, also when it is called by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakehouse.plan import make_plan
from tests.dbt.runner import PROJECT, Dbt
from tests.dbt.test_incremental import run
from tests.dbt.world import Home, simulate

WINDOWS = "rule_attribution_windows"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def write(home: Home, hours: str, name: str = WINDOWS) -> None:
    text = (PROJECT / "seeds" / f"{WINDOWS}.csv").read_text(encoding="utf-8")
    home.settings.rules_dir.mkdir(exist_ok=True)
    changed = text.replace("click,deterministic,1970-01-01,,168", f"click,deterministic,1970-01-01,,{hours}")
    (home.settings.rules_dir / f"{name}.csv").write_text(changed, encoding="utf-8")


def hours(home: Home) -> list[int]:
    return sorted(home.lake.open(f"rules/{WINDOWS}").to_pyarrow_table()["window_hours"].to_pylist())


def test_a_rule_file_of_the_home_is_what_dbt_reads(dbt: Dbt, home: Home) -> None:
    write(home, "48")
    outcome = dbt(home.folder, "build", "--select", WINDOWS, "rule_touch_types")
    assert outcome.success, outcome.failures
    assert hours(home) == [0, 6, 24, 48, 168]
    assert home.lake.row_count("rules/rule_touch_types") == 6, "rules that the home has no file for stay the project's"


def test_a_wrong_rule_file_is_refused_and_the_rules_stay(dbt: Dbt, home: Home) -> None:
    assert dbt(home.folder, "seed", "--select", WINDOWS).success
    write(home, "999")
    outcome = dbt(home.folder, "build", "--select", f"{WINDOWS}", "rule_risk_bands")
    assert f"{WINDOWS}.csv, row 2: window_hours is 999" in outcome.message(WINDOWS)
    assert outcome.status("rule_risk_bands") == "success", "other files are right"
    assert hours(home) == [0, 6, 24, 168, 168]


def test_a_rule_file_that_replaces_nothing_stops_every_seed(dbt: Dbt, home: Home) -> None:
    write(home, "48", name="rule_atribution_windows")
    outcome = dbt(home.folder, "seed", "--select", "rule_risk_bands")
    assert "rule_atribution_windows.csv: the project has no rules of this name" in outcome.message("rule_risk_bands")
    assert home.lake.tables("rules") == []


def test_a_changed_rule_file_makes_the_next_run_a_full_one_under_it(dbt: Dbt, home: Home) -> None:
    home.land(simulate(seed=5, installs=12, days=5))
    run(dbt, home, "run")
    write(home, "24")
    plan = make_plan(home.settings, home.lake, home.lake.pin())
    assert (plan.mode, plan.reason) == ("full", "models, rules or apps changed")
    write(home, "168")
    again = make_plan(home.settings, home.lake, home.lake.pin())
    assert again.mode == "incremental", "the same rules, wherever they lie"
