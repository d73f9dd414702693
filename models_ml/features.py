"""The features of a spine: one SQL statement for training and scoring alike, numbers exact before the last division.

Belongs here: feature definitions and their order. Does not belong here: labels and populations (`spine`), when a row
counts as known (`activity`), anything fitted on data: categories are encoded in `encoding`.

Sums are taken over integers (micros, seconds, microseconds), so that neither thread count nor row order can move a
bit. Ages and recencies are days before `as_of`. Windows look back from `as_of`, "first" windows on from the install.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from models_ml.activity import DAY_US

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

# Raise it with every change of a definition below: stored models then stop matching and are trained anew.
FEATURE_VERSION: Final = "1"

KEYS: Final = ("app_id", "install_id", "as_of_us", "install_us", "label_end_us")
CATEGORIES: Final = ("app_id", "platform", "country", "partner", "campaign_id", "device_model", "os_version")

_PURCHASE_WINDOWS: Final = (3, 7, 14, 28, 56, 91)
_USE_WINDOWS: Final = (1, 3, 7, 14, 28)
_FIRST_DAYS: Final = (1, 3, 7)


def _within(days: int) -> str:
    return f"(s.as_of_us - a.event_us <= {days * DAY_US})"


def _first(days: int) -> str:
    return f"(a.event_us - i.install_us < {days * DAY_US})"


def _purchase_sql() -> str:
    columns = [
        "count(*) as purchases",
        "sum(a.amount_micros)::double / 1e6 as purchase_usd",
        "max(a.amount_micros)::double / 1e6 as purchase_max_usd",
        "min(a.amount_micros)::double / 1e6 as purchase_min_usd",
        # A struct is compared field by field: of several purchases at one instant the dearest counts, always.
        "(min({'t': a.event_us, 'x': a.amount_micros})).x::double / 1e6 as purchase_first_usd",
        "(max({'t': a.event_us, 'x': a.amount_micros})).x::double / 1e6 as purchase_last_usd",
        "sum(a.quantity)::double as purchase_items",
        f"count(distinct a.event_us // {DAY_US}) as purchase_days",
        f"(any_value(s.as_of_us) - max(a.event_us)) / {DAY_US} as purchase_recency_days",
        f"(max(a.event_us) - min(a.event_us)) / {DAY_US} as purchase_span_days",
    ]
    for days in _PURCHASE_WINDOWS:
        columns += [
            f"count(*) filter {_where(_within(days))} as purchases_{days}d",
            f"coalesce(sum(a.amount_micros) filter {_where(_within(days))}, 0)::double / 1e6 as purchase_{days}d_usd",
        ]
    columns += [
        f"coalesce(sum(a.amount_micros) filter {_where(_first(days))}, 0)::double / 1e6 as purchase_first_{days}d_usd"
        for days in _FIRST_DAYS
    ]
    return ",\n    ".join(columns)


def _use_sql() -> str:
    session, event, ad = "a.kind = 's'", "a.kind = 'e'", "a.kind = 'a'"
    active = "a.kind <> 'a'"
    # One bit per day before as_of: distinct active days without a distinct aggregate.
    day_bit = f"1::bigint << least((s.as_of_us - a.event_us) // {DAY_US}, 62)"
    columns = [
        f"count(*) filter {_where(session)} as sessions",
        f"coalesce(sum(a.session_s) filter {_where(session)}, 0)::double / 60 as session_minutes",
        f"coalesce(max(a.session_s) filter {_where(session)}, 0)::double / 60 as session_max_minutes",
        f"(any_value(s.as_of_us) - max(a.event_us) filter {_where(session)}) / {DAY_US} as session_recency_days",
        f"(any_value(s.as_of_us) - max(a.event_us) filter {_where(active)}) / {DAY_US} as active_recency_days",
        f"count(*) filter {_where(event)} as events",
        f"coalesce(bit_count(bit_or(1::bigint << (a.name_bucket % 63)) filter {_where(event)}), 0) as event_names",
        f"count(*) filter {_where(ad)} as ads",
        f"coalesce(sum(a.amount_micros) filter {_where(ad)}, 0)::double / 1e6 as ad_usd",
    ]
    for days in _USE_WINDOWS:
        near = _within(days)
        columns += [
            f"count(*) filter {_where(session, near)} as sessions_{days}d",
            f"coalesce(sum(a.session_s) filter {_where(session, near)}, 0)::double / 60 as session_minutes_{days}d",
            f"count(*) filter {_where(event, near)} as events_{days}d",
            f"coalesce(sum(a.amount_micros) filter {_where(ad, near)}, 0)::double / 1e6 as ad_{days}d_usd",
        ]
    columns += [
        f"bit_count(coalesce(bit_or({day_bit}) filter {_where(active)}, 0) & {2**days - 1}) as active_days_{days}d"
        for days in (7, 14, 28, 62)
    ]
    columns += [f"count(*) filter {_where(session, _first(days))} as sessions_first_{days}d" for days in _FIRST_DAYS]
    return ",\n    ".join(columns)


def _where(*conditions: str) -> str:
    return f"(where {' and '.join(conditions)})"


_FROM: Final = """
from ml_spine as s
inner join ml_installs as i on s.inst = i.inst
inner join ml_activity as a on s.inst = a.inst and a.event_us < s.as_of_us and a.known_us < s.known_by_us
"""


def features_sql() -> str:
    """The statement that reads `ml_spine`, `ml_installs` and `ml_activity` and returns keys, categories and numbers."""
    return f"""
with purchases as (
    select s.row_id,
    {_purchase_sql()}
    {_FROM} where a.kind = 'p' group by s.row_id
), uses as (
    select s.row_id,
    {_use_sql()}
    {_FROM} group by s.row_id
)
select
    s.row_id, i.app_id, i.install_id, s.as_of_us, i.install_us, s.label_end_us,
    i.platform, i.country, i.partner, i.campaign_id, i.device_model, i.os_version,
    (s.as_of_us - i.install_us) / {DAY_US} as age_days,
    (s.label_end_us - s.as_of_us) / {DAY_US} as horizon_days,
    extract(hour from make_timestamp(i.install_us)) as install_hour,
    p.* exclude (row_id),
    u.* exclude (row_id),
    p.purchase_usd / p.purchases as purchase_mean_usd,
    p.purchase_span_days / nullif(p.purchase_days - 1, 0) as purchase_gap_days,
    p.purchase_recency_days / nullif(p.purchase_span_days / nullif(p.purchase_days - 1, 0), 0) as purchase_recency_gaps,
    p.purchase_recency_days / greatest((s.as_of_us - i.install_us) / {DAY_US}, 0.01) as purchase_recency_share,
    p.purchase_days / greatest((s.as_of_us - i.install_us) / {DAY_US}, 1) as purchase_rate,
    p.purchase_usd / greatest((s.as_of_us - i.install_us) / {DAY_US}, 1) as purchase_usd_rate,
    u.sessions / greatest((s.as_of_us - i.install_us) / {DAY_US}, 1) as session_rate,
    u.ad_usd / greatest((s.as_of_us - i.install_us) / {DAY_US}, 1) as ad_usd_rate,
    u.sessions_3d / nullif(u.sessions_14d, 0) as session_trend
from ml_spine as s
inner join ml_installs as i on s.inst = i.inst
left join purchases as p on s.row_id = p.row_id
left join uses as u on s.row_id = u.row_id
order by s.row_id
"""


def read_features(con: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """Features of `ml_spine`, one row per spine row and in its order.

    Numbers are float64, missing where there was nothing to count; times are microseconds since 1970 (UTC).
    """
    frame: pd.DataFrame = con.execute(features_sql()).df().set_index("row_id", drop=True)
    for name in number_names(frame):
        frame[name] = frame[name].astype("float64")
    return frame


def number_names(frame: pd.DataFrame) -> list[str]:
    """Names of the numeric features, in the order of the statement."""
    return [name for name in frame.columns if name not in KEYS and name not in CATEGORIES]
