"""The form in which a model lies in the MLflow registry: one pyfunc that holds members and calibration together.

Belongs here: the class behind the registered model and the JSON file beside it. MLflow stores this source file and runs
it when a model is loaded, so nothing is pickled. Imported inside functions only, as it imports MLflow.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import mlflow.models
import mlflow.pyfunc

from models_ml.churn_model import ChurnModel
from models_ml.value_model import ValueModel

if TYPE_CHECKING:
    import pandas as pd

MODEL_FILE: Final = "model"
_TYPES: Final = {"value": ValueModel, "churn": ChurnModel}


class Predictor(mlflow.pyfunc.PythonModel):  # type: ignore[misc]  # the base class is untyped
    """Predicts from a frame of raw features (`features.read_features`); `model` is the loaded model itself."""

    model: ValueModel | ChurnModel

    def load_context(self, context: Any) -> None:
        self.model = load_model(Path(context.artifacts[MODEL_FILE]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """Columns expected_usd, low_usd, high_usd (value) or churn_probability (churn), one row per input row."""
        import pandas as pd

        if isinstance(self.model, ChurnModel):
            return pd.DataFrame({"churn_probability": self.model.chance(model_input)})
        forecast = self.model.forecast(model_input)
        return pd.DataFrame({"expected_usd": forecast.expected, "low_usd": forecast.low, "high_usd": forecast.high})


def save_model(model: ValueModel | ChurnModel, file: Path) -> None:
    """Write a model as JSON; floats survive it bit for bit."""
    file.write_text(json.dumps(model.to_json()), encoding="utf-8")


def load_model(file: Path) -> ValueModel | ChurnModel:
    """Read what `save_model` wrote. KeyError when the file holds another type of model."""
    stored = json.loads(file.read_text(encoding="utf-8"))
    model: ValueModel | ChurnModel = _TYPES[stored["type"]].from_json(stored)  # type: ignore[attr-defined]
    return model


mlflow.models.set_model(Predictor())
