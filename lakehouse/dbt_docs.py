"""The page of the published marts, written from dbt's own descriptions so that the two cannot differ.

`python -m lakehouse.dbt_docs` rewrites `docs/marts.md`; a test fails while it is out of date. What a column means is
written once, in the yml beside the model.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from lakehouse.settings import load_settings

FILE: Final = "docs/marts.md"
_HEAD: Final = """\
<!-- Written by `python -m lakehouse.dbt_docs` from the yml beside the models; do not edit. -->
# Published marts

The tables of the ClickHouse database `marts`, the same in Delta as `gold/<name>`. Times are UTC. Money is USD as exact
decimals, scores are floating point. Ratios are never stored: divide a numerator by a denominator after summing. A value
that is not known yet, such as day 30 of a cohort of last week, is empty, never zero. Formulas of ratios stand in
[metrics.md](metrics.md). Under each mart: when its numbers no longer change, and what to mind when reading them.
"""


def marts_page(project: Path) -> str:
    """Text of the page for the dbt project in `project`."""
    parts = [_HEAD]
    for model in sorted(mart_models(project), key=lambda model: str(model["name"])):
        parts.append(f"\n## {model['name']}\n\n{_upper(' '.join(model['description'].split()))}\n")
        reading = model["config"]["meta"]
        parts.append(f"\n- How final: {reading['final']}\n- Mind: {reading['mind']}\n")
        parts.append("\n| column | type | meaning |\n|---|---|---|\n")
        parts += [
            f"| `{column['name']}` | {column['data_type']} | {' '.join(column['description'].split())} |\n"
            for column in model["columns"]
        ]
    parts.append(
        "\n## Reason codes\n\nEvery value of `reason_code`.\n\n| code | of | eligible | meaning |\n|---|---|---|---|\n"
    )
    with (project / "seeds" / "rule_reason_codes.csv").open(encoding="utf-8", newline="") as stream:
        parts += [
            f"| `{row['reason_code']}` | {row['applies_to']} | {'yes' if row['is_eligible'] == 'true' else 'no'}"
            f" | {row['meaning']}. |\n"
            for row in csv.DictReader(stream)
        ]
    return "".join(parts)


def mart_models(project: Path) -> Iterator[dict[str, Any]]:
    """The models of `models/marts/` as their yml describes them."""
    for file in sorted((project / "models" / "marts").rglob("*.yml")):
        yield from yaml.safe_load(file.read_text(encoding="utf-8")).get("models", [])


def _upper(text: str) -> str:
    return text[0].upper() + text[1:]


if __name__ == "__main__":
    folder = load_settings().dbt_project
    (folder.parent / FILE).write_text(marts_page(folder), encoding="utf-8")
