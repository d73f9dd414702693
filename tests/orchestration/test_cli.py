"""The command line: help everywhere, light start, one sentence for a wrong setting."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestration.cli import COMMANDS, cli

UNMOGROWP = str(Path(sys.executable).with_name("unmogrowp"))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert "Usage:" in result.output


def test_the_endpoint_loads_neither_dagster_nor_pandas() -> None:
    code = (
        "import sys; from orchestration.cli import cli; cli.get_command(None, 'ingest');"
        "import ingestion.server, ingestion.importer;"
        "print([m for m in ('dagster', 'pandas', 'polars', 'mlflow', 'dbt', 'chdb', 'lightgbm') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"UNMOGROWP_THREADS": "many"}, "UNMOGROWP_THREADS is wrong"),
        ({"UNMOGROWP_TYPO": "1"}, "UNMOGROWP_TYPO is not a setting"),
    ],
)
def test_a_wrong_setting_stops_with_one_sentence(tmp_path: Path, variables: dict[str, str], sentence: str) -> None:
    environment = {"PATH": os.environ["PATH"], "UNMOGROWP_HOME": str(tmp_path)} | variables
    result = subprocess.run([UNMOGROWP, "status"], env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr.startswith(f"unmogrowp: {sentence}")
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_missing_secret_stops_the_start(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "UNMOGROWP_HOME": str(tmp_path)}
    for name in ("up", "serve", "ingest"):
        result = subprocess.run(
            [UNMOGROWP, name], env=environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert result.returncode == 2, result.stderr
        assert "is missing" in result.stderr.strip().splitlines()[-1]


def test_registering_an_app_shows_its_key_once(tmp_path: Path) -> None:
    runner = CliRunner(env={"UNMOGROWP_HOME": str(tmp_path)})
    made = runner.invoke(cli, ["app", "my.app", "--platform", "ios", "--json"])
    key = json.loads(made.output)["write_key"]
    again = runner.invoke(cli, ["app", "my.app", "--key-name", "second", "--json"])
    assert json.loads(again.output)["write_key"] != key
    stored = (tmp_path / "apps.toml").read_text()
    assert stored.count("sha256") == 2
    assert key not in stored


def test_a_link_is_signed_with_the_secret_of_its_app(tmp_path: Path) -> None:
    from ingestion.link_signatures import is_valid
    from ingestion.links import read_parameters
    from lakehouse.link_secrets import load_link_secrets
    from lakehouse.settings import load_settings

    home = {"UNMOGROWP_HOME": str(tmp_path)}
    runner = CliRunner(env=home)
    runner.invoke(cli, ["app", "my.app", "--platform", "android", "--play-store-id", "com.my.app"])
    names = ["partner=meta", "campaign_name=Spring & Sale", "gaid={gaid}"]
    made = runner.invoke(
        cli, ["link", "my.app", *names, "--signed", "--expires", "2026-04-01", "--base", "https://go.x/"]
    )
    assert made.exit_code == 0, made.output
    link = made.output.strip()
    start = "https://go.x/v1/click/my.app?partner=meta&campaign_name=Spring%20%26%20Sale&gaid={gaid}&signed="
    assert link.startswith(start)
    secret = load_link_secrets(load_settings(home))["my.app"]
    pairs = read_parameters(link.partition("?")[2].replace("{gaid}", "38400000-8cf0-11bd-b23e-10b96e40000d"))
    at = datetime(2026, 3, 31, tzinfo=UTC)
    assert is_valid(secret, "click", "my.app", pairs, at) is True
    assert is_valid(secret, "click", "my.app", pairs, at + timedelta(days=1, seconds=1)) is False
    unsigned = runner.invoke(cli, ["link", "my.app", "pid=meta", "--impression"]).output
    assert unsigned == "/v1/impression/my.app?pid=meta\n"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["other.app", "partner=x"], "not registered"),
        (["my.app", "campaign_id=x"], "partner is missing"),
        (["my.app", "partner"], "NAME=VALUE"),
        (["my.app", "sig=1"], "NAME=VALUE"),
    ],
)
def test_a_link_that_cannot_be_made_says_why(tmp_path: Path, arguments: list[str], reason: str) -> None:
    runner = CliRunner(env={"UNMOGROWP_HOME": str(tmp_path)})
    runner.invoke(cli, ["app", "my.app", "--platform", "ios"])
    refused = runner.invoke(cli, ["link", *arguments])
    assert refused.exit_code == 2
    assert reason in refused.output


def test_settings_lists_every_setting_masked(tmp_path: Path) -> None:
    store = {"UNMOGROWP_STORAGE_OPTIONS": "AWS_SECRET_ACCESS_KEY=hidden-one"}
    runner = CliRunner(env={"UNMOGROWP_HOME": str(tmp_path), "UNMOGROWP_SALT": "s" * 40} | store)
    rows = json.loads(runner.invoke(cli, ["settings", "--json"]).output)
    assert "hidden-one" not in json.dumps(rows)
    assert {"UNMOGROWP_HOME", "UNMOGROWP_LAKE", "UNMOGROWP_SALT"} <= {row["setting"] for row in rows}
    assert "s" * 40 not in json.dumps(rows)
    assert all(row["meaning"] for row in rows)
