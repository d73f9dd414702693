"""Heavy libraries loaded while the process waits for something else, so that no step pays for its import.

Importing is all that happens here; a failure shows again, with its sentence, where the library is needed.
"""

from __future__ import annotations

import importlib
import threading
from contextlib import suppress
from typing import Final

from lakehouse.settings import Settings

# In the order in which a run needs them.
_LIBRARIES: Final = ("dagster", "dagster_dbt", "great_expectations", "lightgbm", "mlflow", "chdb", "clickhouse_connect")
_FOR_TRAINING: Final = frozenset({"lightgbm", "mlflow"})


def warm_up(*, with_training: bool) -> None:
    """Start loading what a run needs in the background and return."""
    libraries = [name for name in _LIBRARIES if with_training or name not in _FOR_TRAINING]
    threading.Thread(target=_load, args=(libraries,), name="warm-up", daemon=True).start()


def parse_models_early(settings: Settings) -> None:
    """Start parsing the dbt project in a process of its own; the run waits for it or finds it done."""
    from assets.manifest import start_parse

    start_parse(settings)


def _load(libraries: list[str]) -> None:
    for name in libraries:
        with suppress(ImportError):
            importlib.import_module(name)
