"""What is known about each install, and from which instant on: the two temporary tables all features and labels read.

Belongs here: reading the views `silver.*` and `gold.*`, the rule of when a row becomes known, the watermark. Does not
belong here: which numbers are derived from the rows (`features`), what a model shall predict (`spine`).

A row is *known* from `greatest(event_at, received_at)` on if it was received within seven days of its event. A row
received later than that counts as a backfill (an import of old purchases, a re-sent archive) and is known at
`event_at`: otherwise history bought or imported in bulk could never train a model. The price is stated, not hidden: a
record that was truly held back for more than seven days is treated as if it had been known in time.

Attribution (partner, campaign) is read as decided now. Later restatements of a decision therefore change old
features: the models are trained "restated", and say so in their card.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import duckdb

BACKFILL_AFTER: Final = timedelta(days=7)
DAY_US: Final = 86_400_000_000

# The Delta tables behind the views that are read here; their versions are the lineage of every model.
INPUT_TABLES: Final = (
    "silver/stg_app_events",
    "silver/int_installs",
    "silver/int_revenue_events",
    "gold/attributed_installs",
)

_TABLES: Final = ("ml_installs", "ml_activity", "ml_apps")

_INSTALLS: Final = """
create or replace temp table ml_installs as
select
    (row_number() over (order by i.app_id, i.install_id))::integer as inst,
    i.app_id,
    i.install_id,
    epoch_us(i.install_at) as install_us,
    i.platform,
    i.country,
    i.device_model,
    i.os_version,
    i.app_version,
    coalesce(a.partner, 'organic') as partner,
    a.campaign_id,
    a.match_method
from silver.int_installs as i
left join gold.attributed_installs as a
    on i.app_id = a.app_id and i.install_id = a.install_id and a.is_primary
where i.install_at is not null
"""

# Kinds: p purchase, a ad revenue, s session, e any other in-app event, i install record. Uninstalls are left out: they
# are detected days later and by another clock. Amounts are whole micros, so that sums are exact in any order.
_ACTIVITY: Final = """
create or replace temp table ml_activity as
select
    i.inst,
    case
        when r.revenue_kind = 'purchase' then 'p'
        when r.revenue_kind = 'ad' then 'a'
        when e.record_type = 'session' then 's'
        when e.record_type = 'install' then 'i'
        else 'e'
    end as kind,
    epoch_us(e.event_at) as event_us,
    case
        when epoch_us(e.received_at) - epoch_us(e.event_at) <= {backfill_us}
            then greatest(epoch_us(e.event_at), epoch_us(e.received_at))
        else epoch_us(e.event_at)
    end as known_us,
    coalesce((r.revenue_usd * 1000000)::bigint, 0) as amount_micros,
    coalesce(e.quantity, 0)::bigint as quantity,
    coalesce(e.session_length_s, 0)::bigint as session_s,
    (hash(e.event_name) % 64)::utinyint as name_bucket
from silver.stg_app_events as e
left join silver.int_revenue_events as r on e.app_id = r.app_id and e.record_id = r.record_id
inner join ml_installs as i on e.app_id = i.app_id and coalesce(r.install_id, e.install_id) = i.install_id
where e.record_type in ('install', 'session', 'event', 'ad_revenue')
    and coalesce(e.environment, 'production') = 'production'
"""

# An install is known with its own record, an implied one with the record that made it the first.
_KNOWN_INSTALLS: Final = """
create or replace temp table ml_installs as
select
    i.*,
    coalesce(
        min(a.known_us) filter (a.kind = 'i'),
        max(a.known_us) filter (a.event_us = i.install_us),
        any_value(i.install_us)
    ) as install_known_us
from ml_installs as i
left join ml_activity as a on i.inst = a.inst
group by all
"""

_APPS: Final = """
create or replace temp table ml_apps as
with
marks as (
    select app_id, max(least(epoch_us(event_at), epoch_us(received_at))) as watermark_us
    from silver.stg_app_events
    where environment is distinct from 'claims'
    group by app_id
)
select i.app_id, any_value(m.watermark_us) as watermark_us, bool_or(coalesce(a.kind = 's', false)) as has_sessions
from ml_installs as i
left join ml_activity as a on i.inst = a.inst
left join marks as m on i.app_id = m.app_id
group by i.app_id
"""


@dataclass(frozen=True, slots=True)
class App:
    """An app with data: `watermark` is the instant (UTC) up to which its records are complete."""

    app_id: str
    watermark: datetime
    has_sessions: bool

    @property
    def as_of(self) -> datetime:
        """The instant from which the newest record is just past: the `as_of` of scoring."""
        return self.watermark + timedelta(microseconds=1)


def load_activity(con: duckdb.DuckDBPyConnection, only: str | None = None) -> list[App]:
    """Build `ml_installs` and `ml_activity` from the views of `con` and list the apps that have installs.

    Tables that stand there already, made of the same files, are taken as they are. `only` keeps one app. The watermark
    of an app is the latest `least(event_at, received_at)` of its records.
    """
    source = _source(con, only)
    if source is None or _loaded_from(con) != source:
        con.execute(_INSTALLS + (" and i.app_id = ?" if only else ""), [only] if only else [])
        con.execute(_ACTIVITY.format(backfill_us=BACKFILL_AFTER // timedelta(microseconds=1)))
        con.execute(_KNOWN_INSTALLS)
        con.execute(_APPS)
        for table in _TABLES:
            con.execute(f"comment on table {table} is '{source or ''}'")
    rows = con.execute("select app_id, watermark_us, has_sessions from ml_apps order by app_id").fetchall()
    return [App(app_id, from_us(watermark), bool(sessions)) for app_id, watermark, sessions in rows]


def _source(con: duckdb.DuckDBPyConnection, only: str | None) -> str | None:
    """What the tables are made of: the text of a view names the files it reads. None if an input is no view."""
    views: dict[str, str] = dict(
        con.execute("select schema_name || '/' || view_name, sql from duckdb_views() where not internal").fetchall()
    )
    if not all(table in views for table in INPUT_TABLES):
        return None
    return hashlib.sha256("\n".join([f"only {only}", *(views[table] for table in INPUT_TABLES)]).encode()).hexdigest()


def _loaded_from(con: duckdb.DuckDBPyConnection) -> str | None:
    """The source of the tables that this connection has; None if they are not all there, or of different sources."""
    found = con.execute(
        "select any_value(comment) from duckdb_tables() where temporary and list_contains(?, table_name) "
        "having count(*) = ? and count(distinct comment) = 1",
        [list(_TABLES), len(_TABLES)],
    ).fetchall()
    return str(found[0][0]) if found else None


def from_us(micros: int) -> datetime:
    """Aware UTC instant of microseconds since 1970."""
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=micros)


def to_us(instant: datetime) -> int:
    """Microseconds since 1970 of an aware instant."""
    return (instant - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1)
