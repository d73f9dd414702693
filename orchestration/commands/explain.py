"""`unmogrowp explain INSTALL_ID`: why an install is credited as it is, in sentences."""

from __future__ import annotations

import json

import click

from lakehouse.settings import load_settings
from orchestration.cli import Failure


@click.command("explain")
@click.argument("install_id")
@click.option("--app", "app_id", default="", help="The app, if several have an install of this id.")
@click.option("--json", "as_json", is_flag=True, help="Print the story as JSON.")
def command(install_id: str, app_id: str, as_json: bool) -> None:
    """Tell the story of an install: what was considered, what won and why, and what it has earned."""
    from decisions.explanation import UnknownInstallError, explain, sentences
    from lakehouse.lake import Lake

    settings = load_settings()
    try:
        stories = explain(settings, Lake(settings.lake, settings.storage_options), install_id, app_id)
    except UnknownInstallError as error:
        raise Failure(str(error)) from None
    if as_json:
        click.echo(json.dumps([story.as_dict() for story in stories], default=str, sort_keys=True))
    else:
        click.echo("\n\n".join("\n".join(sentences(story)) for story in stories))
