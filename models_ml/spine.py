"""Who is predicted at which instant, and what came true afterwards: spines, labels and their maturity.

Belongs here: the choice of rows (app, install, as_of), the label windows, the cut dates. Not here: features.

A spine row exists only for installs that were known before `as_of` themselves. A label counts what happened in
[as_of, label_end) by event time. A labelled row is *mature* when `label_end` plus the allowance for late records is not
after the app's watermark; immature rows never reach training.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, ClassVar, Final

from models_ml.activity import App, to_us

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    from numpy.typing import NDArray

    Limits = Mapping[str, datetime]

LATE_ALLOWANCE: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Cut:
    """One app looked at from one instant: with what was known then, or (`is_now`) with all that the lake holds.

    Scoring looks from the watermark with everything that arrived; a cut in the past must not see what arrived later.
    """

    app_id: str
    as_of: datetime
    is_now: bool = False


@dataclass(frozen=True, slots=True)
class Lifetime:
    """Predict revenue from `as_of` until `days` after the install; population: installs younger than that."""

    days: int

    label_end: ClassVar[str] = "i.install_us + {days_us}"
    population: ClassVar[str] = "c.as_of_us < i.install_us + {days_us}"


@dataclass(frozen=True, slots=True)
class Ahead:
    """Predict the next `days` days from `as_of`; population: installs active in the last `active_days` (0 = all)."""

    days: int
    active_days: int = 0

    label_end: ClassVar[str] = "c.as_of_us + {days_us}"
    population: ClassVar[str] = "({active_us} = 0 or k.last_active_us >= c.as_of_us - {active_us})"


Window = Lifetime | Ahead

_SPINE: Final = """
create or replace temp table ml_spine as
with known as (
    select c.app_id, c.as_of_us, a.inst, max(a.event_us) filter (a.kind <> 'a') as last_active_us
    from ml_cuts as c
    inner join ml_installs as i
        on c.app_id = i.app_id and i.install_us < c.as_of_us and i.install_known_us < c.known_by_us
    inner join ml_activity as a on i.inst = a.inst and a.event_us < c.as_of_us and a.known_us < c.known_by_us
    group by c.app_id, c.as_of_us, a.inst
)
select
    (row_number() over (order by c.app_id, c.as_of_us, i.install_id) - 1)::integer as row_id,
    i.inst,
    c.as_of_us,
    c.known_by_us,
    {label_end} as label_end_us
from ml_cuts as c
inner join known as k on c.app_id = k.app_id and c.as_of_us = k.as_of_us
inner join ml_installs as i on k.inst = i.inst
where {population} and ({label_end}) <= c.mature_until_us
"""

_LABELS: Final = """
select
    s.row_id,
    coalesce(sum(a.amount_micros) filter (a.kind = 'p'), 0)::double / 1e6 as purchase_usd,
    coalesce(sum(a.amount_micros) filter (a.kind = 'a'), 0)::double / 1e6 as ad_usd,
    coalesce(bool_or(a.kind in ('s', 'e', 'p')), false) as is_active
from ml_spine as s
left join ml_activity as a
    on s.inst = a.inst and a.event_us >= s.as_of_us and a.event_us < s.label_end_us
group by s.row_id
order by s.row_id
"""
_FOREVER: Final = 2**62


@dataclass(frozen=True, slots=True)
class Labels:
    """What happened in the label window of each spine row: revenue by kind (USD), any session, event or purchase."""

    revenue: dict[str, NDArray[np.float64]]
    is_active: NDArray[np.bool_]


def mature_limits(apps: Iterable[App]) -> dict[str, datetime]:
    """Until when labels may reach, by app: the watermark minus the allowance for late records."""
    return {app.app_id: app.watermark - LATE_ALLOWANCE for app in apps}


def earlier(limits: Limits, days: int) -> dict[str, datetime]:
    """The same limits as they were `days` days before: the end of the world for the training side of a time split."""
    return {app_id: limit - timedelta(days=days) for app_id, limit in limits.items()}


def inner_cuts(limits: Limits, window: Window, *, count: int, step_days: int) -> list[Cut]:
    """Cut dates for training: by app the newest whose labels can be mature, and earlier ones `step_days` apart."""
    steps = [timedelta(days=window.days + step_days * n) for n in range(count)]
    return [Cut(app_id, limit - step) for app_id, limit in limits.items() for step in steps]


def build_spine(
    con: duckdb.DuckDBPyConnection,
    cuts: Sequence[Cut],
    window: Window,
    *,
    mature_until: Limits | None = None,
) -> int:
    """Fill `ml_spine` for `cuts`, ordered by (app_id, as_of, install_id); the number of rows.

    With `mature_until` (by app) only rows whose label window has closed by then are kept: give it for training and
    evaluation, leave it out for scoring. Needs `activity.load_activity` on the same connection.
    """
    con.execute(
        "create or replace temp table ml_cuts "
        "(app_id varchar, as_of_us bigint, known_by_us bigint, mature_until_us bigint)"
    )
    for cut in cuts:
        as_of = to_us(cut.as_of)
        limit = to_us(mature_until[cut.app_id]) if mature_until is not None else _FOREVER
        known_by = _FOREVER if cut.is_now else as_of
        con.execute("insert into ml_cuts values (?, ?, ?, ?)", [cut.app_id, as_of, known_by, limit])
    numbers = {
        "days_us": timedelta(days=window.days) // timedelta(microseconds=1),
        "active_us": timedelta(days=getattr(window, "active_days", 0)) // timedelta(microseconds=1),
    }
    label_end, population = window.label_end.format(**numbers), window.population.format(**numbers)
    con.execute(_SPINE.format(label_end=label_end, population=population))
    rows = con.execute("select count(*) from ml_spine").fetchone()
    return int(rows[0]) if rows else 0


def read_labels(con: duckdb.DuckDBPyConnection) -> Labels:
    """Labels of `ml_spine`, in its order. Exact sums of micros, divided once."""
    columns = con.execute(_LABELS).fetchnumpy()
    revenue = {"purchase": columns["purchase_usd"], "ad": columns["ad_usd"]}
    return Labels(revenue, columns["is_active"].astype(bool))
