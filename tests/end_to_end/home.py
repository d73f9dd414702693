"""A home driven as a person would: by the command line, in processes of their own."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lakehouse.apps import App, new_write_key, save_apps
from lakehouse.engine import connect
from lakehouse.home import make_demo_secrets, prepare_home
from lakehouse.lake import Lake
from lakehouse.runs import TABLE as RUNS
from lakehouse.settings import Settings, load_settings
from serving.query import query_rows

# A run of a small world takes one minute alone, and four where coverage is measured beside other work.
_SECONDS = 600
UNMOGROWP = str(Path(sys.executable).with_name("unmogrowp"))


class Home:
    """One home on disk with its commands."""

    def __init__(self, folder: Path) -> None:
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("UNMOGROWP_")}
        self.environment["UNMOGROWP_HOME"] = str(folder)
        make_demo_secrets(folder)
        self.settings: Settings = load_settings(self.environment)
        prepare_home(self.settings)
        self.lake = Lake(self.settings.lake)
        self.keys: dict[str, str] = {}

    def register(self, apps: Iterable[dict[str, Any]]) -> None:
        made = []
        for entry in apps:
            self.keys[entry["app_id"]], stored = new_write_key("test")
            made.append(App(**entry, write_keys=(stored,)))
        save_apps(self.settings, tuple(made))

    def command(self, *arguments: str) -> str:
        result = subprocess.run(
            [UNMOGROWP, *arguments], env=self.environment, capture_output=True, text=True, check=False, timeout=_SECONDS
        )
        assert result.returncode == 0, f"{arguments}: {result.stdout}\n{result.stderr}"
        return result.stdout

    def full_build(self) -> None:
        """Build rules, silver and gold from all of bronze, as an analytics engineer does: no plan, no orchestrator."""
        dbt = str(Path(sys.executable).with_name("dbt"))
        arguments = [
            dbt,
            "--quiet",
            "build",
            "--select",
            "tag:core",
            "--exclude-resource-type",
            "test",
            "unit_test",
            "--target-path",
            str(self.settings.tmp_dir / "target"),
        ]
        subprocess.run(arguments, cwd=self.settings.dbt_project, env=self.environment, check=True, timeout=_SECONDS)

    def killed(self, *arguments: str, after: float) -> int:
        """Start a command, kill -9 it after some seconds; its exit code (-9 if it was still running)."""
        process = subprocess.Popen(
            [UNMOGROWP, *arguments], env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(after)
        process.send_signal(signal.SIGKILL)
        return process.wait()

    def partitions(self, table: str) -> dict[str, set[str]]:
        """Data files of a table by the value of its partition."""
        found: dict[str, set[str]] = {}
        for file in self.lake.files(table):
            found.setdefault(Path(file).parent.name.partition("=")[2], set()).add(file)
        return found

    def bronze(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Rows of a query over the bronze tables."""
        with connect(self.settings, lake=self.lake, layers=("bronze",)) as connection:
            connection.execute("use bronze")
            return connection.execute(sql, list(parameters)).fetchall()

    def forget_last_run(self) -> None:
        """Take away the note of what was consumed, so that the next run builds everything again."""
        shutil.rmtree(Path(self.lake.uri(RUNS)), ignore_errors=True)

    def query(self, sql: str) -> list[dict[str, Any]]:
        """Rows of a query over the published marts, in this process."""
        (result,) = query_rows(self.settings, sql)
        return [dict(zip(result.columns, row, strict=True)) for row in result.rows]

    def fingerprints(self, layers: tuple[str, ...] = ("silver", "gold")) -> dict[str, tuple[int, str]]:
        """Rows and content hash of every table, whatever the order of its rows."""
        connection = connect(self.settings, lake=self.lake)
        found = {}
        for layer in layers:
            for table in self.lake.tables(layer):
                view = table.replace("/", ".")
                rows = connection.execute(f"select t::varchar from {view} as t").fetchall()
                digest = hashlib.sha256("\n".join(sorted(row[0] for row in rows)).encode()).hexdigest()
                found[table] = (len(rows), digest)
        return found
