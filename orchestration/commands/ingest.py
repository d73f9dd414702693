"""`unmogrowp ingest`: the endpoint alone. Loads ingestion and lakehouse only."""

from __future__ import annotations

import click

from lakehouse.settings import load_settings


@click.command("ingest")
def command() -> None:
    """Serve the ingest endpoint until it is told to stop (SIGTERM, Ctrl-C); everything taken is landed first."""
    from ingestion.logs import configure_logs
    from ingestion.server import serve

    settings = load_settings()
    configure_logs(settings)
    serve(settings)
