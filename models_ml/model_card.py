"""The text that travels with a model: what it predicts, from what, how well, and where not to trust it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Card:
    """The parts of a model card; `rows` and measures as plain numbers."""

    name: str
    predicts: str
    label: str
    population: str
    excluded: Sequence[str]
    limits: Sequence[str]


LTV_LIMITS = (
    "Attribution is read as decided when the model was trained; restated decisions change old features.",
    "A record held back for more than seven days counts as known at its event time (see models_ml/activity.py).",
    "Refunds below zero within a window count as no revenue.",
    "The interval spreads amounts alike for all users; the highest predicted tenth is covered a little less than 80 %.",
    "Predicted value is not incrementality: it does not say what a user would have spent without the ad.",
)
CHURN_LIMITS = (
    "Predicted risk is not uplift: who is likely to leave need not be who can be kept. Keep a random hold-out.",
    "A record held back for more than seven days counts as known at its event time (see models_ml/activity.py).",
    "Uninstalls are not read: they are detected days later and by another clock.",
)


def render(
    card: Card,
    *,
    tags: Mapping[str, str],
    metrics: Mapping[str, float],
    baselines: Mapping[str, Mapping[str, float]],
    features: Sequence[str],
    verdict: Sequence[str],
) -> str:
    """The card as Markdown."""
    lines = [f"# {card.name}", "", card.predicts, "", "## Data", ""]
    lines += [f"- Label: {card.label}", f"- Population: {card.population}"]
    lines += [f"- Not used: {text}" for text in card.excluded]
    lines += [f"- {key}: {tags[key]}" for key in sorted(tags)]
    lines += ["", "## Measured", "", "| measure | model |", "|---|---|"]
    lines += [f"| {name} | {value:.4g} |" for name, value in sorted(metrics.items())]
    for baseline, values in baselines.items():
        lines += ["", f"Baseline {baseline}:", ""]
        lines += [f"- {name}: {value:.4g}" for name, value in sorted(values.items())]
    lines += ["", "## Gate", ""] + ([f"- {text}" for text in verdict] or ["- passed"])
    lines += ["", "## Known limits", ""] + [f"- {text}" for text in card.limits]
    lines += ["", f"## Features ({len(features)})", "", ", ".join(features), ""]
    return "\n".join(lines)
