"""One whole refresh in this process, written into the home's Dagster history.

What the assets are is in `assets`, which of them run together in `orchestration.jobs`.
"""

from __future__ import annotations

import json
import os
import sys
import uuid
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from lakehouse.home import prepare_home
from lakehouse.processes import collect_less_often
from lakehouse.settings import Settings
from orchestration.progress import Step, Steps
from orchestration.warmup import warm_up_to_end

if TYPE_CHECKING:
    import dagster as dg

_MODULE: Final = "orchestration.definitions"
_NOTHING: Final[Mapping[str, Callable[[], object]]] = MappingProxyType({})
_DBT_STEP: Final = "silver_and_gold"
_PID_TAG: Final = "unmogrowp/pid"
_INSTANCE_FILE: Final = Path(__file__).resolve().parent.parent / "dagster.yaml"
_HISTORY: Final = "base_dir: history/runs"
# No library of ours may call home; each has a switch of its own.
QUIET: Final = {
    "GX_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    "DAGSTER_DISABLE_TELEMETRY": "1",
}


@dataclass(frozen=True, slots=True)
class FailedCheck:
    """A check that did not hold."""

    asset: str
    name: str
    severity: str
    description: str


@dataclass(frozen=True, slots=True)
class Refresh:
    """How a refresh ended."""

    run_id: str
    success: bool
    failed_steps: dict[str, str]
    failed_checks: list[FailedCheck]


def dagster_home(settings: Settings) -> Path:
    """The home's Dagster folder, made ready; child processes get it as DAGSTER_HOME."""
    prepare_home(settings)
    folder = settings.home / "dagster"
    text = _INSTANCE_FILE.read_text(encoding="utf-8").replace(
        _HISTORY, f"base_dir: {json.dumps(str(folder / 'history/runs'))}"
    )
    (folder / "dagster.yaml").write_text(text, encoding="utf-8")
    return folder


def refresh(
    settings: Settings,
    steps: Steps,
    *,
    job_name: str = "refresh",
    full_refresh: bool = False,
    after: Mapping[str, Callable[[], object]] = _NOTHING,
) -> Refresh:
    """Run a job to its end; a failing step or blocking check makes `success` false, nothing is raised for it.

    `after` is called once the step it is named by has succeeded.
    """
    collect_less_often()
    os.environ.update(QUIET)
    os.environ["DAGSTER_HOME"] = str(dagster_home(settings))
    os.environ["UNMOGROWP_HOME"] = str(settings.home)
    with steps.step("Load definitions"):
        import dagster as dg

        from orchestration.definitions import build_definitions

        job = build_definitions().resolve_job_def(job_name)
        instance = dg.DagsterInstance.get()
    close_dead_runs(instance)
    run_id = str(uuid.uuid4())
    begins = {_DBT_STEP: lambda: warm_up_to_end(with_training=job_name == "refresh")}
    watcher = _Watcher(steps, begins, after)
    instance.add_event_listener(run_id, watcher)
    log = settings.home / "logs" / "run.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as stream, redirect_stdout(stream):  # dbt's own lines
        result = job.execute_in_process(
            instance=instance,
            run_id=run_id,
            run_config={
                "ops": {"bronze": {"config": {"full_refresh": full_refresh}}},
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            },
            tags={_PID_TAG: str(os.getpid())},
            raise_on_error=False,
        )
    watcher.close()
    place_in_workspace(instance, run_id, job_name)
    return Refresh(run_id, result.success, watcher.failed_steps, watcher.failed_checks)


def close_dead_runs(instance: dg.DagsterInstance) -> None:
    """Mark runs as failed whose process was killed, so that the history tells the truth without anybody's help."""
    import dagster as dg

    unfinished = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING]))
    for run in unfinished:
        pid = run.tags.get(_PID_TAG)
        if pid is not None and not _is_alive(int(pid)):
            instance.report_run_failed(run, "the process of this run was killed")
            place_in_workspace(instance, run.run_id, run.job_name)


def place_in_workspace(instance: dg.DagsterInstance, run_id: str, job_name: str) -> None:
    """Note on a run which code location its job belongs to, as the UI's time line shows no run without one.

    A run inside this process does not know it, and Dagster has no public call for it; the names are those of a run that
    the UI itself starts.
    """
    from dagster._core.remote_origin import (
        ManagedGrpcPythonEnvCodeLocationOrigin,
        RemoteJobOrigin,
        RemoteRepositoryOrigin,
    )
    from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

    run = instance.get_run_by_id(run_id)
    if run is None:
        return
    target = LoadableTargetOrigin(executable_path=sys.executable, module_name=_MODULE)
    location = ManagedGrpcPythonEnvCodeLocationOrigin(loadable_target_origin=target, location_name=_MODULE)
    repository = RemoteRepositoryOrigin(code_location_origin=location, repository_name="__repository__")
    instance.run_storage.replace_job_origin(run, RemoteJobOrigin(repository_origin=repository, job_name=job_name))


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class _Watcher:
    """Turns the run's events into progress lines and keeps what failed."""

    def __init__(
        self, steps: Steps, begins: Mapping[str, Callable[[], object]], after: Mapping[str, Callable[[], object]]
    ) -> None:
        self._steps = steps
        self._begins, self._after = begins, after
        self._open: Step | None = None
        self.failed_steps: dict[str, str] = {}
        self.failed_checks: list[FailedCheck] = []

    def __call__(self, entry: dg.EventLogEntry) -> None:
        event = entry.dagster_event
        if event is None or event.step_key is None:
            return
        kind = event.event_type_value
        if kind == "STEP_START":
            self.close()
            self._open = self._steps.begin(event.step_key)
            if event.step_key in self._begins:
                self._begins[event.step_key]()
        elif kind == "ASSET_CHECK_EVALUATION":
            self._check(event)
        elif kind == "STEP_FAILURE":
            error = event.step_failure_data.error
            cause = error.cause or error if error else None
            self.failed_steps[event.step_key] = cause.message.strip() if cause else "failed"
            self.close(failed=True)
        elif kind in {"STEP_SUCCESS", "STEP_SKIPPED"}:
            self.close()
            if kind == "STEP_SUCCESS" and event.step_key in self._after:
                self._after[event.step_key]()

    def _check(self, event: dg.DagsterEvent) -> None:
        evaluation = event.asset_check_evaluation_data
        if not evaluation.passed:
            self.failed_checks.append(
                FailedCheck(
                    asset=evaluation.asset_key.to_user_string(),
                    name=evaluation.check_name,
                    severity=evaluation.severity.value.lower(),
                    description=evaluation.description or "",
                )
            )

    def close(self, *, failed: bool = False) -> None:
        """End the open progress line."""
        if self._open is not None:
            self._open.end(failed=failed)
            self._open = None
