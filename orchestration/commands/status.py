"""`unmogrowp status`: what the home holds, how fresh it is and what does not hold."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import click

from lakehouse.engine import connect
from lakehouse.lake import LAYERS, Lake
from lakehouse.runs import last_run
from lakehouse.settings import Settings, load_settings


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """Show table versions, watermarks, the last run, publications and failing checks."""
    settings = load_settings()
    state = collect(settings)
    if as_json:
        click.echo(json.dumps(state, indent=2, default=str))
    else:
        _show(state)


def collect(settings: Settings) -> dict[str, Any]:
    """The state as plain values; empty lists where there is nothing yet."""
    from quality.history import latest
    from serving.publications import publications

    lake = Lake(settings.lake, settings.storage_options)
    run = last_run(lake)
    connection = connect(settings, lake=lake)
    try:
        failing = [row for row in latest(connection) if not row["is_success"]]
        watermarks = _watermarks(connection, lake)
    finally:
        connection.close()
    pinned = lake.pin(LAYERS)
    tables = [{"table": name, "version": v, "rows": lake.row_count(name, v)} for name, v in pinned.items()]
    consumed = run.snapshot if run is not None else {}
    pending = [name for name, version in pinned.items() if name in consumed and consumed[name] < version]
    return {
        "home": str(settings.home),
        "tables": tables,
        "last_run": None
        if run is None
        else {"run_id": run.run_id, "mode": run.mode, "reason": run.reason, "finished_at": run.finished_at},
        "not_yet_built": pending,
        "complete_until": watermarks,
        "failing_checks": [
            {"check": row["subject"], "severity": row["severity"], "why": row["why"], "rows": row["unexpected_count"]}
            for row in failing
        ],
        "publications": [
            {"mart": p.mart, "delta_version": p.delta_version, "rows": p.rows, "published_at": p.published_at}
            for p in publications(settings)
        ],
        "at": datetime.now(UTC),
    }


def _watermarks(connection: Any, lake: Lake) -> list[dict[str, Any]]:
    if not lake.exists("silver/stg_app_events"):
        return []
    rows = connection.execute(
        "select app_id, max(least(event_at, received_at)) from silver.stg_app_events"
        " where environment is distinct from 'claims' group by app_id order by app_id"
    ).fetchall()
    return [{"app_id": app_id, "complete_until": watermark} for app_id, watermark in rows]


def _show(state: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.print(f"Home {state['home']}")
    if not state["tables"]:
        console.print("Nothing has arrived yet. Next: unmogrowp demo, or unmogrowp app and unmogrowp ingest.")
        return
    sections = (
        ("Tables", state["tables"]),
        ("Complete until", state["complete_until"]),
        ("Published", state["publications"]),
        ("Failing checks", state["failing_checks"]),
    )
    for title, rows in sections:
        if not rows:
            console.print(f"{title}: none")
            continue
        table = Table(title=title, title_justify="left")
        for heading in rows[0]:
            table.add_column(heading)
        for row in rows:
            table.add_row(*(f"{value:,}" if isinstance(value, int) else str(value) for value in row.values()))
        console.print(table)
    run = state["last_run"]
    console.print(f"Last run: {run['mode']} ({run['reason']}), finished {run['finished_at']}" if run else "No run yet.")
    if state["not_yet_built"]:
        console.print(f"New since then in {', '.join(state['not_yet_built'])}. Next: unmogrowp run")
