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
_LIBRARIES: Final = ("dagster_dbt", "great_expectations", "lightgbm", "mlflow", "chdb", "clickhouse_connect")


def warm_up() -> None:
    """Start loading in the background and return."""
    threading.Thread(target=_load, name="warm-up", daemon=True).start()


def parse_models_early(settings: Settings) -> None:
    """Start parsing the dbt project in a process of its own; the run waits for it or finds it done."""
    from assets.project import start_parse

    start_parse(settings)


def _load() -> None:
    for name in _LIBRARIES:
        with suppress(ImportError):
            importlib.import_module(name)
