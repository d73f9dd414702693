"""The dbt project as Dagster knows it: how names become assets, and how dbt is called."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib import metadata
from typing import Any, Final

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtCliResource, DbtProject
from packaging.version import Version

from assets.lineage import OWNERS
from assets.manifest import DBT_EXECUTABLE, ProjectError, parsed
from lakehouse.settings import Settings, load_settings

_KEPT_RUNS: Final = 20


class LayerTranslator(DagsterDbtTranslator):
    """Asset key = table name, group = layer, so that bronze, models and marts form one lineage."""

    def __init__(self) -> None:
        super().__init__(
            settings=DagsterDbtTranslatorSettings(enable_asset_checks=True, enable_source_tests_as_checks=True)
        )

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        configured = dbt_resource_props.get("meta", {}).get("dagster", {}).get("asset_key")
        return dg.AssetKey(configured or [dbt_resource_props["name"]])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        schema = dbt_resource_props.get("schema") or "silver"
        return str(schema) if schema in {"silver", "gold", "rules"} else "silver"

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> list[str]:
        return OWNERS


class InstalledDbtResource(DbtCliResource):
    """dbt's command line as it is installed beside this Python.

    The base class asks `dbt --version`, which looks up the newest release over the network, and loads an adapter for
    metadata that we read from Delta ourselves; together that is most of a small step's time. Both overrides name
    private members of dagster-dbt 0.29: drop them when its steps get lighter. A test runs a step through them.
    """

    @cached_property
    def _cli_version(self) -> Version:
        return Version(metadata.version("dbt-core"))

    def _initialize_dbt_core_adapter(self, args: Sequence[str]) -> None:
        return None


def dbt_project(settings: Settings | None = None) -> DbtProject:
    """The project with an up-to-date manifest."""
    settings = settings or load_settings()
    try:
        target = parsed(settings)
    except ProjectError as error:
        raise dg.DagsterInvalidDefinitionError(str(error)) from None
    return DbtProject(settings.dbt_project, target_path=target, profiles_dir=settings.dbt_project)


def dbt_resource(settings: Settings | None = None) -> InstalledDbtResource:
    """The dbt command line of this environment."""
    settings = settings or load_settings()
    return InstalledDbtResource(
        project_dir=str(settings.dbt_project), profiles_dir=str(settings.dbt_project), dbt_executable=DBT_EXECUTABLE
    )


def dbt_folders(settings: Settings) -> dict[str, str]:
    """Variables that keep what dbt writes (manifest, compiled SQL, logs) in the home; the oldest runs' files go."""
    target = settings.home / "dbt" / "target"
    runs = sorted((p for p in target.glob("*-*-*") if p.is_dir()), key=lambda p: p.stat().st_mtime)
    for old in runs[:-_KEPT_RUNS]:
        shutil.rmtree(old, ignore_errors=True)
    return {"DBT_TARGET_PATH": str(target), "DBT_LOG_PATH": str(settings.home / "dbt" / "logs")}
