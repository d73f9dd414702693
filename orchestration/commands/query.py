"""`unmogrowp query`: SQL against the published marts."""

from __future__ import annotations

import click

from lakehouse.settings import load_settings
from orchestration.cli import Failure


@click.command("query")
@click.argument("sql")
@click.option("--json", "as_json", is_flag=True, help="Print rows as JSON, one a line.")
def command(sql: str, as_json: bool) -> None:
    """Run SQL, read-only, against the published marts (database `marts`)."""
    from serving.query import ServingError, run_query

    try:
        click.echo(run_query(load_settings(), sql, "json" if as_json else "table"))
    except ServingError as error:
        raise Failure(str(error)) from None
