"""One cold process of the sections `attribution` and `marts`: a dbt command, a plan, or a limit beside them.

Prints a line of JSON: `seconds` from the first query to the last commit (without the start of Python or dbt, which does
not depend on the data), `models` by name, `peak_mib` of the process and `read_bytes` of Parquet by table if asked for.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import duckdb

from bench.attribution_limit import steps
from lakehouse.engine import connect, create_view
from lakehouse.lake import Lake
from lakehouse.plan import make_plan
from lakehouse.processes import collect_less_often
from lakehouse.settings import load_settings

COUNT_READS: Final = "BENCH_COUNT_READS"


def run_dbt(*arguments: str) -> dict[str, Any]:
    """A dbt command in this process."""
    from dbt.cli.main import dbtRunner

    reads = _count_reads() if os.environ.get(COUNT_READS) else None
    with contextlib.redirect_stdout(sys.stderr):
        outcome = dbtRunner().invoke(["--quiet", *arguments])
    if not outcome.success:
        failed = [str(r.message) for r in getattr(outcome.result, "results", []) if str(r.status) in {"error", "fail"}]
        raise SystemExit(f"dbt failed: {failed or outcome.exception}")
    spans = {r.node.name: _executed(r) for r in outcome.result.results}
    return {
        "seconds": max(until for _, until in spans.values()) - min(since for since, _ in spans.values()),
        "models": {name: until - since for name, (since, until) in spans.items()},
        "read_bytes": {} if reads is None else reads(),
    }


def _executed(result: Any) -> tuple[float, float]:
    timing = next(t for t in result.timing if t.name == "execute")
    started: datetime = timing.started_at
    completed: datetime = timing.completed_at
    return started.timestamp(), completed.timestamp()


def _count_reads() -> Any:
    """Have DuckDB log what it reads; a function that adds it up by table once dbt is done."""
    from lakehouse.dbt_plugin import Plugin

    connections: list[duckdb.DuckDBPyConnection] = []
    configure = Plugin.configure_connection

    def configure_and_log(self: Plugin, conn: duckdb.DuckDBPyConnection) -> None:
        configure(self, conn)
        # After the views: opening every footer is the start of a process, not the work of a run.
        conn.execute("call enable_logging('FileSystem', storage = 'memory')")
        connections.append(conn.cursor())

    Plugin.configure_connection = configure_and_log  # type: ignore[method-assign]

    def read() -> dict[str, int]:
        found: Counter[str] = Counter()
        for path, read_bytes in (
            connections[0]
            .execute("select path, sum(bytes) from duckdb_logs_parsed('FileSystem') where op = 'READ' group by path")
            .fetchall()
        ):
            if named := re.search(r"/(bronze|silver|gold)/(\w+)/", path):
                found["/".join(named.groups())] += read_bytes
        return dict(found)

    return read


def run_limit(design: str) -> dict[str, Any]:
    """The queries of a design, each written by the writer of the models."""
    from lakehouse.dbt_plugin import CheckedStream

    settings = load_settings()
    lake = Lake(settings.lake)
    connection = connect(settings, lake=lake, layers=("silver",))
    connection.execute("create schema gold")
    started, cpu = time.monotonic(), time.process_time()
    for table, sql in steps(design):
        rows = connection.sql(sql).to_arrow_reader(100_000)
        checked = CheckedStream(rows, table, [])
        lake.overwrite(table, checked.reader, partition_by=["conversion_date"])
        create_view(connection, lake, table)
    return {
        "seconds": time.monotonic() - started,
        "cpu_seconds": time.process_time() - cpu,
        "rows": checked.rows,
    }


def run_first_copies() -> dict[str, Any]:
    """One row per record of every bronze table that has ids, written by event date by the writer of the models."""
    from lakehouse.dbt_plugin import CheckedStream

    settings = load_settings()
    lake = Lake(settings.lake)
    connection = connect(settings, lake=lake, layers=("bronze",))
    started, cpu, received, written = time.monotonic(), time.process_time(), 0, 0
    for table in lake.tables("bronze"):
        if not {"record_id", "event_date"} <= set(lake.schema(table).names):
            continue
        name = table.replace("/", ".")
        # Only ids that occur more than once are sorted: several times faster than a window over all rows.
        firsts = f"""
            with repeated as (select hash(app_id, record_id) as id from {name} group by id having count(*) > 1)
            select * from {name} where hash(app_id, record_id) not in (select id from repeated)
            union all
            select * from {name} where hash(app_id, record_id) in (select id from repeated)
            qualify row_number() over (partition by app_id, record_id order by event_at, payload_hash) = 1"""
        checked = CheckedStream(connection.sql(firsts).to_arrow_reader(100_000), table, [])
        lake.overwrite(f"silver/limit_{name.partition('.')[2]}", checked.reader, partition_by=["event_date"])
        written += checked.rows
        received += lake.row_count(table)
    return {
        "seconds": time.monotonic() - started,
        "cpu_seconds": time.process_time() - cpu,
        "rows": received,
        "kept": written,
    }


def run_plan() -> dict[str, Any]:
    """What the platform does before dbt: the dates to build, from the bronze that arrived."""
    settings = load_settings()
    lake = Lake(settings.lake)
    started = time.monotonic()
    plan = make_plan(settings, lake, json.loads(os.environ["UNMOGROWP_SNAPSHOT"]))
    return {"seconds": time.monotonic() - started, "dates": plan.sizes}


_COMMANDS: Final[dict[str, Callable[..., dict[str, Any]]]] = {
    "dbt": run_dbt,
    "plan": run_plan,
    "limit": run_limit,
    "first_copies": run_first_copies,
}


def main(arguments: list[str]) -> None:
    collect_less_often()  # as the processes of a run do
    Path(load_settings().tmp_dir).mkdir(parents=True, exist_ok=True)
    command, *rest = arguments
    measured = _COMMANDS[command](*rest)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(measured | {"peak_mib": peak}))


if __name__ == "__main__":
    main(sys.argv[1:])
