"""Load for the section `ingest`: seeded events of about 500 bytes, and a generator that speaks just enough HTTP.

The generator is a process of its own, `python -m bench.ingest_load`, with one thread and an epoll loop, so that it
costs the endpoint on the same cores as little as it can. It prints one JSON object.
"""

from __future__ import annotations

import json
import random
import selectors
import socket
import sys
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

APP: Final = "bench.game"
_PATIENCE_SECONDS: Final = 0.05
_START: Final = datetime(2026, 3, 1, tzinfo=UTC)


def events(count: int, seed: int = 1) -> list[bytes]:
    """Records as a mobile SDK sends them: sessions, events with properties, purchases, installs and clicks."""
    rng = random.Random(seed)
    return [json.dumps(_event(rng, number), separators=(",", ":")).encode() for number in range(count)]


def _event(rng: random.Random, number: int) -> dict[str, Any]:
    at = _START + timedelta(milliseconds=37 * number)
    record: dict[str, Any] = {
        "app_id": APP,
        "record_id": str(uuid.UUID(int=rng.getrandbits(128))),
        "platform": "ios",
        "event_at": _text(at),
        "sent_at": _text(at + timedelta(seconds=2)),
        "install_id": str(uuid.UUID(int=rng.getrandbits(128))),
        "idfv": str(uuid.UUID(int=rng.getrandbits(128))).upper(),
        "os_name": "iOS",
        "os_version": "18.2",
        "device_model": "iPhone15,2",
        "locale": "en-US",
        "country": "US",
    }
    kind = rng.random()
    app = {"app_version": "3.2.1", "session_id": str(rng.getrandbits(60))}
    if kind < 0.40:
        return record | app | {"record_type": "session", "session_length_s": rng.randrange(900)}
    if kind < 0.70:
        properties = {"level": rng.randrange(99), "world": "forest"}
        return record | app | {"record_type": "event", "event_name": "level_complete", "properties": properties}
    if kind < 0.75:
        money = {"revenue": rng.choice([0.99, 4.99, 9.99]), "currency": "USD", "product_id": f"gems_{rng.randrange(9)}"}
        return record | app | money | {"record_type": "event", "event_name": "purchase"}
    if kind < 0.80:
        return record | app | {"record_type": "install", "store": "app_store", "att_status": "denied"}
    return record | {
        "record_type": "click",
        "partner": "meta",
        "campaign_id": str(rng.randrange(999)),
        "campaign_name": "spring sale",
        "adset_id": str(rng.randrange(9_999)),
        "creative_id": str(rng.randrange(9_999)),
        "site_id": f"site{rng.randrange(99)}",
        "click_id": str(rng.getrandbits(64)),
        "ip": f"203.0.{rng.randrange(256)}.{rng.randrange(256)}",
    }


def _text(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass
class _Connection:
    socket: socket.socket
    since: float = 0.0
    message: bytes = b""
    answer: bytes = b""

    def send(self, message: bytes) -> None:
        self.message, self.answer, self.since = message, b"", time.perf_counter()
        self.socket.sendall(message)


def drive(
    port: int,
    key: str,
    *,
    connections: int,
    batch: int,
    seconds: float,
    requests: int | None,
    is_patient: bool = False,
) -> dict[str, Any]:
    """Keep one request in flight on each connection, for a time or a number of requests; counts and latencies.

    RuntimeError if an answer is not 200. A patient sender waits after 429 and sends the request again.
    """
    lines = events(20_000 if batch > 1 else 2_000)
    head = f"POST /v1/events HTTP/1.1\r\nhost: bench\r\nx-write-key: {key}\r\ncontent-type: application/x-ndjson\r\n"
    messages = []
    for start in range(0, len(lines), batch):
        body = b"\n".join(lines[start : start + batch])
        messages.append(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    selector = selectors.DefaultSelector()
    sent = done = refused = 0
    latencies: list[float] = []
    started = time.perf_counter()
    for _ in range(connections):
        link = socket.create_connection(("127.0.0.1", port))
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = _Connection(link)
        connection.send(messages[sent % len(messages)])
        sent += 1
        selector.register(link, selectors.EVENT_READ, connection)
    while done < sent:
        for ready, _ in selector.select():
            connection = ready.data
            received = connection.socket.recv(65_536)
            if not received:
                raise RuntimeError("the endpoint closed a connection")
            connection.answer += received
            if not _is_whole(connection.answer):
                continue
            if is_patient and connection.answer.startswith(b"HTTP/1.1 429"):
                refused += 1
                time.sleep(_PATIENCE_SECONDS)
                connection.send(connection.message)
                continue
            if not connection.answer.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(connection.answer[:300].decode())
            now = time.perf_counter()
            latencies.append(now - connection.since)
            done += 1
            if now - started < seconds and (requests is None or sent < requests):
                connection.send(messages[sent % len(messages)])
                sent += 1
            else:
                selector.unregister(connection.socket)
    elapsed = time.perf_counter() - started
    latencies.sort()
    return {
        "requests": done,
        "records": done * batch,
        "refused": refused,
        "seconds": elapsed,
        "p50_ms": 1_000 * latencies[len(latencies) // 2],
        "p99_ms": 1_000 * latencies[int(len(latencies) * 0.99)],
    }


def _is_whole(answer: bytes) -> bool:
    head, found, body = answer.partition(b"\r\n\r\n")
    if not found:
        return False
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    return len(body) >= int(length)


if __name__ == "__main__":
    options = json.loads(sys.argv[1])
    sys.stdout.write(json.dumps(drive(**options)))
