"""What documents say about models is what the models are."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from lakehouse import dbt_docs, dbt_sources
from lakehouse.contract import RECORD_TABLES, bronze_schemas
from lakehouse.predictions import PREDICTION_SCHEMAS
from tests.dbt.runner import PROJECT, Dbt, Outcome
from tests.dbt.world import Home

MODELS = sorted(path for path in PROJECT.glob("models/**/*.sql"))


@functools.cache
def described(kind: str) -> dict[str, dict[str, Any]]:
    files = [*PROJECT.glob("models/**/*.yml"), *PROJECT.glob("seeds/*.yml")]
    loaded = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in files]
    return {entry["name"]: entry for file in loaded for entry in file.get(kind, [])}


def test_sources_are_those_of_the_contract() -> None:
    assert (PROJECT / dbt_sources.FILE).read_text(encoding="utf-8") == dbt_sources.sources_yaml()


def test_every_source_of_the_contract_is_read_or_known_not_to_be() -> None:
    sql = "".join(path.read_text(encoding="utf-8") for path in MODELS)
    read = set(re.findall(r"\b(bronze_\w+|predictions_\w+|channel_effects|measure_changes)\b", sql))
    tables = {key.partition("/")[2] for key in bronze_schemas() | PREDICTION_SCHEMAS}
    assert read <= tables
    assert tables - read == {"bronze_network"}, "raw addresses are for nobody's rules"


@pytest.mark.parametrize("table", RECORD_TABLES, ids=lambda t: t.name)
def test_staging_drops_no_field_of_the_contract_unseen(table: Any) -> None:
    model = {"bronze_app_events": "stg_app_events", "bronze_touchpoints": "stg_touchpoints"}.get(
        table.name, table.name.replace("bronze_", "stg_")
    )
    columns = {column["name"] for column in described("models")[model]["columns"]}
    contract = {field.column for field in table.fields} - {"ingest_date"}  # the day of the first copy is in received_at
    constant = {"bronze_costs": {"record_type", "environment", "sent_at", "is_event_at_missing"}}
    constant["bronze_skan_postbacks"] = {
        "record_type", "platform", "sent_at", "is_event_at_missing", "install_id",
    }  # fmt: skip
    assert contract - columns == constant.get(table.name, set())


@pytest.mark.parametrize("path", MODELS, ids=lambda p: p.stem)
def test_a_model_says_its_grain_and_describes_every_column(path: Path) -> None:
    model = described("models")[path.stem]
    assert re.search(r"one row( per .+)?\.$", " ".join(model["description"].split()))
    for column in model["columns"]:
        text = column.get("description", "")
        assert len(text) >= 8, f"{column['name']} is not described"
        assert text.lower() not in {"int", "string", "date", column.get("data_type", "")}


@pytest.mark.parametrize("model", list(dbt_docs.mart_models(PROJECT)), ids=lambda model: model["name"])
def test_a_mart_says_how_final_it_is_and_what_to_mind(model: dict[str, Any]) -> None:
    reading = model["config"]["meta"]
    assert reading["final"].endswith(".")
    assert reading["mind"].endswith(".")


def test_no_description_without_a_model() -> None:
    assert set(described("models")) == {path.stem for path in MODELS}
    assert set(described("seeds")) == {path.stem for path in PROJECT.glob("seeds/*.csv")}


def test_the_page_of_the_marts_is_up_to_date() -> None:
    page = (PROJECT.parent / dbt_docs.FILE).read_text(encoding="utf-8")
    assert page == dbt_docs.marts_page(PROJECT), "run `python -m lakehouse.dbt_docs`"


def test_no_rule_reads_a_clock() -> None:
    for path in [*MODELS, *PROJECT.glob("macros/**/*.sql"), *PROJECT.glob("tests/**/*.sql")]:
        found = re.findall(r"\b(now\(\)|current_\w+|today\(\)|get_current_timestamp)", path.read_text(encoding="utf-8"))
        assert not found, f"{path.name} reads {found}"


@pytest.fixture(scope="module")
def built(dbt: Dbt, tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Outcome]:
    """An empty lake, built with every case of the yml files. Data tests are asked of the worked examples, which have
    rows to be wrong about."""
    home = Home(tmp_path_factory.mktemp("empty") / "home")
    return home, dbt(home.folder, "build", "--exclude-resource-type", "test")


@pytest.mark.timeout(600)  # parses the project and runs every case; minutes on a machine that does much else
def test_an_empty_lake_builds_passes_its_cases_and_has_the_described_columns(built: tuple[Home, Outcome]) -> None:
    home, outcome = built
    assert outcome.success, outcome.failures or outcome.error
    assert sum(status == "pass" for status, _ in outcome.nodes.values()) > 50, "the cases ran"
    for layer, kind in (("silver", "models"), ("gold", "models"), ("rules", "seeds")):
        for table in home.lake.tables(layer):
            names = [column["name"] for column in described(kind)[table.partition("/")[2]]["columns"]]
            assert sorted(home.lake.schema(table).names) == sorted(names), table


def test_an_analyst_can_look_at_rows_and_read_the_docs(dbt: Dbt, built: tuple[Home, Outcome]) -> None:
    home, _ = built
    assert dbt(home.folder, "show", "--select", "int_rulesets").success
    assert dbt(home.folder, "docs", "generate", "--no-compile", "--select", "int_rulesets").success
