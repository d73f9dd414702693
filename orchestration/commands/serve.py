"""`unmogrowp serve`: the embedded ClickHouse over HTTP."""

from __future__ import annotations

import click

from lakehouse.settings import load_settings


@click.command("serve")
def command() -> None:
    """Own the embedded engine of this home and serve ClickHouse's HTTP protocol (users `bi` and `publisher`)."""
    from serving.http import serve

    serve(load_settings())
