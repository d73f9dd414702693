"""Heavy libraries loaded while the process waits for something else, so that no step pays for its import.

Importing is all that happens here; a failure shows again, with its sentence, where the library is needed.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from lakehouse.settings import Settings

# In the order in which a run needs them, before and after dbt works in a process of its own.
_BEFORE_DBT: Final = ("dagster", "dagster_dbt", "great_expectations")
_AFTER_DBT: Final = ("lightgbm", "mlflow", "chdb", "clickhouse_connect")
_FOR_TRAINING: Final = frozenset({"lightgbm", "mlflow"})


def warm_up_to_begin() -> None:
    """Start loading what a run begins with. Where nothing else is to be waited for, that only gets in the way."""
    _start(_BEFORE_DBT)


def warm_up_to_end(*, with_training: bool) -> None:
    """Start loading what the second half of a run needs, while dbt builds the first."""
    _start([name for name in _AFTER_DBT if with_training or name not in _FOR_TRAINING])


def parse_models_early(settings: Settings) -> None:
    """Start parsing the dbt project in a process of its own; the run waits for it or finds it done."""
    from assets.manifest import start_parse

    start_parse(settings)


def _start(libraries: Sequence[str]) -> None:
    threading.Thread(target=_load, args=(libraries,), name="warm-up", daemon=True).start()


def _load(libraries: Sequence[str]) -> None:
    for name in libraries:
        with suppress(ImportError):
            importlib.import_module(name)
