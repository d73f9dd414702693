"""A small sender of batches, for files and simulations: keeps its connection, waits when the endpoint says so.

Standard library only; not a device SDK.
"""

from __future__ import annotations

import gzip
import http.client
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

_AGAIN: Final = frozenset({429, 502, 503, 504})
_TAKEN: Final = frozenset({200, 207, 400, 422})
_LONGEST_PAUSE: Final = 5.0


class SendFailed(Exception):  # noqa: N818 - reads as what happened
    """The endpoint refused the request, or could not be reached in time."""


@dataclass(frozen=True, slots=True)
class Sent:
    """The endpoint's answer to one batch: accepted + rejected = received; `errors` name the rejected records."""

    accepted: int
    rejected: int
    errors: list[dict[str, Any]]


class BatchSender:
    """Sends NDJSON to `POST /v1/events` of one endpoint with one write key. Not for several threads at once."""

    def __init__(
        self,
        address: str,
        write_key: str,
        *,
        compress: bool = False,
        timeout_seconds: float = 60.0,
        retry_seconds: float = 60.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`address` is the base URL; a batch is tried again for `retry_seconds` when the endpoint is busy or away."""
        parts = urlsplit(address)
        connection = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = connection(parts.hostname or "127.0.0.1", parts.port, timeout=timeout_seconds)
        self._compress, self._retry_seconds, self._sleep = compress, retry_seconds, sleep
        self._headers = {"authorization": f"Bearer {write_key}", "content-type": "application/x-ndjson"}
        if compress:
            self._headers["content-encoding"] = "gzip"

    def send(self, body: bytes) -> Sent:
        """Send one body of NDJSON and wait until it is durable. SendFailed if it cannot be delivered.

        A batch whose answer was lost is sent again: its records may be in bronze twice, and are counted once.
        """
        data = gzip.compress(body, compresslevel=1) if self._compress else body
        deadline = time.monotonic() + self._retry_seconds
        pause = 0.1
        while True:
            try:
                self._connection.request("POST", "/v1/events", data, self._headers)
                response = self._connection.getresponse()
                status, answer = response.status, response.read()
                wait = response.headers.get("retry-after")
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                status, answer, wait = 503, repr(error).encode(), None
            if status in _TAKEN:
                return msgspec.json.decode(answer, type=Sent)
            if status not in _AGAIN or time.monotonic() > deadline:
                raise SendFailed(f"the endpoint answered {status}: {answer[:300].decode(errors='replace')}")
            self._sleep(min(float(wait) if wait and wait.isdigit() else pause, _LONGEST_PAUSE))
            pause = min(2 * pause, _LONGEST_PAUSE)

    def send_ndjson(self, lines: Iterable[bytes], *, batch: int = 1_000) -> tuple[int, int]:
        """Send lines in batches; how many were accepted and rejected."""
        accepted = rejected = 0
        waiting: list[bytes] = []
        for line in lines:
            waiting.append(line.rstrip(b"\n"))
            if len(waiting) == batch:
                sent = self.send(b"\n".join(waiting))
                accepted, rejected = accepted + sent.accepted, rejected + sent.rejected
                waiting.clear()
        if waiting:
            sent = self.send(b"\n".join(waiting))
            accepted, rejected = accepted + sent.accepted, rejected + sent.rejected
        return accepted, rejected

    def close(self) -> None:
        self._connection.close()
