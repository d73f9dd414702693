"""What an operator watches, in Prometheus' text format: one object per endpoint, with a registry of its own."""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

from ingestion.disk import DiskGuard
from ingestion.limits import Budget
from ingestion.reasons import Reject
from ingestion.spool import Spool

_PREFIX: Final = "unmogrowp_ingest"
_ACK_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_LANDING_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """Counters of one endpoint. Label values are routes, codes and tables: never a key, an address or an id."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            f"{_PREFIX}_requests", "Requests by route and status", ["route", "status"], registry=registry
        )
        self.accepted = Counter(f"{_PREFIX}_records_accepted", "Records accepted", ["route"], registry=registry)
        self.rejected = Counter(
            f"{_PREFIX}_records_rejected", "Records rejected, by reason", ["route", "reason"], registry=registry
        )
        self.unrecorded_clicks = Counter(
            f"{_PREFIX}_unrecorded_clicks", "Clicks sent on to their store without a record", registry=registry
        )
        self.body_bytes = Counter(f"{_PREFIX}_body_bytes", "Body bytes after decompression", registry=registry)
        self.ack_seconds = Histogram(
            f"{_PREFIX}_ack_seconds", "Body read to answer durable", buckets=_ACK_BUCKETS, registry=registry
        )
        self.landed_rows = Counter(f"{_PREFIX}_landed_rows", "Rows committed to the lake", ["table"], registry=registry)
        self.landing_seconds = Histogram(
            f"{_PREFIX}_landing_seconds", "One landing of all tables", buckets=_LANDING_BUCKETS, registry=registry
        )
        self.landed_batch = Gauge(f"{_PREFIX}_landed_batch", "Number of the last landed batch", registry=registry)
        self.landing_failures = Gauge(f"{_PREFIX}_landing_failures", "Failed tries to land in a row", registry=registry)
        self.backlog_bytes = Gauge(f"{_PREFIX}_spool_backlog_bytes", "Bytes that have not landed", registry=registry)
        self.sealed_segments = Gauge(f"{_PREFIX}_spool_segments", "Segments waiting to land", registry=registry)
        self.rate_limited = Counter(
            f"{_PREFIX}_rate_limited", "Requests refused by a limit: address or key", ["limit"], registry=registry
        )
        self.in_flight = Gauge(f"{_PREFIX}_in_flight_requests", "Requests that are being answered", registry=registry)
        self.in_flight_bytes = Gauge(
            f"{_PREFIX}_in_flight_bytes", "Bytes of requests in memory, until durable", registry=registry
        )
        self.disk_free = Gauge(f"{_PREFIX}_disk_free_bytes", "Free bytes of the spool's disk", registry=registry)
        self.disk_refuses = Gauge(f"{_PREFIX}_spool_refuses", "1 while the spool cannot be written", registry=registry)
        self.oldest = Gauge(
            f"{_PREFIX}_spool_oldest_seconds", "Age of the oldest segment that waits to land", registry=registry
        )
        self.commit_seconds = Histogram(
            f"{_PREFIX}_commit_seconds",
            "One commit to one table",
            ["table"],
            buckets=_LANDING_BUCKETS,
            registry=registry,
        )
        self.files = Counter(f"{_PREFIX}_files_written", "Data files committed", ["table"], registry=registry)
        self.landing_errors = Counter(f"{_PREFIX}_landing_errors", "Landings that failed", registry=registry)
        self.lander_faults = Counter(
            f"{_PREFIX}_lander_faults", "Faults between endpoint and lander, by kind", ["fault"], registry=registry
        )
        self._children: dict[tuple[str, str], Counter] = {}
        self.damaged = Gauge(f"{_PREFIX}_spool_quarantined", "Damaged pieces kept in quarantine", registry=registry)

    def watch(self, spool: Spool) -> None:
        """Read the gauges from a spool whenever they are asked for."""
        self.backlog_bytes.set_function(lambda: spool.backlog)
        self.sealed_segments.set_function(lambda: len(spool.sealed))
        self.disk_refuses.set_function(lambda: spool.error is not None)
        self.oldest.set_function(lambda: _oldest_seconds(spool))
        self.damaged.set_function(lambda: len(list(spool.quarantine.glob("*.bin"))))

    def watch_requests(self, memory: Budget, in_flight: Callable[[], int], disk: DiskGuard) -> None:
        """Read the gauges of an endpoint whenever they are asked for."""
        self.in_flight_bytes.set_function(lambda: memory.held)
        self.in_flight.set_function(in_flight)
        self.disk_free.set_function(lambda: disk.free)

    def answered(self, route: str, status: int) -> None:
        """Count an answer."""
        child = self._children.get((route, str(status)))
        if child is None:
            child = self._children[route, str(status)] = self.requests.labels(route, str(status))
        child.inc()

    def count(self, route: str, accepted: int, rejects: list[Reject], body_bytes: int) -> None:
        """Count the outcome of a request whose frame is durable."""
        self.body_bytes.inc(body_bytes)
        if accepted:
            child = self._children.get((route, ""))
            if child is None:
                child = self._children[route, ""] = self.accepted.labels(route)
            child.inc(accepted)
        if rejects:
            for code, number in Tally(r.code for r in rejects).items():
                self.rejected.labels(route, code).inc(number)

    def landed(self, batch: int, rows: dict[str, int], seconds: float) -> None:
        """Count a landing."""
        self.landing_seconds.observe(seconds)
        self.landed_batch.set(batch)
        for table, number in rows.items():
            self.landed_rows.labels(table.partition("/")[2]).inc(number)

    def committed(self, table: str, files: int, seconds: float) -> None:
        """Count a commit to one table; `files` is 0 if an earlier try had made it."""
        name = table.partition("/")[2]
        self.commit_seconds.labels(name).observe(seconds)
        self.files.labels(name).inc(files)

    def text(self) -> bytes:
        return generate_latest(self.registry)


def _oldest_seconds(spool: Spool) -> float:
    """Seconds since the oldest sealed segment got its last frame; 0 if none waits."""
    for batch in spool.sealed:
        try:
            return max(0.0, time.time() - spool.path(batch).stat().st_mtime)
        except FileNotFoundError:
            continue  # landed meanwhile
    return 0.0
