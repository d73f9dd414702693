"""The HTTP contract: every route, every way to bring a body and a key, every refusal."""

from __future__ import annotations

import base64
import gzip
import http.client
import json
import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import zstandard

from ingestion.reasons import REQUEST_REASONS
from tests.ingestion.rig import APP, Running, bronze, line, make_settings, record, start_thread


def lines(prefix: str, count: int) -> list[bytes]:
    return [line(record_id=f"{prefix}-{i}") for i in range(count)]


def counted(endpoint: Running) -> list[bytes]:
    """The metrics of records that were taken or rejected."""
    text = endpoint.request("GET", "/metrics").body
    return [row for row in text.splitlines() if row.startswith(b"unmogrowp_ingest_records")]


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/openapi.json", {}, 200),
        ("PUT", "/v1/events", {}, 405),
        ("POST", "/nowhere", {}, 404),
        ("POST", "/v1/events", {"content-type": "image/png"}, 415),
        ("POST", "/v1/events", {"content-type": "application/json", "authorization": "Bearer wrong"}, 401),
    ],
)
def test_a_body_that_nobody_asked_for_is_taken_off_the_connection(
    endpoint: Running, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    connection = http.client.HTTPConnection(endpoint.address.host, endpoint.address.port, timeout=30)
    connection.putrequest(method, path)
    for name, value in (headers | {"content-length": "9"}).items():
        connection.putheader(name, value)
    connection.endheaders()
    time.sleep(0.3)  # time enough to answer and to close
    connection.send(b"late body")
    answer = connection.getresponse()
    assert (answer.status, answer.will_close) == (status, False)
    answer.read()
    connection.auto_open = 0
    connection.request("GET", "/healthz")
    assert connection.getresponse().status == 200
    connection.close()


def test_a_long_answer_reaches_a_sender_whose_body_nobody_asked_for(endpoint: Running) -> None:
    pages = {endpoint.request("GET", "/openapi.json", b"unasked").body for _ in range(300)}
    assert len(pages) == 1


def test_pages(endpoint: Running) -> None:
    assert endpoint.request("GET", "/healthz", key=None).json == {"alive": True}
    assert endpoint.request("GET", "/readyz", key=None).json == {"ready": True, "reason": None}
    page = endpoint.request("GET", "/openapi.json", key=None)
    assert (page.status, page.json["openapi"]) == (200, "3.1.0")
    metrics = endpoint.request("GET", "/metrics", key=None)
    assert metrics.headers["content-type"].startswith("text/plain")
    assert b'unmogrowp_ingest_requests_total{route="/healthz",status="200"}' in metrics.body


@pytest.mark.parametrize(
    ("body", "content_type", "count"),
    [
        (lines("object", 1)[0], "application/json", 1),
        (json.dumps(record(record_id="pretty-0"), indent=2).encode(), "application/json", 1),
        (b"[" + b",\n".join(lines("array", 3)) + b"]", "application/json; charset=utf-8", 3),
        (b"\n".join(lines("ndjson", 3)), "application/x-ndjson", 3),
        (b"\r\n".join(lines("crlf", 3)) + b"\r\n\r\n", "application/x-ndjson", 3),
        (b"\n".join(lines("jsonlines", 3)), "application/json", 3),
        (b"\xef\xbb\xbf" + lines("bom", 1)[0], "application/json", 1),
        (lines("beacon", 1)[0], "text/plain;charset=UTF-8", 1),
        (b"[]", "application/json", 0),
    ],
    ids=["object", "pretty", "array", "ndjson", "crlf", "jsonlines", "bom", "beacon", "empty array"],
)
def test_bodies_of_every_shape(endpoint: Running, body: bytes, content_type: str, count: int) -> None:
    reply = endpoint.post(body, content_type=content_type)
    assert (reply.status, reply.json["accepted"], reply.json["rejected"]) == (200, count, 0)
    assert reply.headers["x-request-id"] == reply.json["request_id"]
    rows = endpoint.wait_landed("bronze_app_events", f"request_id = '{reply.json['request_id']}'", count)
    assert len({row["record_id"] for row in rows}) == count


@pytest.mark.parametrize(
    ("encoding", "encode"),
    [
        ("gzip", gzip.compress),
        ("gzip", lambda body: gzip.compress(body[:100]) + gzip.compress(body[100:])),
        ("zstd", zstandard.compress),
        ("zstd", lambda body: zstandard.compress(body[:100]) + zstandard.compress(body[100:])),
        ("zstd", lambda body: zstandard.ZstdCompressor(write_content_size=False).compress(body)),
        ("identity", bytes),
    ],
    ids=["gzip", "gzip members", "zstd", "zstd frames", "zstd without size", "identity"],
)
def test_compressed_bodies(endpoint: Running, encoding: str, encode: Any) -> None:
    body = encode(b"\n".join(lines("packed", 20)))
    assert endpoint.post(body, content_encoding=encoding).json["accepted"] == 20


def test_a_chunked_body(endpoint: Running) -> None:
    connection = http.client.HTTPConnection(endpoint.address.host, endpoint.address.port, timeout=10)
    headers = {"authorization": f"Bearer {endpoint.keys['game']}", "content-type": "application/x-ndjson"}
    parts = iter([line(record_id="chunk-1") + b"\n", line(record_id="chunk-2")])
    connection.request("POST", "/v1/events", parts, headers, encode_chunked=True)
    assert json.loads(connection.getresponse().read())["accepted"] == 2


@pytest.mark.parametrize("framing", ["content-length: 5000\r\n\r\n", "transfer-encoding: chunked\r\n\r\n1388\r\n"])
def test_a_sender_that_goes_away_leaves_nothing(endpoint: Running, framing: str) -> None:
    import socket

    before = counted(endpoint)
    head = "POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-ndjson\r\n"
    with socket.create_connection((endpoint.address.host, endpoint.address.port)) as link:
        link.sendall(
            f"{head}x-write-key: {endpoint.keys['game']}\r\n{framing}".encode() + line(record_id="half") + b"\n{"
        )
        time.sleep(0.2)
    deadline = time.monotonic() + 5
    closed = re.compile(rb'route="/v1/events",status="499"} [1-9]')
    while not closed.search(endpoint.request("GET", "/metrics").body) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert closed.search(endpoint.request("GET", "/metrics").body)
    assert counted(endpoint) == before
    assert bronze(endpoint.settings, "bronze_app_events", "record_id = 'half'") == []


def test_answers_by_outcome(endpoint: Running) -> None:
    good, bad = line(record_id="outcome"), b"{}"
    assert endpoint.post(good).status == 200
    assert endpoint.post(good + b"\n" + bad).status == 207
    assert endpoint.post(bad).status == 422
    assert endpoint.post(b"[").status == 400


def basic(key: str) -> str:
    return "Basic " + base64.b64encode(f"{key}:".encode()).decode()


def test_a_write_key_comes_in_three_ways(endpoint: Running) -> None:
    key = endpoint.keys["game"]
    for headers in ({"authorization": f"Bearer {key}"}, {"authorization": basic(key)}, {"x_write_key": key}):
        assert endpoint.post(line(record_id="key"), key=None, **headers).status == 200


def code(reply: Any) -> str:
    return str(reply.json["error"]["code"])


@pytest.mark.parametrize("path", ["/v1/events", "/v1/batch", "/v1/track"])
@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"key": None}, "unauthorized"),
        ({"key": "wrong"}, "unauthorized"),
        ({"key": "old"}, "unauthorized"),
        ({"key": None, "authorization": "Basic %%%"}, "unauthorized"),
        ({"key": None, "authorization": "Digest x"}, "unauthorized"),
        ({"key": "links"}, "forbidden"),
    ],
    ids=["none", "unknown", "expired", "garbled", "other scheme", "other scope"],
)
def test_a_key_that_may_not_is_refused(endpoint: Running, path: str, headers: dict[str, Any], expected: str) -> None:
    reply = endpoint.post(b'{"batch": []}', path, **headers)
    assert (reply.status, code(reply)) == (REQUEST_REASONS[expected][0], expected)


def test_unknown_routes_and_methods(endpoint: Running) -> None:
    assert code(endpoint.post(b"{}", "/v2/events")) == "not_found"
    assert code(endpoint.request("GET", "/v1/events")) == "method_not_allowed"
    assert endpoint.request("GET", "/v1/events").headers["allow"] == "POST"
    assert code(endpoint.post(b"{}", "/healthz")) == "method_not_allowed"


def test_media_types_and_encodings(endpoint: Running) -> None:
    assert code(endpoint.post(b"a=b", content_type="application/x-www-form-urlencoded")) == "unsupported_media_type"
    assert code(endpoint.post(b"", content_encoding="br")) == "unsupported_encoding"


@pytest.mark.parametrize("encoding", ["identity", "gzip", "zstd"])
def test_a_body_beyond_the_limit_is_refused_and_leaves_a_metric_only(endpoint: Running, encoding: str) -> None:
    before = counted(endpoint)
    body = b" " * (endpoint.settings.ingest_max_body_bytes + 1)
    packed = {"identity": bytes, "gzip": gzip.compress, "zstd": zstandard.compress}[encoding](body)
    reply = endpoint.post(packed, content_encoding=encoding)
    assert (reply.status, code(reply)) == (413, "body_too_large")
    assert b'route="/v1/events",status="413"' in endpoint.request("GET", "/metrics").body
    assert counted(endpoint) == before


def test_a_bomb_is_refused_without_being_inflated(endpoint: Running) -> None:
    bomb = gzip.compress(b"\0" * 50_000_000, compresslevel=1)
    assert len(bomb) < endpoint.settings.ingest_max_body_bytes
    assert code(endpoint.post(bomb, content_encoding="gzip")) == "body_too_large"


def test_too_many_records_are_refused(endpoint: Running) -> None:
    assert code(endpoint.post(b"1\n" * 60_000, content_type="application/x-ndjson")) == "too_many_records"
    assert code(endpoint.post(b"[" + b"1," * 60_000 + b"1]")) == "too_many_records"


def test_a_server_sends_for_devices_and_an_sdk_is_the_device(endpoint: Running) -> None:
    agent = "Mozilla/5.0 (Linux; Android 14; Pixel 8 Build/UD1A) AppleWebKit"
    server = endpoint.post(line(record_id="from-server"), user_agent=agent).json["request_id"]
    sdk = endpoint.post(line(record_id="from-sdk"), user_agent=agent, x_event_source="sdk").json["request_id"]
    (first,) = endpoint.wait_landed("bronze_app_events", f"request_id = '{server}'", 1)
    assert (first["source"], first["ip_prefix"], first["os_name"]) == ("s2s", None, None)
    (second,) = endpoint.wait_landed("bronze_app_events", f"request_id = '{sdk}'", 1)
    assert (second["source"], second["ip_prefix"], second["ip_hash"] is None) == ("sdk", "127.0.0.0/24", False)
    assert (second["os_name"], second["os_version"], second["device_model"]) == ("Android", "14", "Pixel 8")
    (network,) = endpoint.wait_landed("bronze_network", "record_id = 'from-sdk'", 1)
    assert (network["ip"], network["user_agent"]) == ("127.0.0.1", agent)


def test_keys_are_added_and_withdrawn_without_a_restart(endpoint: Running) -> None:
    import time

    from lakehouse.apps import load_apps, new_write_key, save_apps

    before = tuple(load_apps(endpoint.settings).apps.values())
    key, stored = new_write_key("new")
    changed = tuple(
        app.model_copy(update={"write_keys": (*app.write_keys, stored)}) if app.app_id == APP else app for app in before
    )
    assert endpoint.post(line(record_id="rotate"), key=key).status == 401
    save_apps(endpoint.settings, changed)
    time.sleep(1.1)
    assert endpoint.post(line(record_id="rotate"), key=key).status == 200
    save_apps(endpoint.settings, before)
    time.sleep(1.1)
    assert endpoint.post(line(record_id="rotate"), key=key).status == 401


def test_many_senders_at_once(endpoint: Running) -> None:
    statuses: list[int] = []

    def send(number: int) -> None:
        statuses.extend(endpoint.post(line(record_id=f"many-{number}-{i}")).status for i in range(10))

    threads = [threading.Thread(target=send, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 80
    rows = endpoint.wait_landed("bronze_app_events", "starts_with(record_id, 'many-')", 80)
    assert len({row["record_id"] for row in rows}) == len(rows) == 80


def test_a_full_spool_asks_to_come_again_and_keeps_what_it_has(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, ingest_commit_seconds=60, ingest_backlog_bytes=5_000)
    with start_thread(settings) as running:
        statuses = [running.post(line(record_id=f"r{i}", properties={"a": "x" * 500})).status for i in range(10)]
        taken = statuses.count(200)
        assert statuses == [200] * taken + [429] * (10 - taken)
        assert 0 < taken < 10
        reply = running.post(line(properties={"a": "x" * 3_000}))
        assert (reply.status, code(reply), reply.headers["retry-after"]) == (429, "backlog", "1")
        metrics = running.request("GET", "/metrics").body
        assert re.search(rb"spool_backlog_bytes [1-9]", metrics)
    assert len(bronze(settings, "bronze_app_events")) == taken


def test_a_draining_endpoint_answers_503_and_finishes_what_it_began(tmp_path: Path) -> None:
    import socket

    settings = make_settings(tmp_path)
    body = line(record_id="slow")
    with start_thread(settings) as running:
        link = socket.create_connection((running.address.host, running.address.port))
        head = f"POST /v1/events HTTP/1.1\r\nhost: x\r\nx-write-key: {running.keys['game']}\r\n"
        link.sendall(f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode())
        time.sleep(0.2)
        running.begin_stop()
        time.sleep(0.2)
        reply = running.post(line(record_id="late"))
        assert (reply.status, code(reply), reply.headers["retry-after"]) == (503, "unavailable", "1")
        assert running.request("GET", "/readyz").json == {"ready": False, "reason": "draining"}
        link.sendall(body)
        assert link.recv(1_000).startswith(b"HTTP/1.1 200")
        link.close()
    assert [r["record_id"] for r in bronze(settings, "bronze_app_events")] == ["slow"]
