"""The batch sender: delivers, waits when it is told to, and gives up with a sentence."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ingestion.client import BatchSender, SendFailed
from tests.ingestion.rig import Running, line


def test_lines_are_sent_in_batches(endpoint: Running) -> None:
    for compress in (False, True):
        sender = BatchSender(endpoint.address.url, endpoint.keys["game"], compress=compress)
        lines = [line(record_id=f"client-{compress}-{i}") + b"\n" for i in range(25)]
        assert sender.send_ndjson([*lines, b"bad"], batch=10) == (25, 1)
        sender.close()
        where = f"starts_with(record_id, 'client-{compress}-')"
        assert len(endpoint.wait_landed("bronze_app_events", where, 25)) == 25


def test_rejected_records_are_named(endpoint: Running) -> None:
    sent = BatchSender(endpoint.address.url, endpoint.keys["game"]).send(b"{}")
    assert (sent.accepted, sent.rejected, sent.errors[0]["code"]) == (0, 1, "missing_field")


def test_a_wrong_key_is_not_tried_again(endpoint: Running) -> None:
    with pytest.raises(SendFailed, match="401"):
        BatchSender(endpoint.address.url, "wrong").send(b"{}")


class _Busy(BaseHTTPRequestHandler):
    """Answers as an endpoint with a full spool does, a number of times; then drops a connection; then takes."""

    answers: Iterator[int]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        status = next(self.answers)
        if status == 0:
            self.connection.close()
            return
        body = b'{"accepted":1,"rejected":0,"errors":[]}'
        self.send_response(status)
        self.send_header("retry-after", "3")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_a_busy_endpoint_is_waited_for() -> None:
    _Busy.answers = iter([429, 503, 0, 200])
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Busy)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    pauses: list[float] = []
    sender = BatchSender(f"http://127.0.0.1:{server.server_port}", "key", sleep=pauses.append)
    assert sender.send(b"{}").accepted == 1
    assert pauses[:2] == [3.0, 3.0]
    assert len(pauses) == 3
    server.shutdown()


def test_an_endpoint_that_is_away_is_given_up() -> None:
    sender = BatchSender("http://127.0.0.1:9", "key", retry_seconds=0.2)
    with pytest.raises(SendFailed, match="refused"):
        sender.send(b"{}")
