"""One cold process of the section `attribution`: some models through dbt, or the limit beside them.

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
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import duckdb

from lakehouse.engine import connect
from lakehouse.lake import Lake
from lakehouse.settings import load_settings

LIMIT_TABLE: Final = "gold/limit_candidates"
COUNT_READS: Final = "BENCH_COUNT_READS"
KEYS: Final = (
    ("referrer", "referrer_click_id", "click_id"),
    ("click_id", "click_id", "click_id"),
    ("ad_id", "gaid", "gaid"),
    ("ad_id", "idfa", "idfa"),
    ("ad_id", "oaid", "oaid"),
    ("vendor_id", "idfv", "idfv"),
    ("vendor_id", "app_set_id", "app_set_id"),
    ("vendor_id", "android_id", "android_id"),
    ("user_id", "user_id", "user_id"),
)
_ALIKE: Final = ("app_id", "ip_prefix", "os_name", "device_model", "language")


def run_models(arguments: list[str]) -> dict[str, Any]:
    """`dbt run` with the arguments, in this process."""
    from dbt.cli.main import dbtRunner

    reads = _count_reads() if os.environ.get(COUNT_READS) else None
    with contextlib.redirect_stdout(sys.stderr):
        outcome = dbtRunner().invoke(["--quiet", "run", *arguments])
    if not outcome.success:
        failed = [str(r.message) for r in getattr(outcome.result, "results", []) if str(r.status) == "error"]
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

    def configure_and_log(self: Plugin, connection: duckdb.DuckDBPyConnection) -> None:
        configure(self, connection)
        # After the views: opening every footer is the start of a process, not the work of a run.
        connection.execute("call enable_logging('FileSystem', storage = 'memory')")
        connections.append(connection.cursor())

    Plugin.configure_connection = configure_and_log  # type: ignore[method-assign]

    def read() -> dict[str, int]:
        found: Counter[str] = Counter()
        for path, read_bytes in connections[0].execute(
            "select path, sum(bytes) from duckdb_logs_parsed('FileSystem') where op = 'READ' group by path"
        ).fetchall():
            if named := re.search(r"/(bronze|silver|gold)/(\w+)/", path):
                found["/".join(named.groups())] += read_bytes
        return dict(found)

    return read


def run_limit() -> dict[str, Any]:
    """The same joins on the same keys, the same columns, the same writer; no rule, no order, no copy dropped."""
    from lakehouse.dbt_plugin import CheckedStream

    settings = load_settings()
    lake = Lake(settings.lake)
    connection = connect(settings, lake=lake, layers=("silver",))
    connection.execute("set global parquet_metadata_cache = true")
    connection.execute("set global validate_external_file_cache = 'NO_VALIDATION'")
    started = time.monotonic()
    rows = connection.sql(f"select * from ({limit_sql()}) order by conversion_date").to_arrow_reader(100_000)
    checked = CheckedStream(rows, LIMIT_TABLE, [])
    lake.overwrite(LIMIT_TABLE, checked.reader, partition_by=["conversion_date"])
    return {"seconds": time.monotonic() - started, "rows": checked.rows}


def limit_sql() -> str:
    joined = " union all ".join(
        f"""select c.*, t.*, '{method}' as match_method, 1::double as match_confidence
        from conversions c join touches t on c.c_app_id = t.app_id and c.c_{mine} = t.{theirs}
        where date_diff('day', t.event_date, c.conversion_date) between 0 and 7"""
        for method, mine, theirs in KEYS
    )
    alike = ", ".join(_ALIKE)
    same = " and ".join(f"c.c_{name} = t.{name}" for name in _ALIKE)
    ids = [mine for _, mine, _ in KEYS] + ["ip_prefix", "os_name", "device_model"]
    return f"""
    with conversions as (
        select c.app_id as c_app_id, c.conversion_id, c.conversion_type, c.install_id, c.install_at, c.install_date,
            c.conversion_at, c.conversion_date, c.platform, c.ruleset_id, split_part(i.locale, '-', 1) as c_language,
            {", ".join(f"i.{name} as c_{name}" for name in ids)}
        from silver.int_conversions c join silver.int_installs i using (app_id, install_id)
    ),
    touches as (
        select app_id, record_id, record_type, event_at, event_date, partner, campaign_id, campaign_name, adset_id,
            creative_id, site_id, is_retargeting, split_part(locale, '-', 1) as language,
            {", ".join(sorted({theirs for _, _, theirs in KEYS}))}, ip_prefix, os_name, device_model
        from silver.stg_touchpoints
    ),
    likenesses as (
        select distinct c_app_id, c_ip_prefix, c_os_name, c_device_model, c_language from conversions
        where platform = 'android'
    ),
    alike as (
        select {alike}, event_date, count(*) as n from touches t
        semi join likenesses c on {same} group by all having count(*) <= 50
    ),
    joined as (
        {joined}
        union all
        select c.*, t.*, 'probabilistic' as match_method, 1 / a.n::double as match_confidence
        from conversions c join touches t on {same} join alike a using ({alike}, event_date)
        where c.platform = 'android' and t.event_at between c.conversion_at - interval 6 hours and c.conversion_at
    )
    select c_app_id as app_id, conversion_id, conversion_type, record_id as touch_id, install_id, install_at,
        install_date, conversion_at, conversion_date, record_type as touch_type, event_at as touch_at, partner,
        campaign_id, campaign_name, adset_id, creative_id, site_id, coalesce(is_retargeting, false) as is_retargeting,
        match_method, case when match_confidence < 1 then 'probabilistic' else 'deterministic' end as match_class,
        match_confidence, date_sub('second', event_at, conversion_at) as elapsed_s, 0::bigint as window_s,
        true as is_eligible, 1::integer as candidate_rank, false as is_winner, 'won' as reason_code, ruleset_id
    from joined"""


def main(arguments: list[str]) -> None:
    Path(load_settings().tmp_dir).mkdir(parents=True, exist_ok=True)
    measured = run_limit() if arguments[0] == "limit" else run_models(arguments[1:])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(measured | {"peak_mib": peak}))


if __name__ == "__main__":
    main(sys.argv[1:])
