"""MLflow as this project uses it: where its store lies, how a trained model is logged, found, promoted and loaded.

Belongs here: every call of MLflow but the class behind a registered model (`predictor`). Does not belong here:
deciding on promotion (`gate`).

One registered model per (task, horizon). Aliases: `challenger` is the newest, `champion` the newest that passed the
gate, `previous` the champion before. Every run and model version carries the tags `delta.<table>.version` of all
inputs (version 0 included), `feature_version`, `code_version`, `seed`, `data_until` and `fingerprint`. Logging is
explicit; autologging would cost seconds per fit.
"""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from models_ml.features import FEATURE_VERSION

if TYPE_CHECKING:
    import pandas as pd

    from lakehouse.settings import Settings
    from models_ml.churn_model import ChurnModel
    from models_ml.value_model import ValueModel

CHALLENGER: Final = "challenger"
CHAMPION: Final = "champion"
PREVIOUS: Final = "previous"
_REQUIREMENTS: Final = ("lightgbm", "numpy", "pandas", "scipy")


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A registered model version and what its tags and its run say."""

    name: str
    version: int
    run_id: str
    experiment_id: str
    tags: dict[str, str]
    metrics: dict[str, float]


@dataclass(frozen=True, slots=True)
class Record:
    """What one training leaves behind: see the module's tags. `tables` become JSON artefacts, `texts` text files."""

    tags: dict[str, str]
    params: dict[str, Any]
    metrics: dict[str, float]
    baselines: dict[str, dict[str, float]] = field(default_factory=dict)
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)


def delta_tags(versions: Mapping[str, int]) -> dict[str, str]:
    """Tags that name the Delta version of each input table; zero is a version."""
    return {f"delta.{table}.version": str(version) for table, version in sorted(versions.items())}


class ModelStore:
    """The MLflow store of one home: sqlite file and artefact folder below it, unless a tracking URI is set."""

    def __init__(self, settings: Settings) -> None:
        import os

        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when MLflow is imported
        import mlflow

        # Its chatter about migrations and new versions would drown a pipeline's log.
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._settings = settings
        self.uri = settings.mlflow_uri
        if self.uri.startswith("sqlite:///"):
            Path(self.uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        mlflow.set_tracking_uri(self.uri)
        mlflow.set_registry_uri(self.uri)
        self._client = mlflow.MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def experiment(self, name: str) -> str:
        """Id of the experiment; made with its own artefact folder, or artefacts would land in the working directory."""
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        location = None
        if not self._settings.mlflow_tracking_uri:
            location = (self._settings.home / "mlflow" / "artifacts" / name).resolve().as_uri()
        return str(self._client.create_experiment(name, artifact_location=location))

    def find(self, name: str, fingerprint: str) -> StoredModel | None:
        """The newest version of `name` that was trained from exactly these inputs, or None."""
        versions = self._client.search_model_versions(f"name = '{name}' and tags.fingerprint = '{fingerprint}'")
        return self._stored(max(versions, key=lambda v: int(v.version))) if versions else None

    def by_alias(self, name: str, alias: str) -> StoredModel | None:
        """The version behind an alias, or None when there is no such model or alias."""
        from mlflow.exceptions import MlflowException, RestException

        try:
            return self._stored(self._client.get_model_version_by_alias(name, alias))
        except (MlflowException, RestException) as error:
            if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
                return None
            raise

    def champion(self, name: str) -> tuple[StoredModel | None, str]:
        """The champion if this code can feed it, or None and why not."""
        stored = self.by_alias(name, CHAMPION)
        if stored is None:
            return None, f"{name} has no champion"
        if stored.tags.get("feature_version") != FEATURE_VERSION:
            made = stored.tags.get("feature_version")
            return None, f"{name} champion reads feature version {made}, this code makes {FEATURE_VERSION}"
        return stored, ""

    def load(self, stored: StoredModel) -> ValueModel | ChurnModel:
        """The model inside the registered pyfunc."""
        import mlflow

        with _quiet():
            loaded = mlflow.pyfunc.load_model(f"models:/{stored.name}/{stored.version}")
        model: ValueModel | ChurnModel = loaded.unwrap_python_model().model
        return model

    def register(self, name: str, model: ValueModel | ChurnModel, record: Record, sample: pd.DataFrame) -> StoredModel:
        """Log one run with its model, registered as the challenger. `sample`: some feature rows for the signature."""
        import mlflow

        with _quiet(), mlflow.start_run(experiment_id=self.experiment(name), run_name=record.tags["data_until"]) as run:
            run_id = str(run.info.run_id)
            mlflow.set_tags(record.tags)
            mlflow.log_params(record.params)
            mlflow.log_metrics(_finite(record.metrics))
            self._log_inputs(run_id, record.tags)
            for file, text in record.texts.items():
                self._client.log_text(run_id, text, file)
            for file, table in record.tables.items():
                self._client.log_table(run_id, table, file)
            for baseline, values in record.baselines.items():
                with mlflow.start_run(nested=True, run_name=baseline, experiment_id=run.info.experiment_id):
                    mlflow.log_metrics(_finite(values))
            uri = self._log_model(model, sample)
            version = self._add_version(name, uri, run_id, record)
        self._client.set_registered_model_alias(name, CHALLENGER, version)
        return self._stored(self._client.get_model_version(name, version))

    def promote(self, stored: StoredModel) -> None:
        """Make a version the champion; the champion before becomes `previous`."""
        before = self.by_alias(stored.name, CHAMPION)
        if before is not None and before.version != stored.version:
            self._client.set_registered_model_alias(stored.name, PREVIOUS, str(before.version))
        self._client.set_registered_model_alias(stored.name, CHAMPION, str(stored.version))

    def log_report(self, name: str, record: Record) -> str:
        """Log a run without a model (a benchmark); its id."""
        import mlflow

        with _quiet(), mlflow.start_run(experiment_id=self.experiment(name), run_name=record.tags["data_until"]) as run:
            mlflow.set_tags(record.tags)
            mlflow.log_params(record.params)
            mlflow.log_metrics(_finite(record.metrics))
            self._log_inputs(str(run.info.run_id), record.tags)
            for file, text in record.texts.items():
                self._client.log_text(run.info.run_id, text, file)
        return str(run.info.run_id)

    def find_report(self, name: str, fingerprint: str, file: str) -> tuple[str, str] | None:
        """Run id and text artefact `file` of the newest finished report with this fingerprint, or None."""
        import mlflow

        found = self._client.search_runs(
            [self.experiment(name)],
            f"tags.fingerprint = '{fingerprint}' and attributes.status = 'FINISHED'",
            max_results=1,
            order_by=["attributes.start_time DESC"],
        )
        if not found:
            return None
        run = found[0].info
        return str(run.run_id), str(mlflow.artifacts.load_text(f"{run.artifact_uri}/{file}"))

    def _log_model(self, model: ValueModel | ChurnModel, sample: pd.DataFrame) -> str:
        import mlflow
        from mlflow.models import infer_signature

        from models_ml import predictor

        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "model.json"
            predictor.save_model(model, file)
            shell = predictor.Predictor()
            shell.model = model
            inputs = sample[model.encoding.names]
            info = mlflow.pyfunc.log_model(
                name="model",
                python_model=str(Path(predictor.__file__)),
                artifacts={predictor.MODEL_FILE: str(file)},
                signature=infer_signature(inputs, shell.predict(None, inputs)),
                # Named, not inferred: inference loads the model in a fresh process and costs seconds.
                pip_requirements=[f"{package}=={metadata.version(package)}" for package in _REQUIREMENTS],
            )
        return str(info.model_uri)

    def _add_version(self, name: str, uri: str, run_id: str, record: Record) -> str:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        return str(self._client.create_model_version(name, uri, run_id=run_id, tags=record.tags).version)

    def _log_inputs(self, run_id: str, tags: Mapping[str, str]) -> None:
        """The Delta tables as MLflow datasets. Its own Delta source drops version 0, so ours is written by hand."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        inputs = []
        for tag, version in tags.items():
            if not tag.startswith("delta."):
                continue
            table = tag.removeprefix("delta.").removesuffix(".version")
            source = json.dumps({"path": f"{self._settings.lake}/{table}", "delta_table_version": int(version)})
            dataset = Dataset(name=table, digest=f"v{version}", source_type="delta", source=source)
            inputs.append(DatasetInput(dataset, [InputTag("mlflow.data.context", "training")]))
        self._client.log_inputs(run_id, inputs)

    def _stored(self, version: Any) -> StoredModel:
        run = self._client.get_run(version.run_id)
        return StoredModel(
            name=str(version.name),
            version=int(version.version),
            run_id=str(version.run_id),
            experiment_id=str(run.info.experiment_id),
            tags=dict(version.tags),
            metrics=dict(run.data.metrics),
        )


def _finite(values: Mapping[str, float]) -> dict[str, float]:
    import math

    return {name: float(value) for name, value in values.items() if math.isfinite(value)}


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars for a few kilobytes, no advice about input examples (they cost seconds) and type hints."""
    import os
    import warnings

    name = "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"
    before = os.environ.get(name)
    os.environ[name] = "false"
    try:
        # Recorded, not filtered: MLflow sets filters of its own inside.
        with warnings.catch_warnings(record=True):
            yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
