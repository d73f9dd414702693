"""`unmogrowp import FILE`: records from a file, through the same validator as the endpoint."""

from __future__ import annotations

import json
from pathlib import Path

import click

from lakehouse.settings import load_settings
from orchestration.cli import Failure
from orchestration.progress import Steps


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--mapping",
    required=True,
    help="Name of a shipped mapping or path of a TOML file; `native` for records, `rates` for exchange rates.",
)
@click.option("--app", "app_id", default="", help="The app all rows belong to, whatever the file says.")
@click.option("--time-zone", default="", help="IANA zone of times without an offset, whatever the mapping says.")
@click.option(
    "--one-export", is_flag=True, help="Parts of the file are one export: equal rows in them are rows of their own."
)
@click.option(
    "--claims", is_flag=True, help="Keep installs as what the vendor says, to compare with ours; they count nowhere."
)
@click.option("--dry-run", is_flag=True, help="Say what would be accepted and why not; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(
    file: Path, mapping: str, app_id: str, time_zone: str, one_export: bool, claims: bool, dry_run: bool, as_json: bool
) -> None:
    """Import FILE (CSV, Parquet or NDJSON). Importing it again, or an overlapping file, adds nothing."""
    from ingestion import rates
    from ingestion.import_sources import ImportOptions
    from ingestion.importer import ImportFailed, import_file

    if mapping == rates.MAPPING:
        _import_rates(file, dry_run=dry_run, as_json=as_json)
        return
    options = ImportOptions(app_id, time_zone, one_export, claims)
    with Steps().step(f"Import {file.name}") as step:
        try:
            result = import_file(load_settings(), file, mapping, dry_run=dry_run, options=options, progress=step.note)
        except ImportFailed as error:
            raise Failure(str(error)) from None
    if as_json:
        click.echo(json.dumps(result.as_dict(), default=str))
    elif dry_run or result.rejected:
        click.echo("\n".join(result.lines()))


def _import_rates(file: Path, *, dry_run: bool, as_json: bool) -> None:
    from ingestion.rates import RatesRefused, import_rates

    try:
        result = import_rates(load_settings(), file, dry_run=dry_run)
    except RatesRefused as error:
        raise Failure(str(error)) from None
    click.echo(json.dumps(result.as_dict()) if as_json else "\n".join(result.lines()))
