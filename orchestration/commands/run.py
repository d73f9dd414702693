"""`unmogrowp run`: bring everything up to date, in this process."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from lakehouse.settings import load_settings
from orchestration.cli import Failure
from orchestration.progress import Steps


@click.command("run")
@click.option("--full-refresh", is_flag=True, help="Build every date anew instead of what new data touched.")
@click.option("--no-training", is_flag=True, help="Models and predictions stay as they are.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def command(full_refresh: bool, no_training: bool, as_json: bool) -> None:
    """Bring silver, gold, models and published marts up to date with bronze."""
    from orchestration.refresh import refresh

    settings = load_settings()
    steps = Steps()
    outcome = refresh(settings, steps, job_name="transform" if no_training else "refresh", full_refresh=full_refresh)
    if as_json:
        click.echo(json.dumps(asdict(outcome)))
    for check in outcome.failed_checks:
        click.echo(f"check failed ({check.severity}): {check.asset}: {check.name}. {check.description}", err=True)
    if not outcome.success:
        reasons = "; ".join(f"{step}: {message}" for step, message in outcome.failed_steps.items())
        raise Failure(f"the run did not finish ({reasons or 'see the Dagster UI'}). Nothing half-built was published.")
    if not as_json:
        click.echo(f"Up to date in {steps.elapsed:.0f} s. Next: unmogrowp query 'select * from campaign_daily limit 5'")
