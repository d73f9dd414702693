"""Senders that keep an endpoint busy and remember what was acknowledged, for whoever counts afterwards."""

from __future__ import annotations

import http.client
import json
import threading
import time
from dataclasses import dataclass

from tests.ingestion.rig import APP, Running, line

RECORDS = 5  # in a request, of which one is refused
_SENDERS = 3
_PAUSE_SECONDS = 0.02  # so that landing keeps up, also on a machine that has more to do


@dataclass(frozen=True)
class Sent:
    """When an acknowledged request was received, by the endpoint's clock: not before, not after (Unix seconds)."""

    earliest: float
    latest: float


class Crowd:
    """Senders of requests that are each sent once: what is not acknowledged is not tried again."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.acknowledged: dict[str, Sent] = {}
        self.refused = 0
        self.wrong: list[bytes] = []  # answers that should never come
        self.clock = (0.0, 0.0)  # seconds by which the endpoint's clock may be wrong now, least and most
        self._number = 0
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def start(self, running: Running) -> None:
        """Send until the endpoint is gone."""
        self._threads = [threading.Thread(target=self._send, args=(running,), daemon=True) for _ in range(_SENDERS)]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Wait until all have noticed that the endpoint is gone."""
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a request was never answered"

    def _send(self, running: Running) -> None:
        connection = http.client.HTTPConnection(running.address.host, running.address.port, timeout=30)
        headers = {"authorization": f"Bearer {running.keys['game']}", "content-type": "application/x-ndjson"}
        while True:
            with self._lock:
                self._number += 1
                name = f"{self.name}{self._number}"
            lines = [line(record_id=f"{name}-{i}") for i in range(RECORDS - 1)]
            lines.append(json.dumps({"app_id": APP, "record_id": f"{name}-bad"}).encode())
            began, clock = time.time(), self.clock
            try:
                connection.request("POST", "/v1/events", b"\n".join(lines), headers)
                response = connection.getresponse()
                answer = response.read()
            except (OSError, http.client.HTTPException):
                return
            ended, clocks = time.time(), (*clock, *self.clock)
            with self._lock:
                if response.status == 207 and json.loads(answer)["accepted"] == RECORDS - 1:
                    self.acknowledged[name] = Sent(began + min(clocks), ended + max(clocks))
                elif response.status in (429, 503):
                    self.refused += 1
                else:
                    self.wrong.append(answer)
            time.sleep(_PAUSE_SECONDS)
