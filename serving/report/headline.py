"""The few figures that stand first, on the page and in the terminal: sums over apps, and a line per app."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from serving.report.formats import ratio
from serving.report.questions import RETENTION_DAYS, ReportData


@dataclass(frozen=True, slots=True)
class AppLine:
    """One app. `revenue` is what its installs earned within 30 days, on days that are over."""

    app_id: str
    received: int
    installs: int
    attributed: int
    cost: Decimal
    revenue: Decimal
    first_install: date | None
    last_install: date | None
    complete_until: date | None

    @property
    def attributed_share(self) -> float | None:
        return ratio(self.attributed, self.installs)

    @property
    def is_complete(self) -> bool:
        """Day 30 is over for the last install."""
        if self.complete_until is None or self.last_install is None:
            return False
        return (self.complete_until - self.last_install).days >= RETENTION_DAYS[-1]


@dataclass(frozen=True, slots=True)
class Headline:
    received: int
    accepted: int
    rejected: int
    duplicates: int
    installs: int
    attributed: int
    cost: Decimal
    revenue: Decimal
    apps: tuple[AppLine, ...]

    @property
    def attributed_share(self) -> float | None:
        return ratio(self.attributed, self.installs)


def headline(data: ReportData) -> Headline:
    """Sums of the gathered answers; `attributed_share` is over the apps that buy installs."""
    received = {row["app_id"]: row for row in data.rows("ingestion")}
    installs = {row["app_id"]: row for row in data.rows("apps")}
    spend = {row["app_id"]: row for row in data.rows("spend")}
    revenue = {row["app_id"]: row for row in data.rows("revenue")}
    names = sorted({*received, *installs} - {""}, key=lambda a: (-_number(received, a, "received_count"), a))
    apps = tuple(
        AppLine(
            app_id=app_id,
            received=_number(received, app_id, "received_count"),
            installs=_number(installs, app_id, "installs"),
            attributed=_number(installs, app_id, "attributed"),
            cost=_number(spend, app_id, "cost"),
            revenue=_number(revenue, app_id, "revenue"),
            first_install=installs.get(app_id, {}).get("first_install"),
            last_install=installs.get(app_id, {}).get("last_install"),
            complete_until=revenue.get(app_id, {}).get("complete_until"),
        )
        for app_id in names
    )
    bought = [app for app in apps if app.app_id in data.apps]
    return Headline(
        received=sum(row["received_count"] for row in received.values()),
        accepted=sum(row["accepted_count"] for row in received.values()),
        rejected=sum(row["rejected_count"] for row in received.values()),
        duplicates=sum(row["duplicate_count"] for row in received.values()),
        installs=sum(app.installs for app in bought),
        attributed=sum(app.attributed for app in bought),
        cost=sum((app.cost for app in bought), Decimal(0)),
        revenue=sum((app.revenue for app in bought), Decimal(0)),
        apps=apps,
    )


def _number(rows: dict[str, dict[str, Any]], app_id: str, name: str) -> Any:
    return rows.get(app_id, {}).get(name) or 0
