"""The dbt project as Dagster knows it: its manifest and how names become assets."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtCliResource, DbtProject
from packaging.version import Version

from assets.lineage import OWNERS
from lakehouse.settings import Settings, load_settings

_KEPT_RUNS: Final = 20
_MANIFEST: Final = "manifest.json"
_PARTIAL: Final = "partial_parse.msgpack"
_STAMP: Final = "manifest.sha256"
DBT_EXECUTABLE: Final = str(Path(sys.executable).with_name("dbt"))


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
    """The project with an up-to-date manifest; it is parsed again when a file of the project changed.

    Parsing needs no data and no network. The manifest lies in the home, as the project's folder may be read-only; where
    it is not, what was parsed once is kept there for all homes.
    """
    settings = settings or load_settings()
    target = settings.home / "dbt" / "target"
    project = DbtProject(settings.dbt_project, target_path=target, profiles_dir=settings.dbt_project)
    with _parsing(target):
        state = _project_hash(settings.dbt_project)
        if not _is_parsed(target, state):
            kept = settings.dbt_project / "target" / "parsed"
            if not _take(kept, target, state):
                _parse(settings, target)
                (target / _STAMP).write_text(state, encoding="utf-8")
                with suppress(OSError):
                    _take(target, kept, state)
    return project


def _is_parsed(folder: Path, state: str) -> bool:
    stamp = folder / _STAMP
    return (folder / _MANIFEST).is_file() and stamp.is_file() and stamp.read_text(encoding="utf-8") == state


def _take(source: Path, target: Path, state: str) -> bool:
    """Copy what was parsed from the project in this state; False if `source` has another one.

    The stamp goes last, and is looked at again, so that two processes at once leave nothing mixed.
    """
    if not _is_parsed(source, state):
        return False
    target.mkdir(parents=True, exist_ok=True)
    for name in (_PARTIAL, _MANIFEST, _STAMP):
        copy = target / f".{name}.{os.getpid()}"
        shutil.copyfile(source / name, copy)
        copy.replace(target / name)
    return _is_parsed(source, state)


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


def start_parse(settings: Settings) -> None:
    """Begin parsing in a process of its own; `dbt_project` then waits for it or finds its manifest."""
    environment = dict(os.environ) | {"UNMOGROWP_HOME": str(settings.home)}
    code = "from assets.project import dbt_project; dbt_project()"
    subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,  # an error shows again when the run parses
    )


@contextmanager
def _parsing(target: Path) -> Iterator[None]:
    """One parse of a home at a time."""
    target.mkdir(parents=True, exist_ok=True)
    with (target / ".parsing.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _parse(settings: Settings, target: Path) -> None:
    environment = dict(os.environ) | {"DBT_LOG_PATH": str(settings.home / "dbt" / "logs")}
    arguments = [DBT_EXECUTABLE, "--quiet", "parse", "--target-path", str(target)]
    arguments += ["--project-dir", str(settings.dbt_project), "--profiles-dir", str(settings.dbt_project)]
    result = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise dg.DagsterInvalidDefinitionError(
            f"dbt cannot parse {settings.dbt_project}:\n{result.stdout}{result.stderr}"
        )


def _project_hash(folder: Path) -> str:
    digest = hashlib.sha256(sys.version.encode())
    kept = (p for p in folder.rglob("*") if p.suffix in {".sql", ".csv", ".yml", ".md"} and p.is_file())
    for file in sorted(kept):
        relative = file.relative_to(folder)
        if relative.parts[0] not in {"target", "logs", "dbt_packages"}:
            digest.update(str(relative).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()
