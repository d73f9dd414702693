"""`unmogrowp settings`: every setting, its value here and what it means."""

from __future__ import annotations

import json

import click

from lakehouse.settings import load_settings, setting_names


@click.command("settings")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """List every setting with its value and meaning; secrets are masked."""
    settings = load_settings()
    rows = [
        {"setting": variable, "value": _shown(getattr(settings, name)), "meaning": meaning}
        for (variable, meaning), name in zip(setting_names().items(), type(settings).model_fields, strict=True)
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        click.echo(f"{row['setting']} = {row['value']}\n    {row['meaning']}")


def _shown(value: object) -> str:
    """A value for eyes: options of the store without their values, as some are credentials."""
    return ", ".join(f"{name}=***" for name in value) if isinstance(value, dict) else str(value)
