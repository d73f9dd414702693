"""The page of the metrics, written from the semantic models so that formula and definition cannot differ.

`python -m lakehouse.dbt_metrics` rewrites `docs/metrics.md`; a test fails while it is out of date, another one runs
every formula on published marts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from lakehouse.settings import load_settings

FILE: Final = "docs/metrics.md"
_SOURCE: Final = Path("models") / "marts" / "_metrics.yml"
_HEAD: Final = """\
<!-- Written by `python -m lakehouse.dbt_metrics` from dbt_project/models/marts/_metrics.yml; do not edit. -->
# Metrics

Every ratio as the sums it is made of. A formula is ClickHouse SQL over one published mart: put it behind `select`, add
the dimensions you want before it and after `group by`, and filter as you like; it stays right at every level, as sums
are divided and ratios never averaged. A result without a denominator is empty. Dates are UTC and money is USD unless
said. What a part means, and when a day counts as over, stands in [marts.md](marts.md). The same definitions are dbt
semantic models.
"""


@dataclass(frozen=True, slots=True)
class Metric:
    """A ratio over one mart; `formula` is ClickHouse SQL without its table."""

    name: str
    label: str
    description: str
    mart: str
    formula: str
    dimensions: tuple[str, ...]


def read_metrics(project: Path) -> Iterator[Metric]:
    """The ratios of the dbt project in `project`. KeyError if a ratio names a measure that no semantic model has."""
    document = yaml.safe_load((project / _SOURCE).read_text(encoding="utf-8"))
    measures: dict[str, tuple[dict[str, Any], str]] = {}
    for model in document["semantic_models"]:
        for measure in model["measures"]:
            measures[measure["name"]] = (model, f"sum({measure.get('expr', measure['name'])})")
    for metric in document["metrics"]:
        model, above = measures[metric["type_params"]["numerator"]]
        other, below = measures[metric["type_params"]["denominator"]]
        if model is not other:
            raise ValueError(f"metric {metric['name']} divides measures of two semantic models")
        yield Metric(
            metric["name"],
            metric["label"],
            metric["description"],
            re.findall(r"ref\('(\w+)'\)", model["model"])[0],
            f"toFloat64({above}) / nullIf(toFloat64({below}), 0)",
            tuple(dimension["name"] for dimension in model["dimensions"]),
        )


def metrics_page(project: Path) -> str:
    """Text of the page."""
    parts, mart = [_HEAD], ""
    for metric in read_metrics(project):
        if metric.mart != mart:
            mart = metric.mart
            listed = ", ".join(f"`{name}`" for name in metric.dimensions)
            parts.append(f"\n## Over `{mart}`\n\nBy {listed}.\n\n| metric | meaning | formula |\n|---|---|---|\n")
        parts.append(f"| {metric.label} (`{metric.name}`) | {metric.description} | `{metric.formula}` |\n")
    return "".join(parts)


if __name__ == "__main__":
    folder = load_settings().dbt_project
    (folder.parent / FILE).write_text(metrics_page(folder), encoding="utf-8")
