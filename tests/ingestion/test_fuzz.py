"""Whatever is sent to whatever route: an answer in time, never a fault of ours, and every record accounted for."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion.openapi import openapi_page
from ingestion.records import RULES
from tests.ingestion.rig import Reply, Running, record

PATHS = sorted(json.loads(openapi_page())["paths"])
NAMES = sorted({name for rules in RULES.values() for name in rules.names} | {"record_type", "nobody_knows_it"})
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
# Records that are nearly right get further than noise does.
NEARLY = st.dictionaries(st.sampled_from(NAMES), JSON, max_size=6).map(lambda changed: record(**changed))
CONTENT = st.sampled_from(["application/json", "application/x-ndjson", "text/plain", "image/png", ""])
ENCODINGS = st.sampled_from(["identity", "gzip", "zstd", "br"])
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
LONG = settings(QUICK, max_examples=3_000)


def pack(body: bytes, encoding: str) -> bytes:
    if encoding == "gzip":
        return gzip.compress(body)
    return zstandard.compress(body) if encoding == "zstd" else body


def send(running: Running, method: str, path: str, body: bytes, content_type: str, encoding: str) -> Reply:
    return running.request(method, path, body, content_type=content_type, content_encoding=encoding)


def check_any_request(endpoint: Running, method: str, path: str, body: bytes, content: str, encoding: str) -> None:
    path = path.replace("{app}", "game.ios")
    for sent in (body, pack(body, encoding)):
        reply = send(endpoint, method, path, sent, content, encoding)
        assert reply.status < 500, (reply.status, reply.body)
        assert "x-request-id" in reply.headers


def check_records(endpoint: Running, records: list[Any], content: str, encoding: str) -> None:
    lines = [json.dumps(value, allow_nan=True) for value in records]
    body = ("\n".join(lines) if "ndjson" in content else f"[{','.join(lines)}]").encode("utf-8", "surrogatepass")
    reply = send(endpoint, "POST", "/v1/events", pack(body, encoding), content, encoding)
    assert reply.status in (200, 207, 400, 422), (reply.status, reply.body)
    answer = reply.json
    if reply.status == 400:
        assert (answer["accepted"], answer["rejected"]) == (0, 1)  # the body as a whole
        return
    assert answer["accepted"] + answer["rejected"] == len(records)
    assert len(answer["errors"]) == answer["rejected"]
    assert all(0 <= error["position"] < len(records) and error["message"] for error in answer["errors"])


any_request = given(
    method=st.sampled_from(["GET", "POST", "PUT", "HEAD", "OPTIONS"]),
    path=st.sampled_from(PATHS),
    body=st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass")),
    content=CONTENT,
    encoding=ENCODINGS,
)
some_records = given(
    records=st.lists(NEARLY | JSON, min_size=1, max_size=9),
    content=st.sampled_from(["application/json", "application/x-ndjson"]),
    encoding=st.sampled_from(["identity", "gzip", "zstd"]),
)


@QUICK
@any_request
def test_no_request_is_a_fault_of_ours(
    endpoint: Running, method: str, path: str, body: bytes, content: str, encoding: str
) -> None:
    check_any_request(endpoint, method, path, body, content, encoding)


@QUICK
@some_records
def test_every_record_is_accepted_or_rejected(
    endpoint: Running, records: list[Any], content: str, encoding: str
) -> None:
    check_records(endpoint, records, content, encoding)


@pytest.mark.slow
@pytest.mark.timeout(900)
@LONG
@any_request
def test_no_request_of_thousands_is_a_fault_of_ours(
    endpoint: Running, method: str, path: str, body: bytes, content: str, encoding: str
) -> None:
    check_any_request(endpoint, method, path, body, content, encoding)


@pytest.mark.slow
@pytest.mark.timeout(900)
@LONG
@some_records
def test_every_record_of_thousands_is_accepted_or_rejected(
    endpoint: Running, records: list[Any], content: str, encoding: str
) -> None:
    check_records(endpoint, records, content, encoding)
