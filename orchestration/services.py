"""The long-running services of one home as child processes: endpoint, ClickHouse front, Dagster, MLflow.

They die with their parent, also when it is killed, so that nothing keeps a port or a lock.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lakehouse.processes import die_with_parent
from lakehouse.settings import Settings
from orchestration.refresh import QUIET, dagster_home

_STOP_SECONDS: Final = 20


@dataclass(frozen=True, slots=True)
class Service:
    """How one service is started and how one sees that it answers."""

    name: str
    address: str
    health: str
    arguments: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()


def services(settings: Settings) -> list[Service]:
    """The services of a home, each on the loopback address unless a setting says otherwise."""
    command = str(Path(sys.executable).with_name("unmogrowp"))
    ingest = f"http://{settings.ingest_host}:{settings.ingest_port}"
    clickhouse = f"http://{settings.serve_host}:{settings.serve_port}"
    dagster = f"http://127.0.0.1:{settings.dagster_port}"
    mlflow = f"http://127.0.0.1:{settings.mlflow_port}"
    dagster_dev = f"-m dagster dev -m orchestration.definitions -h 127.0.0.1 -p {settings.dagster_port}"
    mlflow_server = f"-m mlflow server --workers 1 --host 127.0.0.1 --port {settings.mlflow_port} --backend-store-uri"
    return [
        Service("Ingest endpoint", f"{ingest}/v1/events", f"{ingest}/readyz", (command, "ingest")),
        Service("ClickHouse", clickhouse, f"{clickhouse}/ping", (command, "serve")),
        Service("Dagster", dagster, f"{dagster}/server_info", (sys.executable, *dagster_dev.split())),
        Service(
            "MLflow",
            mlflow,
            f"{mlflow}/health",
            (sys.executable, *mlflow_server.split(), settings.mlflow_uri),
            (("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false"),),
        ),
    ]


class Running:
    """A started service; its output goes to a log file below the home."""

    def __init__(self, settings: Settings, service: Service) -> None:
        logs = settings.home / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        self.service = service
        self.log = logs / f"{service.name.lower().replace(' ', '-')}.log"
        environment = dict(os.environ) | QUIET | dict(service.environment)
        environment |= {"UNMOGROWP_HOME": str(settings.home), "DAGSTER_HOME": str(dagster_home(settings))}
        with self.log.open("ab") as stream:
            self.process = subprocess.Popen(
                service.arguments,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_prepare_child,
            )

    def wait_until_ready(self, seconds: float) -> bool:
        """True when the service answers; False when it ended or the time is over."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            if _answers(self.service.health):
                return True
            time.sleep(0.2)
        return False

    def stop(self) -> None:
        """Ask the service and its children to end, then insist."""
        for sign in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, sign)
            except ProcessLookupError:
                return
            try:
                self.process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                continue

    def tail(self, lines: int = 5) -> str:
        """The last lines of its log, for an error message."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def is_taken(host: str, port: int) -> bool:
    """True if something listens there."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((host, port)) == 0


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310 - http to our own service
            return bool(response.status < 500)
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False


def _prepare_child() -> None:
    # `dagster dev` started in the background would inherit an ignored SIGINT and never stop.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    die_with_parent(signal.SIGTERM)
