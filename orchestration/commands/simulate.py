"""`unmogrowp simulate`: a seeded mobile world, into files or to an endpoint."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import click

from lakehouse.settings import load_settings
from orchestration.progress import Steps


@click.command("simulate")
@click.option("--events", default=1_000_000, show_default=True, help="About how many records, from a thousand on.")
@click.option("--days", type=int, help="Days of the world; by default what suits its size.")
@click.option("--seed", default=7, show_default=True, help="Another seed is another world.")
@click.option("--start", type=click.DateTime(["%Y-%m-%d"]), help="First day (UTC); by default 2026-01-01.")
@click.option(
    "--incident",
    "incidents",
    multiple=True,
    metavar="KIND:CAMPAIGN:DAY[:DAYS]",
    help="Plant what alerts should find: from a day on (0 = first) a campaign is stopped, dearer or has installs lost.",
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Write files into this folder.")
@click.option("--format", "file_format", type=click.Choice(["ndjson", "parquet"]), default="ndjson", show_default=True)
@click.option("--to", "address", help="Send to the endpoint at this address, for example http://127.0.0.1:8080.")
@click.option(
    "--key", "keys", multiple=True, metavar="APP=KEY", help="Write key of an app, with --to; once for each app."
)
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
def command(
    events: int,
    days: int | None,
    seed: int,
    start: datetime | None,
    incidents: tuple[str, ...],
    out: Path | None,
    file_format: str,
    address: str | None,
    keys: tuple[str, ...],
    as_json: bool,
) -> None:
    """Generate a world with its truth kept apart. The same options give the same bytes; more days only add to it."""
    from dataclasses import replace

    from simulator.delivery import deliver, write_files
    from simulator.incidents import Incident
    from simulator.world import World, config_for, world_apps

    if (out is None) == (address is None):
        raise click.UsageError("Say where to: --out FOLDER or --to ADDRESS.")
    settings = load_settings()
    config = config_for(events, seed)
    if days is not None:
        config = replace(config, days=days, sized_for_days=days)
    if start is not None:
        config = replace(config, start=start.date())
    try:
        config = replace(config, incidents=tuple(Incident.parse(text) for text in incidents))
    except ValueError as error:
        raise click.UsageError(f"--incident: {error}.") from None
    world = World(config)
    with Steps().step(f"Simulate {events:,} events in {config.days} days") as step:
        if out is not None:
            files = [str(file) for file in write_files(world, out, "parquet" if file_format == "parquet" else "ndjson")]
            world.truth().write(out / "truth")
            result: dict[str, object] = {"files": files, "apps": world_apps(world)}
            step.note(f"{len(files)} files")
        else:
            from ingestion.client import BatchSender
            from orchestration.pipelining import Pipeline

            given = dict(item.split("=", 1) for item in keys if "=" in item)
            missing = [app["app_id"] for app in world_apps(world) if app["app_id"] not in given]
            if missing:
                raise click.UsageError(f"--key {missing[0]}=... is needed; `unmogrowp app` makes keys.")
            senders = {app: BatchSender(str(address), key) for app, key in given.items()}
            truth = settings.home / "truth"
            with Pipeline(lambda app, body: senders[app].send(body)) as pipeline:
                manifest = deliver(world, pipeline.put, truth=truth, progress=step.note, flush=pipeline.flush)
            result = asdict(manifest)
    if as_json:
        click.echo(json.dumps(result, default=str))
    elif out is not None:
        click.echo(f"Records and truth are in {out}. Next: unmogrowp import FILE --mapping native")
