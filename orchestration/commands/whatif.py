"""`unmogrowp whatif`: decisions under other rules, or over older records, beside the current ones."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from lakehouse.settings import load_settings
from orchestration.cli import Failure
from orchestration.progress import Steps


@click.command("whatif")
@click.option(
    "--rules",
    type=click.Path(exists=True, path_type=Path),
    help="A rule file, or a folder of them, that replaces those in force by name.",
)
@click.option("--as-of", default="", help="Records as of a finished run (its number) or a time (2026-03-01T00:00:00Z).")
@click.option("--name", default="", help="Name of the scenario; by default its content id.")
@click.option("--top", default=10, show_default=True, type=click.IntRange(0), help="Moves and installs to print.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(rules: Path | None, as_of: str, name: str, top: int, as_json: bool) -> None:
    """Decide again under other rules, or over older records, and show what would change.

    The current tables stay as they are: the scenario lies in the lake below scenarios/NAME.
    """
    from decisions.comparison import read
    from decisions.report import lines
    from decisions.scenario import RESERVED, ScenarioError, prepare
    from lakehouse.lake import Lake
    from orchestration.scenarios import build

    if rules is None and not as_of:
        raise click.UsageError("Say what is different: --rules FILE_OR_DIR, --as-of RUN_OR_TIME, or both.")
    if name == RESERVED:
        raise click.UsageError(f"{name!r} is no name for a scenario of yours: it is that of `unmogrowp sensitivity`.")
    settings = load_settings()
    lake = Lake(settings.lake, settings.storage_options)
    steps = Steps()
    try:
        with steps.step("Read what is current"):
            scenario = prepare(settings, lake, rules, as_of, name)
        with steps.step(f"Build scenario {scenario.name}") as step:
            if not build(settings, lake, scenario):
                step.note("it stands already, from the same inputs")
    except ScenarioError as error:
        raise Failure(str(error)) from None
    tables = read(lake, scenario)
    if as_json:
        head = {"scenario": scenario.name, "content_id": scenario.inputs.content_id, "inputs": asdict(scenario.inputs)}
        click.echo(json.dumps(head | tables, default=str, sort_keys=True))
    else:
        click.echo("\n".join(lines(scenario, tables, top=top, root=f"scenarios/{scenario.name}/gold")))
