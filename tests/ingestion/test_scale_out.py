"""Several endpoints, each with its own spool and writer id, land in the same tables on object storage.

The stand-in is moto's S3 server; it honours If-None-Match, on which commits of Delta stand.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from lakehouse.settings import Settings
from tests.ingestion.rig import Running, line, make_settings, register_apps, start_process

pytest.importorskip("moto.server", reason="needs moto[server]")
pytestmark = pytest.mark.slow

BUCKET = "lake"
REQUESTS, RECORDS = 60, 20  # by writer


class _OneWriteAtATime:
    """Object stores check and write at once; moto looks for the object first and writes later, so it gets a lock."""

    def __init__(self, application: Any) -> None:
        self._application, self._lock = application, threading.Lock()

    def __call__(self, environ: Any, start_response: Any) -> Any:
        if environ["REQUEST_METHOD"] == "GET":
            return self._application(environ, start_response)
        with self._lock:
            return self._application(environ, start_response)


@pytest.fixture
def store() -> Iterator[dict[str, str]]:
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    application = _OneWriteAtATime(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, application, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port)
    connection.request("POST", "/moto-api/reset")  # it keeps objects of earlier servers of the process
    assert connection.getresponse().read()
    connection.request("PUT", f"/{BUCKET}")
    assert connection.getresponse().status == 200
    yield {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test-secret",
        "AWS_REGION": "us-east-1",
        "aws_conditional_put": "etag",
    }
    server.shutdown()
    thread.join(10)


def table(store: dict[str, str], name: str) -> pa.Table:
    handle = DeltaTable(f"s3://{BUCKET}/tenant/bronze/{name}", storage_options=store)
    return pa.table(handle.to_pyarrow_table())


def send(running: Running, name: str) -> None:
    link = http.client.HTTPConnection(running.address.host, running.address.port, timeout=60)
    headers = {"authorization": f"Bearer {running.keys['game']}", "content-type": "application/x-ndjson"}
    for number in range(REQUESTS):
        body = b"\n".join(line(record_id=f"{name}-{number}-{i}") for i in range(RECORDS))
        link.request("POST", "/v1/events", body, headers)
        assert json.loads(link.getresponse().read())["accepted"] == RECORDS
        time.sleep(0.05)  # so that it takes several batches


def make_homes(folder: Path, store: dict[str, str], writers: int) -> list[tuple[Settings, dict[str, str]]]:
    options = ",".join(f"{name}={value}" for name, value in store.items())
    made = []
    for number in range(writers):
        settings = make_settings(
            folder / f"home{number}",
            lake=f"s3://{BUCKET}/tenant",
            storage_options=options,
            ingest_commit_seconds=0.3,
        )
        made.append((settings, register_apps(settings)))
    return made


@pytest.mark.parametrize("writers", [1, 2, 4])
def test_writers_on_the_same_tables_lose_nothing_and_double_nothing(
    tmp_path: Path, store: dict[str, str], writers: int, record_property: Any
) -> None:
    variables = {
        "UNMOGROWP_LAKE": f"s3://{BUCKET}/tenant",
        "UNMOGROWP_STORAGE_OPTIONS": ",".join(f"{name}={value}" for name, value in store.items()),
    }
    endpoints = [start_process(*home, **variables) for home in make_homes(tmp_path, store, writers)]
    started = time.monotonic()
    threads = [threading.Thread(target=send, args=(e, f"w{n}")) for n, e in enumerate(endpoints)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stops = [threading.Thread(target=endpoint.stop) for endpoint in endpoints]
    for stop in stops:
        stop.start()
    for stop in stops:
        stop.join()
    seconds = time.monotonic() - started
    assert [e.process.returncode for e in endpoints if e.process] == [0] * writers
    landed = Counter(table(store, "bronze_app_events").column("record_id").to_pylist())
    expected = {f"w{w}-{n}-{i}" for w in range(writers) for n in range(REQUESTS) for i in range(RECORDS)}
    assert set(landed) == expected
    assert set(landed.values()) == {1}
    receipts = table(store, "bronze_receipts").to_pylist()
    assert sum(r["accepted"] for r in receipts) == len(expected)
    assert len({r["writer"] for r in receipts}) == writers
    assert len({(r["writer"], r["batch"], r["route"]) for r in receipts}) == len(receipts)
    logs = "".join((e.settings.home / "endpoint.log").read_text() for e in endpoints)
    figures = {
        "writers": writers,
        "seconds": round(seconds, 1),
        "commits": sum(
            DeltaTable(f"s3://{BUCKET}/tenant/bronze/{name}", storage_options=store).version()
            for name in ("bronze_app_events", "bronze_receipts")
        ),
        "landings that were tried again": logs.count("did not land"),
    }
    record_property("figures", figures)
    print(figures)  # noqa: T201 - for who reads the report of a slow run
