"""`unmogrowp rules check`, and that no run builds with wrong rules."""

from __future__ import annotations

import json
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner

from assets.resources import HomeResource
from lakehouse.settings import load_settings
from orchestration.cli import cli

SEEDS = load_settings({}).dbt_project / "seeds"


def wrong_windows(folder: Path) -> Path:
    folder.mkdir(parents=True)
    text = (SEEDS / "rule_attribution_windows.csv").read_text(encoding="utf-8")
    (folder / "rule_attribution_windows.csv").write_text(text.replace(",168", ",-168"), encoding="utf-8")
    return folder


def test_the_check_prints_a_sentence_for_each_fault(tmp_path: Path) -> None:
    runner = CliRunner(env={"UNMOGROWP_HOME": str(tmp_path / "home")})
    right = runner.invoke(cli, ["rules", "check"])
    assert (right.exit_code, "all as shipped" in right.output) == (0, True), right.output
    folder = wrong_windows(tmp_path / "tried")
    wrong = runner.invoke(cli, ["rules", "check", str(folder)])
    assert wrong.exit_code == 1
    assert wrong.stdout.splitlines() == [
        f"rule_attribution_windows.csv, row {row}: window_hours is -168, and must be at least 0." for row in (2, 3)
    ]
    assert wrong.stderr == "Error: 2 faults in the rules; nothing was changed.\n"
    as_data = runner.invoke(cli, ["rules", "check", str(folder), "--json"])
    assert [fault["row"] for fault in json.loads(as_data.stdout)] == [2, 3]
    assert runner.invoke(cli, ["rules", "check"]).exit_code == 0, "the home itself has none"


def test_a_run_stops_before_it_builds_with_wrong_rules(tmp_path: Path) -> None:
    wrong_windows(tmp_path / "home" / "rules")
    with pytest.raises(dg.Failure, match=r"rule_attribution_windows\.csv, row 2: window_hours is -168"):
        HomeResource(home=str(tmp_path / "home")).require_rules()
