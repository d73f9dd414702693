"""Section `ingest_soak`: ten minutes of full load, to see whether memory stays where it was.

The figure is the memory of the endpoint and its lander in the last minute as a ratio to the first.
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Final

from bench.ingest import endpoint, family, load
from bench.rows import Row, row

_MINUTES: Final = 10
# Landing is slower than the door, so full load fills any backlog; with this one it is full within the first minute,
# and the sender waits from then on, as one does that heeds 429.
_BACKLOG_BYTES: Final = 128 * 1024 * 1024


def run(minutes: int = _MINUTES) -> list[Row]:
    """Rows of the section, in so many minutes and the time it takes to land what is left.

    All that lands stays on the temporary disk until the end.
    """
    samples: list[tuple[float, float]] = []
    over = threading.Event()
    with (
        tempfile.TemporaryDirectory(prefix="unmogrowp-bench-") as folder,
        endpoint(Path(folder) / "home", UNMOGROWP_INGEST_BACKLOG_BYTES=str(_BACKLOG_BYTES)) as (process, port, key),
    ):
        watcher = threading.Thread(target=_watch, args=(process.pid, samples, over))
        watcher.start()
        try:
            done = load(port, key, connections=4, batch=1_000, seconds=60.0 * minutes, is_patient=True)
        finally:
            over.set()
            watcher.join()
    first = statistics.median(mib for at, mib in samples if at < 60)
    last = statistics.median(mib for at, mib in samples if at >= 60 * (minutes - 1))
    return [
        row(f"memory_of_minute_{minutes}", last, "MiB", "memory_of_minute_1", first),
        row("most_memory", max(mib for _, mib in samples), "MiB"),
        row("events", done["records"] / done["seconds"], "events/s"),
        row("requests_told_to_wait", done["refused"], "requests"),
    ]


def _watch(pid: int, samples: list[tuple[float, float]], over: threading.Event) -> None:
    started = time.monotonic()
    while not over.wait(1.0):
        shared = sum(_pss_kib(member) for member in family(pid))
        samples.append((time.monotonic() - started, shared / 1024))


def _pss_kib(pid: int) -> int:
    """Memory of a process with its part of what it shares; 0 if it is gone."""
    try:
        found = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").partition("\nPss:")[2].split()
    except OSError:
        return 0
    return int(found[0]) if found else 0
