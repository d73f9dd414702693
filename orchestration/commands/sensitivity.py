"""`unmogrowp sensitivity`: decisions under many windows at once."""

from __future__ import annotations

import json

import click

from lakehouse.settings import load_settings
from orchestration.cli import Failure
from orchestration.progress import Steps

_DEFAULT = ("click=24,72,168", "impression=0,6,24")


@click.command("sensitivity")
@click.option(
    "--windows",
    multiple=True,
    metavar="TYPE=H,H,...",
    help=f"Windows in hours of a touch type (click, impression, srn_claim); may be repeated. "
    f"Default: {' '.join(_DEFAULT)}.",
)
@click.argument("more", nargs=-1, metavar="[TYPE=H,H,...]...")
@click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON.")
def command(windows: tuple[str, ...], more: tuple[str, ...], as_json: bool) -> None:
    """Show how many installs, and how much revenue, each combination of windows would credit to whom.

    All other rules stay as they are. The first line holds the windows in force.
    """
    from decisions.scenario import ScenarioError, current, prepare
    from decisions.sensitivity import NAME, decide, lines, wide_rules
    from lakehouse.lake import Lake
    from lakehouse.rules import lookback_hours
    from orchestration.scenarios import build

    settings = load_settings()
    lake = Lake(settings.lake, settings.storage_options)
    most = lookback_hours(settings.dbt_project) or 0
    asked = _parse(windows + more or _DEFAULT, most)
    steps = Steps()
    try:
        _, snapshot = current(settings, lake)
        widest = None
        if (rules := wide_rules(settings, asked, most)) is not None:
            with steps.step("Judge touches beyond the windows in force"):
                widest = prepare(settings, lake, rules, name=NAME)
                build(settings, lake, widest)
                snapshot = widest.snapshot
        with steps.step("Decide under every combination"):
            rows = decide(settings, lake, snapshot, asked, widest)
    except ScenarioError as error:
        raise Failure(str(error)) from None
    click.echo(json.dumps(rows, default=str) if as_json else "\n".join(lines(rows)))


def _parse(texts: tuple[str, ...], most: int) -> dict[str, list[int]]:
    from decisions.sensitivity import TOUCH_TYPES

    found: dict[str, list[int]] = {}
    for text in texts:
        kind, _, hours = text.partition("=")
        if kind not in TOUCH_TYPES or not all(h.isdecimal() for h in hours.split(",")):
            raise click.UsageError(f"{text} is not TYPE=HOURS,HOURS,... with a type of {', '.join(TOUCH_TYPES)}.")
        found.setdefault(kind, []).extend(int(h) for h in hours.split(","))
        if max(found[kind]) > most:
            raise click.UsageError(
                f"{text}: touches are gathered for {most} hours only (24 x attribution_lookback_days)."
            )
    return found
