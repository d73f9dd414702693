"""SIGTERM under load: everything acknowledged is in Delta afterwards, and what comes late is told to come again."""

from __future__ import annotations

import http.client
import json
import signal
import threading
import time
from pathlib import Path

from tests.ingestion.rig import Running, bronze, line, make_settings, register_apps, start_process, start_thread


class Senders:
    """Send until the port is closed; remember what was acknowledged and what was refused."""

    def __init__(self, running: Running, count: int) -> None:
        self.acknowledged: set[str] = set()
        self.refused: list[tuple[int, str | None]] = []
        self._running, self._lock, self._end = running, threading.Lock(), threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(n,), daemon=True) for n in range(count)]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(30)

    def _send(self, number: int) -> None:
        headers = {"authorization": f"Bearer {self._running.keys['game']}", "content-type": "application/x-ndjson"}
        address = self._running.address
        sent = 0
        while not self._end.is_set():
            connection = http.client.HTTPConnection(address.host, address.port, timeout=20)
            name = f"s{number}-{sent}"
            sent += 1
            try:
                connection.request(
                    "POST", "/v1/events", b"\n".join(line(record_id=f"{name}-{i}") for i in range(5)), headers
                )
                reply = connection.getresponse()
                body = reply.read()
            except (OSError, http.client.HTTPException):
                time.sleep(0.01)
                continue
            finally:
                connection.close()
            with self._lock:
                if reply.status == 200:
                    assert json.loads(body)["accepted"] == 5
                    self.acknowledged.add(name)
                else:
                    self.refused.append((reply.status, reply.getheader("retry-after")))


def test_a_stop_under_load_loses_nothing(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "home", ingest_commit_seconds=30)
    running = start_process(settings, register_apps(settings), UNMOGROWP_INGEST_DRAIN_SECONDS="0.5")
    assert running.process is not None
    senders = Senders(running, 6)
    deadline = time.monotonic() + 20
    while len(senders.acknowledged) < 50 and time.monotonic() < deadline:
        time.sleep(0.02)
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(60) == 0, (settings.home / "endpoint.log").read_text()
    senders.join()
    landed = sorted(row["record_id"] for row in bronze(settings, "bronze_app_events"))
    assert len(senders.acknowledged) >= 50
    assert landed == sorted(f"{name}-{i}" for name in senders.acknowledged for i in range(5))
    assert senders.refused, "nobody was told to come again"
    assert set(senders.refused) == {(503, "1")}
    assert [path.stat().st_size for path in (settings.spool_dir / "ingest").glob("*.seg")] == [0]


def test_a_balancer_has_time_to_notice_before_the_port_closes(tmp_path: Path) -> None:
    with start_thread(make_settings(tmp_path, ingest_drain_seconds=1)) as running:
        assert running.request("GET", "/readyz").status == 200
        running.begin_stop()
        deadline = time.monotonic() + 10
        while running.request("GET", "/readyz").status == 200 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert running.request("GET", "/readyz").json == {"ready": False, "reason": "draining"}
        reply = running.post(line())
        assert (reply.status, reply.headers["retry-after"], reply.headers["connection"]) == (503, "1", "close")
