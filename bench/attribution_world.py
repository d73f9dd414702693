"""Silver tables of any size for the section `attribution`: touchpoints and installs with string ids, a day at a time.

A share of the touches is of users who install, from nine days before the install until an hour after it, with and
without ids that both carry; all others share no id with any install. Everything is a function of the row's number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import duckdb
import pyarrow as pa

from lakehouse.engine import duckdb_type
from lakehouse.lake import Lake

TOUCHES: Final = "silver/stg_touchpoints"
INSTALLS: Final = "silver/int_installs"
_FIRST_INSTALL_DAY: Final = 9
_START: Final = "timestamptz '2026-01-01 00:00:00+00'"
_BATCH_ROWS: Final = 100_000
CROWD_INSTALLS: Final = 1_000
_NAMES: Final = ("partner", "campaign_id", "campaign_name", "adset_id", "creative_id", "site_id")


@dataclass(frozen=True, slots=True)
class Size:
    """Rows of a world."""

    touches: int = 30_000_000
    installs: int = 1_500_000
    days: int = 30
    touches_per_user: int = 5

    @property
    def touching_installs(self) -> int:
        """Installs (of all) that touches lead to; the others are organic."""
        return self.installs * 7 // 10

    @property
    def strangers_a_day(self) -> int:
        """Touches a day of users who never install."""
        return (self.touches - self.touching_installs * self.touches_per_user) // self.touch_days

    @property
    def touch_days(self) -> int:
        return self.days + _FIRST_INSTALL_DAY + 1


def write_world(lake: Lake, size: Size) -> None:
    """Replace the two tables, which exist with the columns that the models gave them."""
    with _connect(size) as connection:
        touch_schema, install_schema = lake.schema(TOUCHES), lake.schema(INSTALLS)
        touches = (_select(connection, _touches(size, day), touch_schema) for day in range(size.touch_days))
        installs = (_select(connection, _installs(size, day), install_schema) for day in range(size.days))
        lake.overwrite(TOUCHES, _stream(connection, touches), partition_by=["event_date"])
        lake.overwrite(INSTALLS, _stream(connection, installs), partition_by=["install_date"])


def write_crowd(lake: Lake, size: Size, crowd: int) -> None:
    """Write the first day with installs anew: `crowd` touches more and some of its installs are all alike."""
    day = _FIRST_INSTALL_DAY
    with _connect(size) as connection:
        touches = _select(connection, _touches(size, day, crowd), lake.schema(TOUCHES))
        installs = _select(connection, _installs(size, 0, CROWD_INSTALLS), lake.schema(INSTALLS))
        date = connection.sql(f"select ({_START})::date + {day}").fetchall()[0][0]
        for table, column, rows in ((TOUCHES, "event_date", touches), (INSTALLS, "install_date", installs)):
            lake.overwrite(table, connection.sql(rows).to_arrow_table(), replace_where=f"{column} = '{date}'")


def _connect(size: Size) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"threads": 2})
    connection.execute("set TimeZone = 'UTC'")
    connection.execute(_macros(size))
    return connection


def _stream(connection: duckdb.DuckDBPyConnection, queries: Iterator[str]) -> pa.RecordBatchReader:
    first = connection.sql(next(queries)).to_arrow_reader(_BATCH_ROWS)

    def batches() -> Iterator[pa.RecordBatch]:
        yield from first
        for query in queries:
            yield from connection.sql(query).to_arrow_reader(_BATCH_ROWS)

    return pa.RecordBatchReader.from_batches(first.schema, batches())


def _select(connection: duckdb.DuckDBPyConnection, rows: str, schema: pa.Schema) -> str:
    """All columns of the table, those that `rows` does not have as nulls."""
    made = set(connection.sql(rows).columns)
    values = (
        f"{name if name in made else 'null'}::{duckdb_type(schema.field(name).type)} as {name}" for name in schema.names
    )
    return f"select {', '.join(values)} from ({rows})"


def _macros(size: Size) -> str:
    """What is true of a user by number: of those who install first, then of strangers. Apps 0 and 1 are on Android."""
    return f"""
    -- One of `sides` numbers; draws with different salts have nothing to do with each other.
    create macro draw(n, salt, sides) as (hash(n * 10000 + salt) % sides)::bigint;
    create macro app_of(user) as 'com.studio.game.' || (user % 4);
    create macro is_android(user) as user % 4 < 2;
    create macro id_of(user, kind) as md5(kind || user);
    create macro installed_at(user) as
        {_START} + to_days(({_FIRST_INSTALL_DAY} + user // {_installs_a_day(size)})::integer)
            + to_seconds(draw(user, 9, 86400));
    create macro range_of(user) as '10.' || draw(user, 10, 250) || '.' || draw(user, 11, 250) || '.0/24';
    create macro model_of(user) as 'model ' || draw(user, 12, 60);
    create macro locale_of(user) as (['en-US', 'de-DE', 'fr-FR', 'pt-BR', 'ja-JP', 'es-MX'])[draw(user, 13, 6) + 1];
    create macro named(kind, n, sides) as kind || ' ' || draw(n, 99, sides);
    -- Most touches lie within the look-back, a tenth before it, and one in fifty after the install.
    create macro lag_of(user, k) as case
        when draw(user, 1 + 100 * k, 50) = 0 then -draw(user, 2 + 100 * k, 3600)
        when k = 0 then draw(user, 2, 5 * 3600)
        else draw(user, 2 + 100 * k, 8 * 86400) end;
    """


def _installs_a_day(size: Size) -> int:
    return -(-size.installs // size.days)


def _installs(size: Size, day: int, crowd: int = 0) -> str:
    first = day * _installs_a_day(size)
    until = min(size.installs, first + _installs_a_day(size))
    crowded = f"i < {crowd}"
    return f"""select
        app_of(i) as app_id,
        'install-' || md5('install' || i) as install_id,
        md5('record' || i) as conversion_id,
        case when is_android(i) then 'android' else 'ios' end as platform,
        installed_at(i) as install_at,
        installed_at(i)::date as install_date,
        installed_at(i) as received_at,
        false as is_implied,
        case when draw(i, 5, 3) = 0 then id_of(i, 'user') end as user_id,
        case when not is_android(i) and draw(i, 6, 3) = 0 then id_of(i, 'idfa') end as idfa,
        case when is_android(i) then id_of(i, 'gaid') end as gaid,
        case when not is_android(i) then id_of(i, 'idfv') end as idfv,
        case when is_android(i) then id_of(i, 'app_set_id') end as app_set_id,
        case when draw(i, 14, 10) = 0 then id_of(i, 'click') end as click_id,
        case when is_android(i) and draw(i, 15, 2) = 0 then id_of(i, 'click') end as referrer_click_id,
        case when is_android(i) then installed_at(i) - to_seconds(60) end as install_begin_server_at,
        case when {crowded} then 'crowded' else range_of(i) end as ip_prefix,
        case when is_android(i) then 'Android' else 'iOS' end as os_name,
        case when {crowded} then 'crowded' else model_of(i) end as device_model,
        case when {crowded} then 'en-US' else locale_of(i) end as locale,
        case when draw(i, 16, 40) = 0 then false end as has_ad_user_data_consent
        from range({first}, {until}) as numbers(i)"""


def _touches(size: Size, day: int, crowd: int = 0) -> str:
    """Touches of a day: of users who install on it or soon after, of strangers, and of a crowd."""
    rows_a_day = _installs_a_day(size)
    first = max(0, (day - _FIRST_INSTALL_DAY - 1) * rows_a_day)
    until = max(0, min(size.installs, (day + 1) * rows_a_day))
    strangers = 10 * size.installs + day * size.strangers_a_day
    crowd_of = 20 * (size.installs + size.touches)
    named = ",\n".join(
        f"named('{name}', u + k, {sides}) as {name}"
        for name, sides in zip(_NAMES, (20, 400, 400, 2_000, 10_000, 20_000), strict=True)
    )
    return f"""select
        app_of(u) as app_id,
        md5('touch' || u || '-' || k) as record_id,
        case when k = 0 or draw(u, 3 + 100 * k, 3) = 0 then 'click' else 'impression' end as record_type,
        case when is_android(u) then 'android' else 'ios' end as platform,
        case when draw(u, 4 + 100 * k, 500) = 0 then 'sandbox' else 'production' end as environment,
        touched_at as event_at,
        touched_at as received_at,
        touched_at::date as event_date,
        false as is_event_at_missing,
        'link' as source,
        md5('payload' || u || k) as payload_hash,
        case when draw(u, 5 + 100 * k, 100) = 0 then id_of(u, 'user') end as user_id,
        case when not is_android(u) and draw(u, 6 + 100 * k, 2) = 0 then id_of(u, 'idfa') end as idfa,
        case when is_android(u) and draw(u, 6 + 100 * k, 10) > 1 then id_of(u, 'gaid') end as gaid,
        case when not is_android(u) and draw(u, 7 + 100 * k, 20) = 0 then id_of(u, 'idfv') end as idfv,
        case when k = 0 then id_of(u, 'click') end as click_id,
        case when crowded then 'crowded' else range_of(u) end as ip_prefix,
        case when is_android(u) then 'Android' else 'iOS' end as os_name,
        case when crowded then 'crowded' else model_of(u) end as device_model,
        case when crowded then 'en-US' else locale_of(u) end as locale,
        {named},
        case when draw(u, 8 + 100 * k, 100) = 0 then false end as is_signature_valid
        from (
            select u, k, touched_at, false as crowded
            from (
                select u, k, installed_at(u) - to_seconds(lag_of(u, k)) as touched_at
                from (select u from range({first}, {until}) as users(u) where draw(u, 17, 10) < 7),
                    range({size.touches_per_user}) as numbers(k)
            )
            where touched_at::date = ({_START})::date + {day}
            union all
            select u, draw(u, 18, 2), {_START} + to_days({day}) + to_seconds(draw(u, 9, 86400)), false
            from range({strangers}, {strangers + size.strangers_a_day}) as users(u)
            union all
            select u, 0, {_START} + to_days({day}) + to_seconds(draw(u, 9, 86400)), true
            from range({crowd_of}, {crowd_of + crowd}) as users(u)
        )"""
