"""The HTML page: shapes the answers into tables and charts and fills the template. No SQL and no SVG here."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from lakehouse.settings import Settings
from serving.report import formats
from serving.report.figures import Bars, bar_chart, line_chart
from serving.report.formats import compact, count, percent, ratio, usd, words
from serving.report.headline import headline
from serving.report.questions import RETENTION_DAYS, ReportData, gather
from serving.report.source import Extras, Query, published

_TEMPLATES: Final = Path(__file__).parent / "templates"
_NO_BENCHMARK: Final[dict[str, Any]] = {"rows": (), "bars": (), "customers": None, "ngini_gain": None}
_CLOCKS: Final = (
    ("calendar", "Calendar days (UTC)", "Day N is the N-th UTC date after the install date."),
    ("elapsed_24h", "24-hour blocks", "Day N begins N x 24 hours after the install."),
)


def render_report(source: Settings | Query, extras: Extras, generated_at: datetime, out_path: Path) -> Path:
    """Write the report and give its path back. `generated_at` is an aware instant; it is the only clock used.

    `source` is a home whose published marts are asked, or any function that answers their SQL. The file is replaced at
    once, so that a reader never sees half of it.
    """
    if isinstance(source, Settings):
        with published(source) as query:
            data = gather(query)
    else:
        data = gather(source)
    text = _render(data, extras, generated_at)
    out_path.parent.mkdir(parents=True, exist_ok=True)
    temporary = out_path.with_name(f".{out_path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(out_path)
    return out_path


def _render(data: ReportData, extras: Extras, generated_at: datetime) -> str:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["f"] = formats
    return environment.get_template("report.html.jinja").render(
        style=(_TEMPLATES / "report.css").read_text(encoding="utf-8"),
        data=data,
        head=headline(data),
        generated_at=generated_at,
        run_id=extras.get("run_id", ""),
        campaigns=_campaigns(data),
        values=_values(data),
        clocks=_retention(data),
        retention_days=RETENTION_DAYS,
        trends=_trends(data),
        rejects=extras.get("rejects", ()),
        checks=_checks(extras.get("quality", ())),
        attribution=_attribution(data),
        churn=_churn(data),
        cdnow=_NO_BENCHMARK | dict(extras.get("cdnow") or {}),
    )


def _campaign_name(row: Mapping[str, Any]) -> str:
    name = row["name"] or row["campaign_id"] or "(no campaign)"
    return name if row["partner"] == "organic" else f"{row['partner']} · {name}"


def _campaigns(data: ReportData) -> dict[str, Any]:
    rows = [
        {
            "label": _campaign_name(row),
            "app_id": row["app_id"],
            "cost": row["cost"],
            "installs": row["install_count"],
            "ecpi": ratio(row["ecpi_cost"], row["ecpi_count"]),
            "roas": [ratio(row[f"d{n}_revenue"], row[f"d{n}_cost"]) for n in (0, 7, 30)],
        }
        for row in data.rows("campaigns")
    ]
    # A day that no campaign has reached would only fill the chart with "not mature yet".
    shown = [place for place in range(3) if any(row["roas"][place] is not None for row in rows)]
    names = [("D0", "D7", "D30")[place] for place in shown]
    chart = bar_chart(
        "ROAS by campaign",
        [Bars(row["label"], [row["roas"][place] for place in shown], row["app_id"]) for row in rows],
        names,
        lambda value: percent(value, 0),
        reference=(1.0, "break-even"),
    )
    missing = [name for name in ("D0", "D7", "D30") if name not in names]
    return {"rows": rows, "chart": chart, "series": names, "missing": missing}


def _values(data: ReportData) -> dict[str, Any]:
    rows = [
        {
            "label": _campaign_name(row) if row["partner"] != "organic" else "organic",
            "app_id": row["app_id"],
            "scored": row["scored"],
            "predicted": ratio(row["predicted_usd"], row["scored"]),
            "observed": ratio(row["observed_usd"], row["scored"]),
            "mature": ratio(row["mature_usd"], row["mature_count"]),
            "mature_count": row["mature_count"] or 0,
        }
        for row in data.rows("ltv")
    ]
    chart = bar_chart(
        "Lifetime value by day 30 per install: earned so far, predicted, and of installs past day 30",
        [Bars(row["label"], (row["observed"], row["predicted"], row["mature"]), row["app_id"]) for row in rows],
        ("earned so far", "predicted", "installs past day 30"),
        usd,
    )
    return {"rows": rows, "chart": chart}


def _retention(data: ReportData) -> list[dict[str, Any]]:
    """A grid per clock: a row per cohort, a cell per day with its share, None while nothing in it is mature."""
    sizes = {row["cohort"]: row["installs"] for row in data.rows("cohorts")}
    cells = {(row["day_clock"], row["cohort"], row["day_n"]): row for row in data.rows("retention")}
    later = [
        share
        for (_, cohort, day_n), row in cells.items()
        if day_n > 0 and cohort in data.cohorts and (share := ratio(row["retained"], row["mature"])) is not None
    ]
    top = max(later, default=1.0) or 1.0

    def cell(clock: str, cohort: Any, day_n: int) -> dict[str, Any]:
        row = cells.get((clock, cohort, day_n))
        share = ratio(row["retained"], row["mature"]) if row else None
        return {
            "share": share,
            "strength": 0.0 if share is None or day_n == 0 else min(share / top, 1.0),
            "mature": row["mature"] if row else 0,
            "partial": bool(row and row["mature"] and row["mature"] < sizes[cohort]),
        }

    return [
        {
            "name": name,
            "note": note,
            "grid": [
                {"cohort": c, "installs": sizes[c], "cells": [cell(clock, c, n) for n in RETENTION_DAYS]}
                for c in data.cohorts
            ],
        }
        for clock, name, note in _CLOCKS
    ]


def _trends(data: ReportData) -> list[dict[str, Any]]:
    measures = (
        ("Spend per day, USD", "daily", "cost", usd),
        ("Installs per day", "daily", "install_count", count),
        ("Revenue per day, USD", "daily_revenue", "revenue", usd),
    )
    # A day without spend is one that partners have not reported yet, or one with nothing but touches.
    charts = [
        (title, answer, [(row["date"], float(row[name])) for row in data.rows(answer) if row[name]], show)
        for title, answer, name, show in measures
    ]
    days = [day for _, _, points, _ in charts for day, _ in points]
    span = (min(days), max(days)) if days else None
    return [
        {
            "title": title,
            "sql": data.answers[answer].sql,
            "chart": line_chart(title, points, show, span),
            "points": [(day, show(value)) for day, value in points],
        }
        for title, answer, points, show in charts
    ]


def _checks(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    by_subject: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in results:
        by_subject.setdefault((row["kind"], row["subject"]), []).append(row)
    subjects = [
        {
            "kind": kind,
            "name": subject,
            "checks": len(rows),
            "failed": [row for row in rows if not row["is_success"]],
            "critical": any(row["severity"] == "critical" for row in rows if not row["is_success"]),
            "rows": max(row["row_count"] for row in rows),
            "promise": rows[0]["expectation"] if kind == "invariant" else "",
            "why": rows[0]["why"] if kind == "invariant" else "",
        }
        for (kind, subject), rows in by_subject.items()
    ]
    failed = [row for row in results if not row["is_success"]]
    return {
        "subjects": subjects,
        "total": len(results),
        "failed": sorted(failed, key=lambda row: (row["severity"], row["subject"])),
        "critical": sum(row["severity"] == "critical" for row in failed),
    }


def _attribution(data: ReportData) -> dict[str, Any]:
    methods, reasons = data.rows("methods"), data.rows("reasons")
    return {
        "methods": methods,
        "total": sum(row["installs"] for row in methods),
        "method_chart": bar_chart(
            "Installs by how they were matched",
            [Bars(words(row["method"]), (float(row["installs"]),)) for row in methods],
            ("installs",),
            count,
        ),
        "reasons": reasons,
        "lost": sum(row["candidates"] for row in reasons),
        "reason_chart": bar_chart(
            "Why touches did not win",
            [Bars(words(row["reason_code"]), (float(row["candidates"]),)) for row in reasons],
            ("touches",),
            count,
        ),
    }


def _churn(data: ReportData) -> dict[str, Any]:
    rows = data.rows("churn")
    totals: dict[str, int] = {}
    for row in rows:
        totals[row["app_id"]] = totals.get(row["app_id"], 0) + row["installs"]
    return {
        "rows": [dict(row) | {"share": ratio(row["installs"], totals[row["app_id"]])} for row in rows],
        "chart": bar_chart(
            "Scored installs by churn risk",
            [Bars(f"{row['risk_band']} risk", (float(row["installs"]),), row["app_id"]) for row in rows],
            ("installs",),
            lambda value: compact(value or 0.0),
        ),
    }
