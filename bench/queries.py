"""Section `queries`: dashboard queries on published marts, as a BI tool sends them to the HTTP front.

The limit is the same SQL asked of the same engine in process: a ratio is what protocol, rights and checks cost.
Publishing is measured beside the bare INSERT ... SELECT that copies the same Delta version without comparing anything.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np

from bench.rows import Row, row
from lakehouse.home import make_demo_secrets, prepare_home
from lakehouse.lake import Lake
from lakehouse.settings import Settings, load_settings
from serving.http import wait_ready
from serving.publish import publish_marts

ROUNDS: Final = 80
APPS: Final = 50
MARTS: Final = {
    "campaign_daily": f"""
        select 'app.' || (i % {APPS}) as app_id, date '2026-01-01' + (i // 5000)::integer as date,
            case when i % 2 = 0 then 'ios' else 'android' end as platform, 'network ' || (i // {APPS} % 5) as partner,
            'campaign ' || (i // {APPS} % 100) as campaign_id, (i * 7 % 90000)::bigint as impressions,
            (i * 3 % 900)::bigint as clicks, (i % 90)::bigint as installs, (i % 977 * 0.37)::decimal(18, 6) as cost_usd,
            (i % 811 * 0.41)::decimal(18, 6) as revenue_d7_usd
        from range(1000000) t(i)""",
    "cohort_retention": f"""
        select 'app.' || (i % {APPS}) as app_id, date '2026-01-01' + (i // {31 * APPS * 4})::integer as install_date,
            case when i % 2 = 0 then 'ios' else 'android' end as platform,
            'network ' || (i // {31 * APPS} % 4) as partner,
            'calendar' as day_clock, (i // {APPS} % 31)::integer as day_n, (500 + i % 97)::bigint as mature_installs,
            (i * 13 % 500)::bigint as retained_installs
        from range(1000000) t(i)""",
}
QUERIES: Final = {
    "campaigns_of_an_app_30_days": """
        select campaign_id, sum(installs), sum(cost_usd), sum(revenue_d7_usd) / nullIf(sum(cost_usd), 0) as roas
        from campaign_daily where app_id = '{app}' and date between '2026-03-01' and '2026-03-30'
        group by campaign_id order by sum(cost_usd) desc""",
    "top_20_by_roas_all_apps_30_days": """
        select app_id, campaign_id, sum(revenue_d7_usd) / nullIf(sum(cost_usd), 0) as roas
        from campaign_daily where date between '2026-03-01' and '2026-03-30'
        group by app_id, campaign_id order by roas desc, app_id, campaign_id limit 20""",
    "days_by_partner_of_an_app_90_days": """
        select date, partner, sum(impressions), sum(clicks), sum(installs), sum(cost_usd)
        from campaign_daily where app_id = '{app}' and date between '2026-03-01' and '2026-05-29'
        group by date, partner order by date, partner""",
    "days_by_platform_all_rows": """
        select date, platform, sum(installs), sum(cost_usd), sum(revenue_d7_usd) from campaign_daily
        group by date, platform order by date, platform""",
    "retention_grid_of_an_app_60_days": """
        select install_date, day_n, sum(retained_installs) / nullIf(sum(mature_installs), 0) as retention
        from cohort_retention
        where app_id = '{app}' and day_clock = 'calendar' and install_date between '2026-02-01' and '2026-04-01'
        group by install_date, day_n order by install_date, day_n""",
}


def run() -> list[Row]:
    """p50 and p95 of each query in milliseconds, and seconds of publishing a mart of a million rows."""
    with tempfile.TemporaryDirectory() as folder:
        settings = _home(Path(folder))
        lake = Lake(settings.lake)
        for name, sql in MARTS.items():
            with duckdb.connect() as connection:
                lake.overwrite(f"gold/{name}", connection.sql(sql).to_arrow_reader(100_000))
        with _front(settings) as client:
            published = _published(settings, lake)
            # A second engine with the same marts lets both take turns, so that they meet the same load of the machine.
            beside = Path(folder) / "beside"
            _published(settings.model_copy(update={"clickhouse_dsn": f"chdb://{beside}"}), lake)
            with _in_process(beside) as handle:
                copied = _copied(handle, lake)
                served, inside = _ask(client, handle)
    rows = [row("publish_campaign_daily", published, "s", "bare INSERT SELECT", copied)]
    for name in QUERIES:
        for percent in (50, 95):
            value, limit = (float(np.percentile(times[name], percent)) * 1_000 for times in (served, inside))
            rows.append(row(f"{name}_p{percent}", value, "ms", "same query in process", limit))
    return rows


def _home(folder: Path) -> Settings:
    make_demo_secrets(folder)
    settings = load_settings(dict(os.environ) | {"UNMOGROWP_HOME": str(folder), "UNMOGROWP_SERVE_PORT": "0"})
    prepare_home(settings)
    return settings


@contextmanager
def _front(settings: Settings) -> Iterator[Any]:
    """A client of the user `bi` on a front of the home."""
    import clickhouse_connect

    environment = dict(os.environ) | {"UNMOGROWP_HOME": str(settings.home), "UNMOGROWP_SERVE_PORT": "0"}
    command = [str(Path(sys.executable).with_name("unmogrowp")), "serve"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        host, _, port = wait_ready(settings, 60).removeprefix("http://").rpartition(":")
        client = clickhouse_connect.get_client(
            host=host,
            port=int(port),
            username="bi",
            password=settings.secret("clickhouse_bi_password"),
            database="marts",
            compress=False,
        )
        yield client
        client.close()
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def _in_process(folder: Path) -> Iterator[Any]:
    import chdb

    working = Path.cwd()
    os.chdir("/")  # the engine reads Delta tables below the working directory only
    handle = chdb.connect(str(folder))
    try:
        handle.query("SET max_threads = 2, max_memory_usage = 2000000000", "Null")
        handle.query("USE marts", "Null")
        yield handle
    finally:
        handle.close()
        os.chdir(working)


def _published(settings: Settings, lake: Lake) -> float:
    """Seconds of publishing campaign_daily; the other mart goes first and warms what a running process has warm."""
    for name in ("cohort_retention", "campaign_daily"):
        started = time.perf_counter()
        publish_marts(settings, lake, lake.pin(["gold"]), [name], run_id="bench")
    return time.perf_counter() - started


def _copied(handle: Any, lake: Lake) -> float:
    handle.query("CREATE TABLE bare AS campaign_daily", "Null")
    for _ in range(2):
        handle.query("TRUNCATE TABLE bare", "Null")
        started = time.perf_counter()
        handle.query(f"INSERT INTO bare SELECT * FROM deltaLakeLocal('{lake.uri('gold/campaign_daily')}')", "Null")
    return time.perf_counter() - started


def _ask(client: Any, handle: Any) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Seconds of every query on either side in turn; the app changes each time, the first rounds are not counted."""
    sides: tuple[Callable[[str], Any], ...] = (
        lambda sql: client.raw_query(sql, fmt="Native"),
        lambda sql: handle.query(sql, "Native").bytes(),
    )
    times: tuple[dict[str, list[float]], dict[str, list[float]]] = ({}, {})
    for name, sql in QUERIES.items():
        for number in range(-3, ROUNDS):
            text = sql.format(app=f"app.{number % APPS}")
            answers = []
            for ask, taken in zip(sides, times, strict=True):
                started = time.perf_counter()
                answers.append(ask(text))
                if number >= 0:
                    taken.setdefault(name, []).append(time.perf_counter() - started)
            assert answers[0] == answers[1], f"{name} has two answers"
    return times
