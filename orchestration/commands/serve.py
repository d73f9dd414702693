"""`unmogrowp serve`: the embedded ClickHouse over HTTP."""

from __future__ import annotations

import click

from lakehouse.settings import load_settings
from orchestration.cli import Failure


@click.command("serve")
def command() -> None:
    """Own the embedded engine of this home and serve ClickHouse's HTTP protocol (users `bi` and `publisher`)."""
    from serving.errors import ServingError
    from serving.http import serve

    try:
        serve(load_settings())
    except ServingError as error:
        raise Failure(str(error)) from None
