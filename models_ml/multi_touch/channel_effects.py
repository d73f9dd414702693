"""Credit of channels by Markov and Shapley models, from the counted paths in silver to the table `ml/channel_effects`.

Belongs here: which journeys are looked at together, and writing only what changed. Does not belong here: how credit is
worked out (`credit`), and how paths are made (`int_channel_paths`).

Journeys are taken per app and calendar month (UTC) of the install or of the last touch. Journeys without an install
count once the look-back after their last touch is over.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from lakehouse.lake import Lake
from lakehouse.predictions import CHANNEL_EFFECTS, PREDICTION_SCHEMAS
from models_ml.multi_touch.credit import ORDERS, SEED, Path, Row, month_effects
from models_ml.multi_touch.shapley import EXACT_CHANNELS, PERMUTATIONS

if TYPE_CHECKING:
    import duckdb

# Part of every fingerprint: raise it when the same journeys would give other numbers.
METHOD_VERSION: Final = 1
_INPUTS: Final = frozenset({"silver/int_channel_paths", "silver/int_watermarks"})
_KEY: Final = ("app_id", "month", "level", "model", "partner", "campaign_id")
_READ: Final = """
    select
        p.app_id,
        date_trunc('month', p.path_date)::date as month,
        p.path,
        coalesce(sum(p.path_count) filter (p.is_converted), 0)::bigint as conversions,
        coalesce(sum(p.path_count) filter (not p.is_converted), 0)::bigint as losses,
        sum(p.revenue_d7_usd)::decimal(18, 6) as revenue_d7_usd,
        sum(p.revenue_d30_usd)::decimal(18, 6) as revenue_d30_usd
    from silver.int_channel_paths as p
    left join silver.int_watermarks as w on p.app_id = w.app_id
    where p.is_converted or p.closed_date < w.watermark_date
    group by all
    order by all
"""


@dataclass(frozen=True, slots=True)
class ChannelEffects:
    """Outcome of `write_channel_effects`. `notes` say which models were left out and why; `computed` counts the months
    whose journeys changed. `is_changed` is False when the table already held exactly these rows."""

    table_version: int
    rows: int
    months: int
    computed: int
    is_changed: bool
    notes: tuple[str, ...]
    seconds: float


def write_channel_effects(con: duckdb.DuckDBPyConnection, snapshot: Mapping[str, int], lake: Lake) -> ChannelEffects:
    """Bring `ml/channel_effects` up to the paths that `con` sees; months with unchanged journeys keep their rows."""
    started = time.monotonic()
    held = _held(lake)
    known: dict[tuple[str, date, str], list[Row]] = {}
    for row in held:
        known.setdefault((row["app_id"], row["month"], row["input_hash"]), []).append(row)
    rows: list[Row] = []
    notes: list[str] = []
    months = computed = 0
    for app_id, month, paths in _read(con):
        months += 1
        fingerprint = _fingerprint(paths)
        kept = known.get((app_id, month, fingerprint))
        if kept is None:
            computed += 1
            found, left_out = month_effects(paths)
            notes += [f"{app_id} {month:%Y-%m}: {note}" for note in left_out]
            kept = [{"app_id": app_id, "month": month, "input_hash": fingerprint} | row for row in found]
        rows += kept
    rows.sort(key=_key)
    is_changed = rows != held or not lake.exists(CHANNEL_EFFECTS)
    if is_changed:
        _write(lake, rows, {name: version for name, version in snapshot.items() if name in _INPUTS})
    return ChannelEffects(
        table_version=lake.version(CHANNEL_EFFECTS),
        rows=len(rows),
        months=months,
        computed=computed,
        is_changed=is_changed,
        notes=tuple(notes),
        seconds=time.monotonic() - started,
    )


def _read(con: duckdb.DuckDBPyConnection) -> Iterator[tuple[str, date, list[Path]]]:
    """Paths by app and month, in a fixed order."""
    groups: dict[tuple[str, date], list[Path]] = {}
    for app_id, month, path, conversions, losses, *revenues in con.execute(_READ).fetchall():
        channels = tuple((partner, campaign) for partner, campaign in json.loads(path, strict=False))
        groups.setdefault((app_id, month), []).append(Path(channels, conversions, losses, tuple(revenues)))
    for (app_id, month), paths in sorted(groups.items()):
        yield app_id, month, paths


def _fingerprint(paths: Sequence[Path]) -> str:
    """Hash of everything the rows of a month are a function of."""
    method = [METHOD_VERSION, ORDERS, SEED, PERMUTATIONS, EXACT_CHANNELS]
    text = json.dumps([method, [repr(path) for path in paths]])
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _held(lake: Lake) -> list[Row]:
    """Rows of the table as it stands, in order; none if its columns are others."""
    names = PREDICTION_SCHEMAS[CHANNEL_EFFECTS].names
    if not lake.exists(CHANNEL_EFFECTS) or lake.schema(CHANNEL_EFFECTS).names != names:
        return []
    rows: list[Row] = lake.open(CHANNEL_EFFECTS).to_pyarrow_table().to_pylist()
    return sorted(rows, key=_key)


def _key(row: Row) -> tuple[object, ...]:
    return tuple(row[name] for name in _KEY)


def _write(lake: Lake, rows: Sequence[Row], inputs: Mapping[str, int]) -> None:
    schema = PREDICTION_SCHEMAS[CHANNEL_EFFECTS]
    columns = [pa.array([row[field.name] for row in rows], field.type) for field in schema]
    lake.overwrite(
        CHANNEL_EFFECTS,
        pa.Table.from_arrays(columns, schema=schema),
        metadata={"inputs": json.dumps(inputs, sort_keys=True)},
    )
