"""Homes, gold tables and running fronts for the tests of serving. Real Delta tables, real engines, real processes."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from lakehouse.lake import Lake
from lakehouse.settings import Settings, load_settings
from serving.publish import publish_marts

BI_PASSWORD = "bi-" + "b" * 32
PUBLISHER_PASSWORD = "publisher-" + "p" * 32
MORNING = datetime(2026, 3, 1, 6, tzinfo=UTC)
SERVE = "from lakehouse.settings import load_settings; from serving.http import serve; serve(load_settings())"
ROOT = Path(__file__).resolve().parents[2]


def environment(home: Path, **values: str) -> dict[str, str]:
    """Settings variables of a home with passwords and a free port."""
    return {
        "UNMOGROWP_HOME": str(home),
        "UNMOGROWP_CLICKHOUSE_BI_PASSWORD": BI_PASSWORD,
        "UNMOGROWP_CLICKHOUSE_PUBLISHER_PASSWORD": PUBLISHER_PASSWORD,
        "UNMOGROWP_SERVE_PORT": "0",
        **values,
    }


def settings_of(home: Path, **values: str) -> Settings:
    return load_settings(environment(home, **values))


def lake_of(settings: Settings) -> Lake:
    return Lake(settings.lake)


def arrow(sql: str) -> pa.Table:
    """Rows of a query, with instants in UTC."""
    connection = duckdb.connect()
    try:
        connection.execute("set timezone = 'UTC'")
        return connection.sql(sql).to_arrow_table()
    finally:
        connection.close()


def campaign_daily(rows: int = 3_000, factor: int = 1) -> pa.Table:
    """Rows of a small campaign_daily with every type a mart may have; measures are multiplied by `factor`."""
    return arrow(
        f"""
        select
            'app.' || (i % 3) as app_id,
            date '2026-01-01' + (i % 30)::integer as date,
            case when i % 2 = 0 then 'ios' else 'android' end as platform,
            case when i % 5 = 0 then null else 'c' || (i % 7) end as campaign_id,
            case when i % 4 = 0 then null else 'Sommer ' || chr(228) || ' ' || i end as campaign_name,
            (i % 11 - 3) * {factor}::bigint as installs,
            (i * 1.000001 * {factor})::decimal(18, 6) as cost_usd,
            case when i % 6 = 0 then null else (i * 0.5)::decimal(18, 6) end as revenue_d7_usd,
            case when i % 7 = 0 then null else i / 3.0 end::double as score,
            i % 2 = 0 as is_mature_d7,
            case when i % 9 = 0 then null
                else timestamptz '2026-01-01 00:00:00.000001+00' + to_seconds(i) end as last_event_at,
            ['a', 'b' || i] as labels
        from range({rows}) t(i)
        """
    )


def write_gold(settings: Settings, name: str, data: pa.Table, partition_by: tuple[str, ...] = ()) -> int:
    return lake_of(settings).overwrite(f"gold/{name}", data, partition_by=partition_by).version


def publish(settings: Settings, *marts: str, run_id: str = "run-1", **options: Any) -> list[Any]:
    lake = lake_of(settings)
    options.setdefault("clock", lambda: MORNING)
    return publish_marts(settings, lake, lake.pin(["gold"]), marts, run_id=run_id, **options)


def python(code: str, home: Path, **values: str) -> subprocess.Popen[str]:
    """A process that runs code in this repository with a home's settings."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, **environment(home, **values), "PYTHONPATH": f"{ROOT}:{ROOT / 'tests' / 'serving'}"},
        cwd=home if home.is_dir() else None,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextmanager
def front(home: Path, **values: str) -> Iterator[tuple[Settings, str]]:
    """A running `serve` of a home: its settings and address. Stopped as an operator stops it."""
    from serving.http import wait_ready

    home.mkdir(parents=True, exist_ok=True)
    process = python(SERVE, home, **values)
    settings = settings_of(home)
    try:
        yield settings, wait_ready(settings, 30)
    finally:
        process.terminate()
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 0, output


def client(address: str, username: str = "bi", password: str | None = None, **options: Any) -> Any:
    """An unmodified clickhouse_connect client over HTTP."""
    import clickhouse_connect

    host, _, port = address.removeprefix("http://").rpartition(":")
    if password is None:
        password = BI_PASSWORD if username == "bi" else PUBLISHER_PASSWORD
    return clickhouse_connect.get_client(
        host=host, port=int(port), username=username, password=password, **{"database": "marts", **options}
    )
