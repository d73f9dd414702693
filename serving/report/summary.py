"""The summary for the terminal: the report's headline in lines of at most 80 columns."""

from __future__ import annotations

from io import StringIO
from typing import Final

from rich.console import Console
from rich.table import Table

from lakehouse.settings import Settings
from serving.report.formats import compact, count, day, percent, ratio, usd
from serving.report.headline import headline
from serving.report.questions import gather
from serving.report.source import Extras, Query, published

WIDTH: Final = 80
_CAMPAIGNS: Final = 5


def summary_lines(source: Settings | Query, extras: Extras) -> list[str]:
    """Lines of plain text: figures by app, the biggest campaigns, the state of the checks and of the benchmark."""
    if isinstance(source, Settings):
        with published(source) as query:
            data = gather(query)
    else:
        data = gather(source)
    head = headline(data)
    out = StringIO()
    console = Console(file=out, width=WIDTH, color_system=None, highlight=False)
    console.print(
        f"{count(head.received)} records received, {count(head.accepted)} accepted, {count(head.rejected)} rejected "
        f"with a reason, {count(head.duplicates)} duplicates counted once"
    )
    apps = _table("app", "records", "installs", "attributed", "spend", "revenue", "until")
    for app in head.apps:
        apps.add_row(
            app.app_id,
            compact(app.received),
            count(app.installs),
            percent(app.attributed_share, 0) if app.cost else "",
            usd(app.cost) if app.cost else "",
            usd(app.revenue) if app.revenue else "",
            "all of it" if app.is_complete else day(app.complete_until),
        )
    console.print(apps)
    campaigns = _table("campaign", "app", "spend", "eCPI", "ROAS D7", "ROAS D30")
    for row in data.rows("campaigns")[:_CAMPAIGNS]:
        campaigns.add_row(
            f"{row['partner']} {row['name'] or row['campaign_id']}",
            row["app_id"],
            usd(row["cost"]),
            usd(ratio(row["ecpi_cost"], row["ecpi_count"])),
            percent(ratio(row["d7_revenue"], row["d7_cost"]), 0),
            percent(ratio(row["d30_revenue"], row["d30_cost"]), 0),
        )
    if campaigns.row_count:
        console.print(campaigns)
    console.print(_check_line(extras))
    console.print(_benchmark_line(extras))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in headings:
        # Names give way, numbers do not.
        name = heading in ("app", "campaign")
        table.add_column(
            heading,
            justify="left" if name else "right",
            no_wrap=True,
            overflow="ellipsis",
            min_width=None if name else 7,
            max_width={"campaign": 26, "app": 14}.get(heading),
        )
    return table


def _check_line(extras: Extras) -> str:
    checks = extras.get("quality", ())
    if not checks:
        return "Checks: none have run"
    failed = [row for row in checks if not row["is_success"]]
    if not failed:
        return f"Checks: all {len(checks)} hold"
    named = ", ".join(sorted({f"{row['subject']} ({row['severity']})" for row in failed}))
    return f"Checks: {len(failed)} of {len(checks)} do not hold: {named}"


def _benchmark_line(extras: Extras) -> str:
    bars = (extras.get("cdnow") or {}).get("bars", ())
    if not bars:
        return "CDNOW benchmark: not run"
    passed = sum(bool(bar["is_passed"]) for bar in bars)
    missed = ", ".join(str(bar["name"]) for bar in bars if not bar["is_passed"])
    return f"CDNOW benchmark: {passed} of {len(bars)} bars passed" + (f"; missed: {missed}" if missed else "")
