"""Section `ingest`: how close the endpoint comes to the least that any endpoint and any landing must do.

`batch_ack` and `single_event` stand beside a bare endpoint (`bench.bare_endpoint`) under the same load, measured in
turns; `sustained_to_delta` beside DuckDB reading the same events from a file and deltalake writing them.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from bench.ingest_load import APP, events
from bench.rows import Row, row
from lakehouse.apps import App, new_write_key, save_apps
from lakehouse.contract import RECORD_TABLES
from lakehouse.engine import connect
from lakehouse.lake import Lake
from lakehouse.settings import Settings, load_settings

_SALT: Final = "a salt for measurements, of no other use"
_ROUNDS: Final = 3
_SECONDS: Final = 3.0
_SUSTAINED_SECONDS: Final = 60.0
_LIMIT_RECORDS: Final = 400_000
# Longer than an endpoint tries to land what is left.
_STOP_SECONDS: Final = 180.0
_TABLES: Final = ("bronze/bronze_app_events", "bronze/bronze_touchpoints", "bronze/bronze_network")


def run() -> list[Row]:
    """Rows of the section; about three minutes."""
    with tempfile.TemporaryDirectory(prefix="unmogrowp-bench-") as folder:
        root = Path(folder)
        batch, single, startup = _acknowledge(root)
        sustained = _sustained(root)
    return [
        _rate("batch_ack", batch, "bare_endpoint", "records"),
        _rate("single_event", single, "bare_endpoint", "records"),
        *sustained,
        _median("batch_ack_p99", batch, "p99_ms", "ms"),
        _median("single_event_p99", single, "p99_ms", "ms"),
        row("start_to_ready", startup, "s"),
    ]


_Measured = dict[str, list[dict[str, Any]]]


def _acknowledge(root: Path) -> tuple[_Measured, _Measured, float]:
    """Both endpoints under both loads, in turns; seconds from start to ready."""
    batch: _Measured = {"ours": [], "bare": []}
    single: _Measured = {"ours": [], "bare": []}
    starts: list[float] = []
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        with endpoint(root / "home") as (_, port, key):
            starts.append(time.perf_counter() - started)
            batch["ours"].append(load(port, key, connections=4, batch=1_000))
            single["ours"].append(load(port, key, connections=64, batch=1))
        with _bare(root) as port:
            batch["bare"].append(load(port, key, connections=4, batch=1_000))
            single["bare"].append(load(port, key, connections=64, batch=1))
    return batch, single, statistics.median(starts)


def _sustained(root: Path) -> list[Row]:
    """Events per second from the first byte of HTTP until all rows can be read in Delta, and the same from a file."""
    settings = _home(root / "sustained")[0]
    lake = Lake(settings.lake)
    with endpoint(root / "sustained") as (process, port, key):
        started = time.perf_counter()
        records = load(port, key, connections=4, batch=1_000, seconds=_SUSTAINED_SECONDS)["records"]
        while sum(lake.row_count(table) for table in _TABLES[:2]) < records:
            time.sleep(0.05)
        ours = records / (time.perf_counter() - started)
        memory = peak_mib(process.pid)
        fresh = _freshness(settings, lake)
    source = root / "events.ndjson"
    lines = events(20_000)
    with source.open("wb") as stream:
        for _ in range(_LIMIT_RECORDS // len(lines)):
            stream.write(b"\n".join(lines) + b"\n")
    limits = []
    for number in range(_ROUNDS):
        target = root / f"limit{number}"
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "bench.ingest", str(source), str(target)], check=True)
        limits.append(_LIMIT_RECORDS / (time.perf_counter() - started))
    limit = statistics.median(limits)
    return [
        row("sustained_to_delta", ours, "events/s", "duckdb_to_deltalake", limit),
        row("freshness_p99", fresh, "s"),
        row("memory_of_all_processes", memory, "MiB"),
    ]


def _freshness(settings: Settings, lake: Lake) -> float:
    """Seconds from the receipt of an app event to the commit that has it, the 99th of a hundred."""
    table = _TABLES[0]
    log = Path(lake.uri(table)) / "_delta_log"
    committed = []
    for version in range(1, lake.version(table) + 1):
        at = (log / f"{version:020d}.json").stat().st_mtime
        committed += [(file, at) for file in lake.files_added(table, version - 1, version) or []]
    with connect(settings, lake=lake, layers=()) as connection:
        connection.execute("create temp table committed (file varchar, committed_at double)")
        connection.executemany("insert into committed values (?, ?)", committed)
        row = connection.execute(
            "select quantile_cont(c.committed_at - epoch(r.received_at), 0.99) "
            "from read_parquet(?, filename = true) as r join committed as c on r.filename = c.file",
            [[file for file, _ in committed]],
        ).fetchone()
    assert row is not None
    return float(row[0])


def write_without_endpoint(source: Path, target: Path) -> None:
    """What the landing cannot avoid: JSON into the same columns of the same tables, by DuckDB and deltalake."""
    import duckdb

    from lakehouse.contract import FIELDS, Kind, Origin

    types = {Kind.INSTANT: "timestamptz", Kind.DATE: "date", Kind.INTEGER: "bigint", Kind.BOOLEAN: "boolean"}
    columns = {f.name: types.get(f.kind, "varchar") for f in FIELDS if f.origin is Origin.SENDER}
    columns |= {"revenue": "decimal(18,6)", "cost": "decimal(18,6)"}
    lake = Lake(target)
    connection = duckdb.connect(config={"threads": 2})
    connection.execute("set TimeZone = 'UTC'")
    listed = ", ".join(f"{name}: '{kind}'" for name, kind in columns.items())
    connection.execute(
        f"create view sent as from read_json('{source}', format = 'newline_delimited', columns = {{{listed}}})"
    )
    made = {
        "received_at": "now()",
        "ingest_date": "current_date",
        "event_date": "event_at::date",
        "is_event_at_missing": "event_at is null",
        "source": "'s2s'",
        "payload_hash": "left(md5(record_id), 16)",
        "request_id": "'r'",
        "ip_prefix": "null::varchar",
        "ip_hash": "left(md5(ip), 32)",
        "raw_url": "null::varchar",
        "is_signature_valid": "null::boolean",
        "revenue_micros": "(revenue * 1000000)::bigint",
        "cost_micros": "(cost * 1000000)::bigint",
    }
    for table in RECORD_TABLES[:2]:
        lake.create(table.key, table.schema, partition_by=("ingest_date",))
        chosen = ", ".join(f'{made.get(f.column, f.column)} as "{f.column}"' for f in table.fields)
        kinds = ", ".join(f"'{kind}'" for kind in table.record_types)
        rows = connection.sql(f"select {chosen} from sent where record_type in ({kinds})").to_arrow_table()
        lake.append_once(table.key, rows, writer="limit", batch=1)


@contextmanager
def endpoint(home: Path, **variables: str) -> Iterator[tuple[subprocess.Popen[bytes], int, str]]:
    """An endpoint as a process, its port and a write key; stopped kindly and its home deleted afterwards."""
    settings, key = _home(home)
    port = _free_port()
    environment = dict(os.environ) | {
        "UNMOGROWP_HOME": str(settings.home),
        "UNMOGROWP_SALT": _SALT,
        "UNMOGROWP_INGEST_PORT": str(port),
    }
    with (settings.home / "endpoint.log").open("ab") as log:
        process = subprocess.Popen([sys.executable, "-m", "ingestion"], env=environment | variables, stderr=log)
    try:
        while not (settings.home / "ingest.json").is_file():
            if process.poll() is not None:
                raise RuntimeError((settings.home / "endpoint.log").read_text(encoding="utf-8"))
            time.sleep(0.01)
        yield process, port, key
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        finally:
            process.kill()
            process.wait()
            shutil.rmtree(settings.home)


@contextmanager
def _bare(root: Path) -> Iterator[int]:
    port = _free_port()
    process = subprocess.Popen([sys.executable, "-m", "bench.bare_endpoint", str(port), str(root)])
    try:
        while not _answers(port):
            time.sleep(0.01)
        yield port
    finally:
        process.kill()
        process.wait()
        (root / "bare.log").unlink()


def load(port: int, key: str, **options: Any) -> dict[str, Any]:
    asked = {"port": port, "key": key, "seconds": _SECONDS, "requests": None} | options
    done = subprocess.run(
        [sys.executable, "-m", "bench.ingest_load", json.dumps(asked)], check=True, stdout=subprocess.PIPE
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _rate(name: str, measured: _Measured, limit: str, count: str) -> Row:
    ours, bare = (statistics.median(r[count] / r["seconds"] for r in measured[side]) for side in ("ours", "bare"))
    return row(name, ours, "events/s", limit, bare)


def _median(name: str, measured: _Measured, field: str, unit: str) -> Row:
    ours, bare = (statistics.median(r[field] for r in measured[side]) for side in ("ours", "bare"))
    return row(name, ours, unit, "bare_endpoint", bare)


def _home(home: Path) -> tuple[Settings, str]:
    """A home with one app; its settings and a new write key."""
    settings = load_settings({"UNMOGROWP_HOME": str(home), "UNMOGROWP_SALT": _SALT})
    key, stored = new_write_key("bench")
    save_apps(settings, (App(app_id=APP, platform="ios", write_keys=(stored,)),))
    return settings, key


def peak_mib(pid: int) -> float:
    """The most memory a process and its children ever had, each for itself, added."""
    return sum(_status_kib(member, "VmHWM:") for member in family(pid)) / 1024


def family(pid: int) -> list[int]:
    """A process and its children."""
    found = [pid]
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # the thread has ended
            found += [int(child) for child in file.read_text(encoding="utf-8").split()]
    return found


def _status_kib(pid: int, name: str) -> int:
    return int(Path(f"/proc/{pid}/status").read_text(encoding="utf-8").partition(name)[2].split()[0])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    write_without_endpoint(Path(sys.argv[1]), Path(sys.argv[2]))
