"""What the model tests share: built once, as importing MLflow and LightGBM and fitting cost seconds."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import duckdb
import pandas as pd
import pytest

from lakehouse import engine
from lakehouse.lake import Lake
from lakehouse.settings import Settings, load_settings
from models_ml import churn, ltv, scoring
from models_ml.activity import INPUT_TABLES
from models_ml.boosting import BoostingParams
from models_ml.cdnow_benchmark import Benchmark, evaluate_cdnow
from models_ml.results import ScoringResult, TrainingResult

if TYPE_CHECKING:
    from tests.models_ml import world as world_module

# Enough to pass the gate on the test world; the benchmark alone is fitted with the product's own parameters.
SMALL = BoostingParams(trees=25, learning_rate=0.15)


def _load_world() -> ModuleType:
    """`world.py` beside this file; the test folders are no packages."""
    name = "models_ml_test_world"
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("world.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def world() -> world_module:
    return _load_world()


@pytest.fixture(scope="session")
def small() -> BoostingParams:
    return SMALL


@pytest.fixture(scope="session")
def mobile_raw(world: world_module) -> pd.DataFrame:
    return world.mobile_world(world.Size(installs=3_000, days=75))


@pytest.fixture(scope="session")
def cdnow(world: world_module) -> duckdb.DuckDBPyConnection:
    return world.connect(world.cdnow_raw())


@pytest.fixture(scope="session")
def benchmark(cdnow: duckdb.DuckDBPyConnection) -> Benchmark:
    return evaluate_cdnow(cdnow)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh MLflow database: making one takes seconds, copying it does not."""
    from models_ml.tracking import ModelStore

    settings = load_settings({"UNMOGROWP_HOME": str(tmp_path_factory.mktemp("template"))})
    ModelStore(settings).by_alias("none", "champion")
    return settings.home / "mlflow" / "mlflow.db"


MakeHome = Callable[[Path], Settings]


@pytest.fixture(scope="session")
def make_home(empty_store: Path) -> MakeHome:
    def make(folder: Path) -> Settings:
        settings = load_settings({"UNMOGROWP_HOME": str(folder)})
        (settings.home / "mlflow").mkdir(parents=True)
        shutil.copy(empty_store, settings.home / "mlflow" / "mlflow.db")
        return settings

    return make


@dataclass(frozen=True)
class Home:
    """A home with a lake whose tables all stand at version 0, and a connection pinned to it."""

    settings: Settings
    snapshot: dict[str, int]
    con: duckdb.DuckDBPyConnection


def _fill_lake(source: duckdb.DuckDBPyConnection, settings: Settings) -> Home:
    lake = Lake(settings.lake)
    for table in INPUT_TABLES:
        lake.overwrite(table, source.sql(f"from {table.replace('/', '.')}").to_arrow_table())
    snapshot = lake.pin()
    return Home(settings, snapshot, engine.connect(settings, snapshot=snapshot))


@pytest.fixture
def fresh_home(world: world_module, mobile_raw: pd.DataFrame, make_home: MakeHome, tmp_path: Path) -> Home:
    return _fill_lake(world.connect(mobile_raw), make_home(tmp_path / "home"))


@dataclass(frozen=True)
class Trained:
    """The shared home after training and scoring once. Tests must not train or score in it under the same names."""

    home: Home
    ltv: list[TrainingResult]
    churn: TrainingResult
    ltv_scores: ScoringResult
    churn_scores: ScoringResult


@pytest.fixture(scope="session")
def trained(
    world: world_module,
    mobile_raw: pd.DataFrame,
    make_home: MakeHome,
    tmp_path_factory: pytest.TempPathFactory,
) -> Trained:
    home = _fill_lake(world.connect(mobile_raw), make_home(tmp_path_factory.mktemp("trained") / "home"))
    return Trained(
        home,
        ltv.train_ltv(
            home.con, home.snapshot, home.settings, horizons=(7, 30, 90), params=SMALL, tags={"dagster.run_id": "abc"}
        ),
        churn.train_churn(home.con, home.snapshot, home.settings, params=SMALL),
        scoring.score_ltv(home.con, home.snapshot, home.settings, horizons=(7, 30, 90)),
        scoring.score_churn(home.con, home.snapshot, home.settings),
    )
