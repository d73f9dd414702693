"""`python -m bench [SECTION]`: run sections, print their table, write `bench/out/<section>.json`."""

from __future__ import annotations

import importlib
import json
import sys
import time
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from bench.rows import Row

SECTIONS: Final = ("alerts", "attribution", "fraud", "ingest", "ingest_soak", "marts", "pipeline", "queries")
OUT: Final = Path(__file__).resolve().parent / "out"


def main(arguments: list[str]) -> int:
    """Exit code 0 when every asked section ran, 2 for an unknown section."""
    asked = arguments[0] if arguments else "all"
    sections = SECTIONS if asked == "all" else (asked,)
    console = Console()
    if unknown := [name for name in sections if name not in SECTIONS]:
        console.print(f"no section {unknown[0]}; there are {', '.join(SECTIONS)}")
        return 2
    for name in sections:
        console.print(f"section {name} …")
        started = time.monotonic()
        rows: list[Row] = importlib.import_module(f"bench.{name}").run()
        OUT.mkdir(exist_ok=True)
        (OUT / f"{name}.json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
        console.print(_table(name, rows, time.monotonic() - started))
    return 0


def _table(name: str, rows: list[Row], seconds: float) -> Table:
    table = Table(title=f"{name} ({seconds:.0f} s)", title_justify="left")
    for heading in ("name", "value", "unit", "limit", "limit value", "ratio"):
        table.add_column(heading, justify="left" if heading in {"name", "unit", "limit"} else "right", overflow="fold")
    for row in rows:
        table.add_row(
            row["name"], _number(row["value"]), row["unit"], row["limit_name"] or "", _number(row["limit_value"]),
            _number(row["ratio"]),
        )  # fmt: skip
    return table


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
