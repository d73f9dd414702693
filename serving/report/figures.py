"""Charts as inline SVG: horizontal bars and lines over time. Colours are CSS variables of the page, so dark mode works.

A figure has a title and a description for screen readers; the numbers themselves stand in a table beside it. Shapes
differ as well as colours, so that nothing hangs on colour alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from html import escape
from math import floor, log10

from serving.report.formats import compact

_WIDTH = 760
_LABEL = 236
_VALUE = 62


@dataclass(frozen=True, slots=True)
class Bars:
    """One group of bars: a label, a value per series (None draws nothing and says so), and a second, smaller label."""

    label: str
    values: Sequence[float | None]
    note: str = ""


def bar_chart(
    title: str,
    groups: Sequence[Bars],
    series: Sequence[str],
    show: Callable[[float | None], str],
    reference: tuple[float, str] | None = None,
) -> str:
    """Horizontal bars from zero; `reference` is a value to compare with (break-even), drawn as a dashed line."""
    known = [value for group in groups for value in group.values if value is not None]
    if not known:
        return ""
    top = max([*known, reference[0] if reference else 0.0, 0.0]) or 1.0
    bar, gap = (14, 12) if len(series) == 1 else (12, 14)
    shade = 1 if len(series) == 1 else 0
    scale = (_WIDTH - _LABEL - _VALUE) / top
    parts: list[str] = []
    y = 8.0
    for group in groups:
        size = max(bar * len(series), 28 if group.note else 0)
        middle = y + size / 2
        y += (size - bar * len(series)) / 2
        parts.append(_label(group, middle - 3 if group.note else middle + 4))
        for place, value in enumerate(group.values):
            text_y = y + bar - 2.5
            if value is None:
                parts.append(f'<text class="note" x="{_LABEL + 4}" y="{text_y:.1f}">not mature yet</text>')
            else:
                width = max(value, 0.0) * scale
                parts.append(
                    f'<rect class="s{place + shade}" x="{_LABEL}" y="{y:.1f}" width="{width:.1f}" height="{bar - 1}">'
                    f"<title>{escape(f'{group.label}, {series[place]}: {show(value)}')}</title></rect>"
                    f'<text class="value" x="{_LABEL + width + 4:.1f}" y="{text_y:.1f}">{escape(show(value))}</text>'
                )
            y += bar
        y = middle + size / 2 + gap
    if reference is not None:
        x = _LABEL + reference[0] * scale
        # First of all, so that bars and values lie over it.
        parts.insert(
            0,
            f'<line class="reference" x1="{x:.1f}" x2="{x:.1f}" y1="2" y2="{y:.1f}"/>'
            f'<text class="note" x="{x:.1f}" y="{y + 10:.1f}" text-anchor="middle">{escape(reference[1])}</text>',
        )
        y += 16
    return _svg(title, f"Bars of {', '.join(series)} for {len(groups)} rows.", y, parts)


def line_chart(
    title: str,
    points: Sequence[tuple[date, float]],
    show: Callable[[float | None], str],
    span: tuple[date, date] | None = None,
) -> str:
    """One value per day as a line over a filled area, from zero; a day without a point is bridged.

    `span` is the first and the last day of the axis, so that charts below each other can be compared.
    """
    if len(points) < 2:
        return ""
    left, right, height = 52, 12, 132
    first, last = span or (points[0][0], points[-1][0])
    top = _round_up(max(value for _, value in points))
    days = max((last - first).days, 1)

    def place(day: date, value: float) -> tuple[float, float]:
        x = left + (day - first).days / days * (_WIDTH - left - right)
        return x, 8 + (1 - value / top) * (height - 8)

    parts = []
    for step in (0.0, 0.5, 1.0):
        y = 8 + (1 - step) * (height - 8)
        parts.append(f'<line class="grid" x1="{left}" x2="{_WIDTH - right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(
            f'<text class="value" x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{compact(top * step)}</text>'
        )
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in points))
    base = [f"{place(points[at][0], 0)[0]:.1f},{height}" for at in (0, -1)]
    parts.append(f'<polygon class="area" points="{base[0]} {path} {base[1]}"/>')
    parts.append(f'<polyline class="line" points="{path}"/>')
    best_day, best = max(points, key=lambda point: point[1])
    x, y = place(best_day, best)
    parts.append(
        f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3"><title>{best_day}: {escape(show(best))}</title></circle>'
    )
    for day, anchor in ((first, "start"), (last, "end")):
        parts.append(
            f'<text class="value" x="{place(day, 0)[0]:.1f}" y="{height + 16}" text-anchor="{anchor}">{day}</text>'
        )
    summary = f"From {first} to {last}; highest on {best_day} with {show(best)}."
    return _svg(title, summary, height + 22, parts)


def _svg(title: str, description: str, height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title><desc>{escape(description)}</desc>{''.join(parts)}</svg>"
    )


def _label(group: Bars, y: float) -> str:
    title = f"<title>{escape(' '.join(filter(None, (group.label, group.note))))}</title>"
    start = f'x="{_LABEL - 8}" text-anchor="end"'
    text = f'<text {start} y="{y:.1f}">{title}{escape(_shortened(group.label))}</text>'
    if group.note:
        text += f'<text class="value" {start} y="{y + 13:.1f}">{escape(_shortened(group.note))}</text>'
    return text


def _shortened(label: str, limit: int = 32) -> str:
    return label if len(label) <= limit else f"{label[: limit - 1]}…"


def _round_up(value: float) -> float:
    """The next round number of the axis."""
    if value <= 0:
        return 1.0
    unit = 10.0 ** floor(log10(value))
    return next(step * unit for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * unit >= value * 0.999)
