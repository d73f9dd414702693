"""A comparison as a page of text."""

from __future__ import annotations

from typing import Any, Final

from decisions.scenario import Scenario
from decisions.wording import instant, money, ratio, table

Rows = list[dict[str, Any]]
_WHERE: Final = "Stored below {root}: whatif_installs, whatif_moves, whatif_campaigns, whatif_reasons, whatif_totals."


def lines(scenario: Scenario, tables: dict[str, Rows], *, top: int, root: str) -> list[str]:
    """The page; `top` bounds the list of installs and the number of moves."""
    inputs = scenario.inputs
    what = []
    if inputs.replaced_rules:
        what.append(f"with {', '.join(f'{name}.csv' for name in inputs.replaced_rules)} replaced")
    if inputs.has_other_bronze:
        what.append("over older records")
    page = [f"Scenario {scenario.name} ({', '.join(what) or 'as things are'}), content id {inputs.content_id}", ""]
    page += _totals(tables["whatif_totals"])
    page += _moves(tables["whatif_moves"], top)
    page += _campaigns(tables["whatif_campaigns"])
    page += _reasons(tables["whatif_reasons"])
    page += _installs(tables["whatif_installs"], top)
    return [*page, _WHERE.format(root=root)]


def _totals(rows: Rows) -> list[str]:
    shown = [
        (
            row["app_id"], row["installs_before"], row["installs_after"], row["paid_before"], row["paid_after"],
            row["moved"], row["changed"],
        )
        for row in rows
    ]  # fmt: skip
    heads = ("app", "installs before", "after", "paid before", "after", "moved", "decided otherwise")
    return [*table(heads, shown), ""]


def _moves(rows: Rows, top: int) -> list[str]:
    if not rows:
        return ["No install moved to another campaign.", ""]
    shown = [
        (
            row["app_id"], _campaign(row, "from"), _campaign(row, "to"), row["installs"],
            money(row["revenue_d7_usd"]), money(row["revenue_d30_usd"]), money(row["revenue_usd"]),
        )
        for row in rows[:top]
    ]  # fmt: skip
    heads = ("app", "from", "to", "installs", "D7 USD", "D30 USD", "all USD")
    rest = [f"... and {len(rows) - top:,} more pairs in whatif_moves."] if len(rows) > top else []
    return ["Installs that moved, with their revenue", *table(heads, shown), *rest, ""]


def _campaigns(rows: Rows) -> list[str]:
    changed = [
        row
        for row in rows
        if (row["installs_before"], row["revenue_before_usd"]) != (row["installs_after"], row["revenue_after_usd"])
        and row["partner"] != "organic"
    ]
    if not changed:
        return []
    shown = [
        (
            row["app_id"], f"{row['partner']}/{row['campaign_id']}", row["installs_before"], row["installs_after"],
            money(row["cost_usd"]),
            ratio(row["cost_usd"], row["installs_before"]), ratio(row["cost_usd"], row["installs_after"]),
            money(row["revenue_d7_before_usd"]), money(row["revenue_d7_after_usd"]), money(row["cost_d7_usd"]),
            ratio(row["revenue_d7_before_usd"], row["cost_d7_usd"]),
            ratio(row["revenue_d7_after_usd"], row["cost_d7_usd"]),
        )
        for row in changed
    ]  # fmt: skip
    heads = (
        "app", "campaign", "installs before", "after", "cost USD", "CPI before", "after", "D7 USD before", "after",
        "D7 cost", "D7 ROAS before", "after",
    )  # fmt: skip
    return ["Campaigns whose results change (cost is the same on both sides)", *table(heads, shown), ""]


def _reasons(rows: Rows) -> list[str]:
    if not rows:
        return []
    shown = [
        (row["app_id"], row["subject"], row["from_reason_code"], row["to_reason_code"], row["installs"]) for row in rows
    ]
    return ["Reasons that change", *table(("app", "of the", "reason before", "reason after", "installs"), shown), ""]


def _installs(rows: Rows, top: int) -> list[str]:
    moved = sorted(
        (row for row in rows if row["is_moved"]),
        key=lambda row: (-row["revenue_usd"], row["app_id"], row["install_id"]),
    )
    if not moved:
        return []
    shown = [
        (
            row["app_id"], row["install_id"], instant(row["install_at"]), _campaign(row, "from"), _campaign(row, "to"),
            row["loss_reason_code"] or row["gain_reason_code"], money(row["revenue_usd"]),
        )
        for row in moved[:top]
    ]  # fmt: skip
    heads = ("app", "install", "installed", "from", "to", "reason", "all USD")
    title = f"Installs that moved, the {min(top, len(moved)):,} of {len(moved):,} with the most revenue"
    return [title, *table(heads, shown), ""]


def _campaign(row: dict[str, Any], side: str) -> str:
    partner, campaign = row[f"{side}_partner"], row[f"{side}_campaign_id"]
    return f"{partner}/{campaign}" if campaign else str(partner)
