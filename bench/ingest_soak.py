"""Section `ingest_soak`: ten minutes of full load, to see whether memory stays where it was.

The figure is the memory of the endpoint and its lander in the last minute as a ratio to the first.
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Final

from bench.ingest import UNLIMITED, endpoint, family, load

_MINUTES: Final = 10


def run() -> list[dict[str, Any]]:
    """Rows of the section; ten minutes."""
    samples: list[tuple[float, float]] = []
    over = threading.Event()
    with (
        tempfile.TemporaryDirectory(prefix="unmogrowp-bench-") as folder,
        endpoint(Path(folder) / "home") as (process, port, key),
    ):
        watcher = threading.Thread(target=_watch, args=(process.pid, samples, over))
        watcher.start()
        done = load(port, key, connections=4, batch=1_000, seconds=60.0 * _MINUTES)
        over.set()
        watcher.join()
    first = statistics.median(mib for at, mib in samples if at < 60)
    last = statistics.median(mib for at, mib in samples if at >= 60 * (_MINUTES - 1))
    return [
        {
            "name": "memory_of_minute_10",
            "value": last,
            "unit": "MiB",
            "limit_name": "memory_of_minute_1",
            "limit_value": first,
            "ratio": last / first,
        },
        UNLIMITED | {"name": "most_memory", "value": max(mib for _, mib in samples), "unit": "MiB"},
        UNLIMITED | {"name": "events", "value": done["records"] / done["seconds"], "unit": "events/s"},
    ]


def _watch(pid: int, samples: list[tuple[float, float]], over: threading.Event) -> None:
    started = time.monotonic()
    while not over.wait(1.0):
        shared = sum(_pss_kib(member) for member in family(pid))
        samples.append((time.monotonic() - started, shared / 1024))


def _pss_kib(pid: int) -> int:
    """Memory of a process with its part of what it shares; 0 if it is gone."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
    except OSError:
        return 0
    return int(text.partition("\nPss:")[2].split()[0])
