"""How much hangs on the windows: decisions under every combination of windows, from the candidates alone, in one pass.

The order of touches does not depend on windows, so the winner under other windows is the first in rank of the touches
that are inside them. Touches outside the windows in force are judged by one scenario with the windows as wide as the
look-back (`wide_rules`), because their candidate rows do not say what else speaks against them; it is needed only where
a combination is wider than a window in force.

Kept fixed: every other rule, the touches that were gathered, decisions that no window can change (an install that a
policy or a fraud rule decides), and windows of touch types that are not named, which stay as in force for app, partner
and date. A named window replaces those of all apps and partners; touches matched by likeness keep theirs.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa

from decisions.earnings import EARNINGS
from decisions.scenario import COMPARED, RESERVED, Scenario
from decisions.wording import money, table
from lakehouse.engine import connect, create_view
from lakehouse.lake import Lake
from lakehouse.rules import rule_files
from lakehouse.settings import Settings

NAME: Final = RESERVED
GRID: Final = "gold/sensitivity_windows"
TOUCH_TYPES: Final = ("click", "impression", "srn_claim")
_WINDOWS: Final = "rule_attribution_windows"
_DESCRIPTION: Final = (
    "Decisions under combinations of windows; one row per combination (hours by touch type, null as in force), app_id "
    "and partner."
)

_DECIDE: Final = """
    create temp table known as
        select
            app_id, install_id, conversion_id, install_date, install_at, partner,
            -- Whether a touch decided, so that another window may decide otherwise.
            reason_code in ('attributed', 'organic_no_candidate', 'organic_no_eligible_candidate') as is_open
        from gold.attributed_installs where is_primary;
    create temp table inside as
        select combination, app_id, conversion_id, arg_min(partner, candidate_rank) as partner
        from (
            select
                grid.combination, judged.app_id, judged.conversion_id, coalesce(judged.partner, 'unknown') as partner,
                judged.candidate_rank, judged.touch_at, judged.install_at, present.is_eligible as is_inside_now,
                case
                    when judged.match_method = 'probabilistic' then null
                    when judged.touch_type = 'click' then grid.click
                    when judged.touch_type = 'impression' then grid.impression
                    when judged.touch_type = 'srn_claim' then grid.srn_claim
                end as hours
            from judged.attribution_candidates as judged
            join gold.attribution_candidates as present
                on judged.app_id = present.app_id and judged.conversion_id = present.conversion_id
                and judged.touch_id = present.touch_id
            cross join grid
            where judged.is_eligible
        )
        where case when hours is null then is_inside_now else touch_at + to_hours(hours) >= install_at end
        group by combination, app_id, conversion_id;
    create temp table decided as
        select
            grid.*, known.app_id, known.install_id,
            case when known.is_open then coalesce(inside.partner, 'organic') else known.partner end as partner
        from known
        cross join grid
        left join inside
            on grid.combination = inside.combination and known.app_id = inside.app_id
            and known.conversion_id = inside.conversion_id;
"""
_RESULT: Final = """
    select
        decided.click as click_hours, decided.impression as impression_hours, decided.srn_claim as srn_claim_hours,
        decided.combination = 0 as is_present, decided.app_id, decided.partner, count(*) as installs,
        count(money.revenue_d7_usd) as mature_installs_d7,
        cast(coalesce(sum(money.revenue_d7_usd), 0) as decimal(18, 6)) as revenue_d7_usd,
        count(money.revenue_d30_usd) as mature_installs_d30,
        cast(coalesce(sum(money.revenue_d30_usd), 0) as decimal(18, 6)) as revenue_d30_usd,
        cast(sum(money.revenue_usd) as decimal(18, 6)) as revenue_usd
    from decided join money using (app_id, install_id)
    group by decided.combination, click_hours, impression_hours, srn_claim_hours, decided.app_id, decided.partner
    order by decided.combination, decided.app_id, decided.partner
"""


def wide_rules(settings: Settings, windows: Mapping[str, Sequence[int]], lookback_hours: int) -> Path | None:
    """A rule file with the windows of the named touch types as wide as the look-back; None if none needs it."""
    file = rule_files(settings.dbt_project, settings.rules_dir)[_WINDOWS]
    with file.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        rows, names = list(reader), list(reader.fieldnames or [])
    named = [row for row in rows if row["touch_type"] in windows]
    if not any(max(windows[row["touch_type"]]) > int(row["window_hours"]) for row in named):
        return None
    for row in named:
        row["window_hours"] = str(lookback_hours)
    wide = settings.home / "scenarios" / "widest" / f"{_WINDOWS}.csv"
    wide.parent.mkdir(parents=True, exist_ok=True)
    with wide.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return wide


def decide(
    settings: Settings,
    lake: Lake,
    snapshot: Mapping[str, int],
    windows: Mapping[str, Sequence[int]],
    widest: Scenario | None,
) -> list[dict[str, Any]]:
    """Rows of the grid, stored as `sensitivity_windows` below the scenario `sensitivity`. Windows are in hours.

    The first combination is that in force. `widest` is the built scenario of `wide_rules`, if one is needed.
    """
    connection = connect(settings, lake=lake, layers=())
    try:
        for schema in ("silver", "gold", "judged"):
            connection.execute(f"create schema {schema}")
        for name in COMPARED:
            create_view(connection, lake, name, snapshot[name])
        candidates = "gold/attribution_candidates"
        judged, version = (lake, snapshot[candidates]) if widest is None else (widest.lake(lake), None)
        create_view(connection, judged, candidates, version, schema="judged")
        _create_grid(connection, windows)
        connection.execute(_DECIDE)
        connection.execute(EARNINGS)
        rows: pa.Table = connection.sql(_RESULT).to_arrow_table()
    finally:
        connection.close()
    lake.scenario(NAME).overwrite(GRID, rows, description=_DESCRIPTION)
    return list(rows.to_pylist())


def _create_grid(connection: duckdb.DuckDBPyConnection, windows: Mapping[str, Sequence[int]]) -> None:
    connection.execute("create temp table grid (combination int, click int, impression int, srn_claim int)")
    named: list[list[int | None]] = [
        [*sorted(set(windows[kind]))] if kind in windows else [None] for kind in TOUCH_TYPES
    ]
    combinations = [(None, None, None), *(c for c in product(*named) if any(hours is not None for hours in c))]
    connection.executemany(
        "insert into grid values (?, ?, ?, ?)", [[number, *hours] for number, hours in enumerate(combinations)]
    )


def lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """One line per combination: paid and organic installs, revenue of the paid ones, installs by partner."""
    partners = sorted({row["partner"] for row in rows} - {"organic"})
    shown = []
    for combination in dict.fromkeys((r["click_hours"], r["impression_hours"], r["srn_claim_hours"]) for r in rows):
        own = [r for r in rows if (r["click_hours"], r["impression_hours"], r["srn_claim_hours"]) == combination]
        paid = [row for row in own if row["partner"] != "organic"]
        shown.append(
            (
                *("in force" if hours is None else f"{hours} h" for hours in combination),
                sum(row["installs"] for row in paid),
                sum(row["installs"] for row in own) - sum(row["installs"] for row in paid),
                money(sum((row["revenue_d7_usd"] for row in paid), start=0 * own[0]["revenue_usd"])),
                money(sum((row["revenue_usd"] for row in paid), start=0 * own[0]["revenue_usd"])),
                *(sum(row["installs"] for row in paid if row["partner"] == partner) for partner in partners),
            )
        )
    heads = ("click", "impression", "srn_claim", "paid", "organic", "paid D7 USD", "paid all USD", *partners)
    return [
        *table(heads, shown),
        "",
        "Fixed: all other rules, the touches gathered, and decisions that no window can change.",
        f"Stored as scenarios/{NAME}/{GRID}, by app and partner.",
    ]
