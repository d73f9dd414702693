"""The code location: loads from nothing, shows one lineage, and every asset says what it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from lakehouse.contract import bronze_schemas
from orchestration.definitions import build_definitions

STABLE_MARTS = {
    "attributed_installs",
    "attribution_candidates",
    "campaign_daily",
    "channel_credit",
    "cohort_retention",
    "cohort_revenue",
    "retention_curves",
    "activity_daily",
    "multi_touch_credit",
    "revenue_daily",
    "predicted_ltv_by_campaign",
    "churn_risk",
    "fraud_signals",
    "fraud_daily",
    "fraud_dry_run",
    "fraud_site_tests",
    "mart_finality",
    "measure_finality",
    "mart_restatements",
}


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> Any:
    os.environ["UNMOGROWP_HOME"] = str(tmp_path_factory.mktemp("home"))
    yield build_definitions()
    del os.environ["UNMOGROWP_HOME"]


def test_definitions_load_with_an_empty_environment(tmp_path: Path) -> None:
    code = (
        "import json; from orchestration.definitions import build_definitions;"
        "d = build_definitions(); d.resolve_job_def('refresh');"
        "print(json.dumps(len(list(d.resolve_all_asset_keys()))))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout.splitlines()[-1]) > 20


def test_one_lineage_from_bronze_to_every_published_mart(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    bronze = {dg.AssetKey(name.partition("/")[2]) for name in bronze_schemas()}
    for mart in STABLE_MARTS:
        published = dg.AssetKey(["marts", mart])
        ancestors = graph.get_ancestor_asset_keys(published)
        assert dg.AssetKey(mart) in ancestors, f"{mart} is published from something else"
        assert ancestors & bronze, f"{mart} does not come from bronze"


def test_every_asset_has_group_owner_and_description(definitions: dg.Definitions) -> None:
    ours = definitions.resolve_asset_graph().materializable_asset_keys
    for spec in definitions.resolve_all_asset_specs():
        if spec.key not in ours:  # `config.apps`: made of apps.toml, not by a step
            continue
        assert spec.group_name not in {None, "default"}, spec.key
        assert spec.owners, spec.key
        assert spec.description, spec.key
        assert spec.kinds, spec.key


def test_checks_guard_bronze_and_every_mart(definitions: dg.Definitions) -> None:
    checked = {key.asset_key for key in definitions.resolve_asset_graph().asset_check_keys}
    for name in [*STABLE_MARTS, "bronze_app_events", "bronze_touchpoints", "bronze_costs"]:
        assert dg.AssetKey(name) in checked, name


@pytest.mark.parametrize("job", ["refresh", "transform"])
def test_channel_credit_is_brought_up_to_date_with_and_without_training(definitions: dg.Definitions, job: str) -> None:
    selected = definitions.resolve_job_def(job).asset_layer.selected_asset_keys
    assert {dg.AssetKey("int_channel_paths"), dg.AssetKey("channel_effects"), dg.AssetKey("channel_credit")} <= selected
    assert (dg.AssetKey("ltv_model") in selected) == (job == "refresh")


def test_the_schedule_and_the_sensor_wait_for_an_operator(definitions: dg.Definitions) -> None:
    repository = definitions.get_repository_def()
    assert repository.schedule_defs
    assert repository.sensor_defs
    assert all(s.default_status is dg.DefaultScheduleStatus.STOPPED for s in repository.schedule_defs)
    assert all(s.default_status is dg.DefaultSensorStatus.STOPPED for s in repository.sensor_defs)
