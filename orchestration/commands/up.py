"""`unmogrowp up`: all services of a home, until told to stop."""

from __future__ import annotations

import signal
import threading
from types import FrameType

import click

from lakehouse.settings import load_settings
from orchestration.cli import Failure
from orchestration.progress import Steps
from orchestration.services import Running, is_taken, services

_READY_SECONDS = 120


@click.command("up")
def command() -> None:
    """Start endpoint, ClickHouse front, Dagster and MLflow UI; print their addresses; stop them on Ctrl-C."""
    settings = load_settings()
    for name in ("salt", "clickhouse_bi_password", "clickhouse_publisher_password"):
        settings.secret(name)
    ports = {
        "UNMOGROWP_INGEST_PORT": (settings.ingest_host, settings.ingest_port),
        "UNMOGROWP_SERVE_PORT": (settings.serve_host, settings.serve_port),
        "UNMOGROWP_DAGSTER_PORT": ("127.0.0.1", settings.dagster_port),
        "UNMOGROWP_MLFLOW_PORT": ("127.0.0.1", settings.mlflow_port),
    }
    for variable, (host, port) in ports.items():
        if is_taken(host, port):
            raise Failure(f"port {port} is taken: set {variable} to a free one.")
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    steps = Steps()
    running: list[Running] = []
    try:
        running.extend(Running(settings, service) for service in services(settings))
        for item in running:
            with steps.step(item.service.name) as step:
                if not item.wait_until_ready(_READY_SECONDS):
                    raise Failure(f"{item.service.name} did not start; the end of {item.log}:\n{item.tail()}")
                step.note(item.service.address)
        click.echo("\nEverything answers:")
        for item in running:
            click.echo(f"  {item.service.name:<16} {item.service.address}")
        click.echo("ClickHouse users: bi (read only) and publisher; passwords are in secrets.toml of the home.")
        click.echo("Ctrl-C stops everything.")
        while not stop.wait(1):
            for item in running:
                if item.process.poll() is not None:
                    raise Failure(f"{item.service.name} ended by itself; the end of {item.log}:\n{item.tail()}")
    finally:
        for item in reversed(running):
            item.stop()
