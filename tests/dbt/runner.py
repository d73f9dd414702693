"""How tests call dbt: a home, a plan, arguments in; an outcome per node out."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2] / "dbt_project"


@dataclass(frozen=True)
class Outcome:
    """Result of one dbt command: `nodes` maps a name to (status, message)."""

    success: bool
    error: str
    nodes: dict[str, list[str]]

    def status(self, name: str) -> str:
        return self.nodes[name][0]

    def message(self, name: str) -> str:
        return self.nodes[name][1]

    @property
    def failures(self) -> dict[str, str]:
        return {name: text for name, (status, text) in self.nodes.items() if status in {"error", "fail"}}


class Dbt:
    """A worker process, started at the first call."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None

    def __call__(
        self,
        home: Path,
        *args: str,
        plan: str | None = None,
        snapshot: dict[str, int] | None = None,
        project: Path = PROJECT,
    ) -> Outcome:
        target = self._folder / project.name / "target"
        self._begin_with_what_was_parsed(target, project)
        environment = {"UNMOGROWP_HOME": str(home), "DBT_TARGET_PATH": str(target)}
        environment["DBT_LOG_PATH"] = str(self._folder / "logs")
        # Writing the manifest takes as long as a small model, and only documents are made from it.
        environment["DBT_WRITE_JSON"] = str("docs" in args)
        if plan is not None:
            environment["UNMOGROWP_PLAN"] = plan
        if snapshot is not None:
            environment["UNMOGROWP_SNAPSHOT"] = json.dumps(snapshot)
        answer = self._ask({"args": list(args), "env": environment, "project": str(project)})
        return Outcome(answer["success"], answer["error"], answer["nodes"])

    def query_of(self, model: str, project: Path = PROJECT) -> str:
        """The query of a model as it ran last."""
        [file] = (self._folder / project.name / "target" / "run").rglob(f"models/**/{model}.sql")
        return file.read_text(encoding="utf-8")

    def compiled(self, home: Path, *models: str, variables: dict[str, Any]) -> dict[str, str]:
        """The SQL of models and all they read from, by name, as a full run would send it with these variables."""
        target = self._folder / PROJECT.name / "target"
        shutil.rmtree(target / "compiled", ignore_errors=True)
        selected = [f"+{name}" for name in models]
        tests = ("resource_type:test", "resource_type:unit_test")
        outcome = self(home, "compile", "--select", *selected, "--exclude", *tests, "--vars", json.dumps(variables))
        assert outcome.success, outcome.failures or outcome.error
        return {file.stem: file.read_text(encoding="utf-8") for file in target.glob("compiled/**/*.sql")}

    def close(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait(30)

    def _begin_with_what_was_parsed(self, target: Path, project: Path) -> None:
        """Give dbt what `make setup` or an earlier run parsed; it parses itself whatever has changed since."""
        parsed = project / "target" / "parsed" / "partial_parse.msgpack"
        if not target.exists() and parsed.is_file():
            target.mkdir(parents=True)
            shutil.copyfile(parsed, target / parsed.name)

    def _ask(self, order: dict[str, Any]) -> dict[str, Any]:
        if self._process is None or self._process.poll() is not None:
            inherited = {name: value for name, value in os.environ.items() if not name.startswith("UNMOGROWP_")}
            self._process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("worker.py"))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=(self._folder / "worker.log").open("a"),
                text=True,
                env=inherited,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            log = (self._folder / "worker.log").read_text(encoding="utf-8")
            raise AssertionError(f"the dbt worker died:\n{log[-4000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer
