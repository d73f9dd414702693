"""Judges the metrics of all campaigns, partners and platforms of a lake, and writes the days that are alerts."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from lakehouse.lake import Lake
from lakehouse.predictions import PREDICTION_SCHEMAS
from models_ml.results import ScoringResult
from models_ml.tracking import delta_tags

if TYPE_CHECKING:
    import duckdb

    from lakehouse.settings import Settings

TABLE: Final = "ml/predictions_metric_alerts"
INPUTS: Final = ("gold/campaign_daily", "silver/int_watermarks")
_KEY: Final = ("level", "platform", "partner", "campaign_id")
_NAMED: Final = 5
_SILENT_DAYS: Final = 14  # a partner without costs for so long is not waited for
_LATE_DAYS: Final = 3  # a cost that is told so many days later still makes a new alert
# The day of the watermark is not over; what is blocked is no business.
_DAYS: Final = """
    select c.app_id, case when grouping(c.platform) = 0 then 'platform'
            when grouping(c.campaign_id) = 0 then 'campaign' else 'partner' end as level,
        coalesce(c.platform, '') as platform, coalesce(c.partner, '') as partner,
        coalesce(c.campaign_id, '') as campaign_id, c.date, max(w.watermark_date) as watermark_date,
        sum(c.installs)::double as installs, sum(c.clicks)::double as clicks, sum(c.cost_usd)::double as cost,
        coalesce(sum(c.revenue_d0_usd), 0)::double as revenue
    from gold.campaign_daily c join silver.int_watermarks w using (app_id)
    where c.date < w.watermark_date and c.partner <> 'blocked'
    group by grouping sets (
        (c.app_id, c.date, c.platform), (c.app_id, c.date, c.partner), (c.app_id, c.date, c.partner, c.campaign_id)
    )
    order by all
"""


def find_alerts(con: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Rows of the table, ordered by app, series, metric and day. `con` shows gold and silver."""
    apps: dict[str, list[dict[str, Any]]] = {}
    for row in con.sql(_DAYS).to_arrow_table().to_pylist():
        apps.setdefault(row["app_id"], []).append(row)
    return [alert for rows in apps.values() for alert in _alerts_of(rows)]


def watch_metrics(
    con: duckdb.DuckDBPyConnection, snapshot: Mapping[str, int], settings: Settings, *, lake: Lake | None = None
) -> tuple[ScoringResult, list[str]]:
    """Write the table unless it holds these rows already; also the worst alerts of the latest days, in words."""
    import pyarrow as pa

    started = time.monotonic()
    lake = lake or Lake(settings.lake, settings.storage_options)
    rows, schema = find_alerts(con), PREDICTION_SCHEMAS[TABLE]
    table = pa.Table.from_arrays([pa.array([r[f.name] for r in rows], f.type) for f in schema], schema=schema)
    versions = {name: int(snapshot[name]) for name in INPUTS if name in snapshot}
    is_changed = not _holds(lake, table)
    if is_changed:
        lake.overwrite(TABLE, table, metadata=delta_tags(versions))
    result = ScoringResult(
        task="metric_alerts",
        table=TABLE,
        table_version=lake.version(TABLE),
        rows=len(rows),
        is_changed=is_changed,
        models={},
        as_of={},
        delta_versions=versions,
        seconds=time.monotonic() - started,
    )
    new = sorted((row for row in rows if row["is_new"]), key=lambda row: -abs(row["score"]))
    return result, [_sentence(row) for row in new[:_NAMED]]


def _alerts_of(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of one app; a day without a row is a day of zeros."""
    import numpy as np

    from models_ml.anomalies.robust import judge_counts, judge_money, judge_price, judge_ratio, of_three_days

    first, last = min(row["date"] for row in rows), rows[0]["watermark_date"] - timedelta(days=1)
    series = {key: n for n, key in enumerate(dict.fromkeys(tuple(row[k] for k in _KEY) for row in rows))}
    shape = (len(series), (last - first).days + 1)
    amounts = {name: np.zeros(shape) for name in ("installs", "clicks", "cost", "revenue")}
    for row in rows:
        place = series[tuple(row[k] for k in _KEY)], (row["date"] - first).days
        for name, values in amounts.items():
            values[place] = row[name]
    installs, clicks, cost, revenue = amounts.values()
    one, last_day, keys = np.ones(shape), shape[1] - 1, list(series)
    everything, told = np.full(shape[0], last_day), _told_until(keys, cost)
    found = []
    for metric, observed, judged, whole, until in (
        ("installs", installs, judge_counts(installs), one, everything),
        ("cost", cost, judge_money(cost), one, told),
        ("revenue_d0", revenue, judge_money(revenue), one, everything),
        ("cvr", installs, judge_ratio(installs, clicks), clicks, everything),
        ("ecpi", of_three_days(cost), judge_price(cost, installs), of_three_days(installs), told),
    ):
        is_alert = judged.is_alert & (np.arange(shape[1])[None, :] <= until[:, None])
        for number, day in np.argwhere(is_alert).tolist():
            place = number, day
            since = day - int(np.argmin(is_alert[number, day::-1])) + 1 if not is_alert[number, : day + 1].all() else 0
            is_latest = day == until[number] and day >= last_day - _LATE_DAYS
            found.append(
                {"app_id": rows[0]["app_id"], **dict(zip(_KEY, keys[number], strict=True))}
                | {"date": first + timedelta(days=day), "metric": metric, "observed": float(observed[place])}
                | {"expected": float(judged.expected[place] * whole[place])}
                | {"clicks": int(clicks[place]) if metric == "cvr" else None, "score": float(judged.score[place])}
                | {"since": first + timedelta(days=since), "is_new": bool(is_latest and since == day)}
            )
    return found


def _told_until(series: list[tuple[str, ...]], cost: Any) -> Any:
    """The last day by series whose cost is known: partners tell it later, and until then it is missing, not low.

    A platform waits for every partner that told a cost within the last weeks.
    """
    import numpy as np

    last_day = cost.shape[1] - 1
    level, partner = _KEY.index("level"), _KEY.index("partner")
    ends = np.where(cost.any(axis=1), last_day - np.argmax(cost[:, ::-1] > 0, axis=1), -1)
    by_partner = {key[partner]: int(end) for key, end in zip(series, ends, strict=True) if key[level] == "partner"}
    waited_for = [end for end in by_partner.values() if end >= last_day - _SILENT_DAYS]
    platform = min(waited_for, default=last_day)
    return np.array([platform if key[level] == "platform" else by_partner[key[partner]] for key in series])


def _sentence(row: dict[str, Any]) -> str:
    name = row["platform"] or "/".join(filter(None, (row["partner"], row["campaign_id"])))
    numbers = f"{row['observed']:.0f} instead of {row['expected']:.0f}"
    return f"{row['app_id']} {row['date']} {row['level']} {name}: {row['metric']} {numbers} (score {row['score']:.1f})"


def _holds(lake: Lake, table: Any) -> bool:
    if not lake.exists(TABLE) or lake.schema(TABLE).names != table.schema.names:
        return False
    keys = [(name, "ascending") for name in ("app_id", "date", *_KEY, "metric")]
    kept = lake.open(TABLE).to_pyarrow_table().cast(table.schema).sort_by(keys)
    return bool(kept.equals(table.sort_by(keys)))
