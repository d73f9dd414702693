"""The folder that holds one tenant's data: making it, and the secrets of a demo.

Outside the demo secrets come from the environment; see `lakehouse.settings`.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import tomli_w

from lakehouse.apps import write_private
from lakehouse.settings import SECRETS_FILE, Settings

_FOLDERS: Final = ("dagster", "mlflow", "clickhouse", "spool", "reports", "tmp", "dbt")
_SECRETS: Final = ("salt", "clickhouse_bi_password", "clickhouse_publisher_password")


def prepare_home(settings: Settings) -> None:
    """Make the folders of the home, readable by their owner only."""
    for name in _FOLDERS:
        (settings.home / name).mkdir(parents=True, exist_ok=True, mode=0o700)


def make_demo_secrets(home: Path) -> bool:
    """Generate the secrets of a demo into its own home (mode 0600); False if they are there already."""
    file = home / SECRETS_FILE
    if file.exists():
        return False
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private(file, tomli_w.dumps({name: secrets.token_urlsafe(32) for name in _SECRETS}))
    return True


@contextmanager
def writing(settings: Settings) -> Iterator[None]:
    """Hold the right to write silver, gold and predictions: one job at a time, in whichever process.

    The lock is the kernel's and goes with the process, so nothing is left to clean up after a kill.
    """
    settings.home.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(settings.home / ".writing.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
