"""`unmogrowp demo`: the whole platform on a simulated world and on real input."""

from __future__ import annotations

import click

from orchestration.cli import Failure
from orchestration.progress import Steps


@click.command("demo")
@click.option("--events", default=1_000_000, show_default=True, help="Size of the simulated world.")
def command(events: int) -> None:
    """Send a simulated world and real input through every stage; end with figures and an HTML report."""
    from orchestration.demo import run_demo

    steps = Steps()
    demo = run_demo(events=events, steps=steps)
    for line in demo.summary:
        click.echo(line)
    if demo.problems:
        raise Failure("; ".join(demo.problems))
    click.echo(f"\nDone in {steps.elapsed:.0f} s. Next:")
    click.echo(f"  open the report     {demo.report}")
    click.echo("  ask the marts       .venv/bin/unmogrowp query 'select * from campaign_daily limit 5'")
    click.echo("  see it all running  make dev")
