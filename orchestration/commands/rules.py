"""`unmogrowp rules`: the rule files of the home."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from lakehouse.rules import check_rules, overlay_files, rule_files
from lakehouse.settings import load_settings
from orchestration.cli import Failure


@click.group("rules")
def command() -> None:
    """Rules are the CSV files of dbt_project/seeds; a file of the same name in <home>/rules replaces one of them."""


@command.command("check")
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(exists=True, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the faults as JSON.")
def check(folder: Path | None, as_json: bool) -> None:
    """Check the rules that would be in force with the files of DIR (default: <home>/rules).

    Exit code 0 if they are right, 1 with a sentence for each fault. Row 1 is the header.
    """
    settings = load_settings()
    overlays = [settings.rules_dir] + ([folder] if folder is not None else [])
    faults = check_rules(settings.dbt_project, *overlays)
    if as_json:
        click.echo(json.dumps([asdict(fault) for fault in faults]))
    else:
        for fault in faults:
            click.echo(fault.sentence)
    if faults:
        raise Failure(f"{len(faults)} {'fault' if len(faults) == 1 else 'faults'} in the rules; nothing was changed.")
    if not as_json:
        files = rule_files(settings.dbt_project, *overlays)
        replaced = sorted({name for overlay in overlays for name in overlay_files(overlay)})
        told = f"replaced here: {', '.join(replaced)}" if replaced else "all as shipped"
        click.echo(f"{len(files)} rule files are right ({told}).")
