"""Who may ask how often: buckets, addresses behind proxies, memory, and what a sender is told."""

from __future__ import annotations

import gzip
import http.client
import random
import socket
import time
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from ingestion.limits import BURST_SECONDS, Budget, Hold, Limiter, MemoryFull
from ingestion.peers import Peers, bucket_of, parse_address
from tests.ingestion.rig import Running, line, make_settings, start_thread


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_gives_a_burst_and_then_its_rate() -> None:
    clock = Clock()
    limiter = Limiter(10, monotonic=clock)
    taken = [limiter.wait("a") for _ in range(60)]
    assert taken[:50] == [0.0] * 50
    assert all(seconds > 0 for seconds in taken[50:])
    clock.now += taken[-1] + 1e-6
    assert limiter.wait("a") == 0.0
    assert limiter.wait("a") > 0
    assert limiter.wait("b") == 0.0
    assert Limiter(0).wait("a") == 0.0


def test_a_sender_never_gets_more_than_burst_and_rate_over_any_time() -> None:
    rng, clock = random.Random(7), Clock()
    limiter = Limiter(5, monotonic=clock)
    taken: list[float] = []
    for _ in range(3_000):
        clock.now += rng.choice([0.0, 0.01, 0.02, 0.1, 0.3, 0.3, 4.0]) * rng.random()
        if not limiter.wait("a"):
            taken.append(clock.now)
    for first in range(0, len(taken), 7):
        for last in range(first, min(first + 120, len(taken))):
            allowed = 5 * (BURST_SECONDS + taken[last] - taken[first])
            assert last - first + 1 <= allowed + 1 + 1e-6


def test_a_rate_below_one_in_a_burst_still_lets_one_through() -> None:
    clock = Clock()
    limiter = Limiter(0.01, monotonic=clock)
    assert limiter.wait("a") == 0.0
    assert limiter.wait("a") == pytest.approx(100)
    clock.now += 100
    assert limiter.wait("a") == 0.0


def test_many_addresses_make_the_limiter_stricter_and_not_larger() -> None:
    clock = Clock()
    limiter = Limiter(1, max_senders=100, monotonic=clock)
    for _ in range(4):
        limiter.wait("known")
    passed = sum(limiter.wait(f"attacker-{n}") == 0.0 for n in range(10_000))
    assert len(limiter) <= 2 * 100 + 2
    assert passed < 110  # each remembered one once, all others together one burst
    assert limiter.wait("known") == 0.0  # the fifth of its own bucket, not of the crowd's
    assert limiter.wait("known") > 0
    clock.now += 3 * BURST_SECONDS
    assert limiter.wait("new") == 0.0
    assert len(limiter) == 1


def test_a_budget_is_given_back_whatever_happens() -> None:
    budget = Budget(100)
    with Hold(budget) as first:
        first.add(60)
        with Hold(budget) as second:
            second.add(30)
            with pytest.raises(MemoryFull):
                second.add(30)
            assert budget.held == 90
        assert budget.held == 60
    assert budget.held == 0


class Headers:
    def __init__(self, *lines: str) -> None:
        self._lines = list(lines)

    def get_all(self, name: str) -> list[str]:
        return self._lines


@pytest.mark.parametrize(
    ("trusted", "client", "lines", "expected"),
    [
        ("", "198.51.100.7:5", ["203.0.113.1"], "198.51.100.7"),
        ("10.0.0.0/8", "198.51.100.7:5", ["203.0.113.1"], "198.51.100.7"),
        ("10.0.0.0/8", "10.1.2.3:5", [], "10.1.2.3"),
        ("10.0.0.0/8", "10.1.2.3:5", ["203.0.113.1"], "203.0.113.1"),
        ("10.0.0.0/8", "10.1.2.3:5", ["6.6.6.6, 203.0.113.1"], "203.0.113.1"),
        ("10.0.0.0/8", "10.1.2.3:5", ["6.6.6.6, 203.0.113.1, 10.9.9.9"], "203.0.113.1"),
        ("10.0.0.0/8", "10.1.2.3:5", ["6.6.6.6", "203.0.113.1"], "203.0.113.1"),
        ("10.0.0.0/8", "10.1.2.3:5", ["10.4.4.4, 10.9.9.9"], "10.4.4.4"),
        ("10.0.0.0/8", "10.1.2.3:5", ["6.6.6.6, unknown, 10.9.9.9"], "10.9.9.9"),
        ("10.0.0.0/8, fd00::/8", "fd00::1:443", ["2001:db8::5"], "2001:db8::5"),
        ("10.0.0.0/8", "[::ffff:10.1.2.3]:9", ["203.0.113.1:61000"], "203.0.113.1"),
        ("10.0.0.0/8", "10.1.2.3:5", ["[2001:db8::5]:61000"], "2001:db8::5"),
    ],
)
def test_the_sender_is_the_last_hop_that_nobody_trusted_wrote(
    trusted: str, client: str, lines: list[str], expected: str
) -> None:
    assert Peers(trusted, "x-forwarded-for").address_of(client, Headers(*lines)) == ip_address(expected)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('for=203.0.113.1;proto=https, for="[2001:db8::5]:4711";by=10.0.0.1', "2001:db8::5"),
        ("for=6.6.6.6, For=203.0.113.1, for=10.9.9.9", "203.0.113.1"),
        ('host="x, for=6.6.6.6, for=203.0.113.1', "203.0.113.1"),
        ("for=_hidden", "10.1.2.3"),
        ("proto=https", "10.1.2.3"),
    ],
)
def test_the_standard_header_when_it_is_chosen(line: str, expected: str) -> None:
    assert Peers("10.0.0.0/8", "forwarded").address_of("10.1.2.3:5", Headers(line)) == ip_address(expected)


def test_an_ipv6_subscriber_is_one_sender() -> None:
    assert bucket_of(ip_address("2001:db8:1:2::1")) == bucket_of(ip_address("2001:db8:1:2:ffff::9"))
    assert bucket_of(ip_address("2001:db8:1:2::1")) != bucket_of(ip_address("2001:db8:1:3::1"))
    assert parse_address("nonsense:80") is None


def statuses(running: Running, count: int, **headers: str) -> list[int]:
    return [running.post(line(), **headers).status for _ in range(count)]


def test_an_address_that_asks_too_often_is_told_to_wait(tmp_path: Path) -> None:
    proxied: dict[str, Any] = {"ingest_trusted_proxies": "127.0.0.0/8", "ingest_address_rate": 0.5}
    with start_thread(make_settings(tmp_path, **proxied)) as running:
        # A burst of 5 seconds at 0.5 a second is two.
        assert statuses(running, 2, x_forwarded_for="203.0.113.9") == [200, 200]
        reply = running.post(line(), x_forwarded_for="6.6.6.6, 203.0.113.9")
        assert (reply.status, reply.json["error"]["code"]) == (429, "rate_limited")
        assert 1 <= int(reply.headers["retry-after"]) <= 2
        assert running.request("GET", "/healthz", x_forwarded_for="203.0.113.9").status == 429
        assert running.post(line(), x_forwarded_for="203.0.113.10").status == 200
        assert statuses(running, 5) == [200] * 5  # the proxy itself, on loopback
        metrics = running.request("GET", "/metrics").body
        assert b'unmogrowp_ingest_rate_limited_total{limit="address"} 2.0' in metrics


def test_a_header_of_a_peer_that_is_no_proxy_is_not_believed(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, ingest_limit_loopback=True, ingest_address_rate=0.5)
    with start_thread(settings) as running:
        replies = [running.post(line(), x_forwarded_for=f"203.0.113.{n}").status for n in range(3)]
        assert replies == [200, 200, 429]


def test_a_key_that_is_used_too_often_waits_and_others_do_not(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, ingest_limit_loopback=True, ingest_key_rate=0.5)
    with start_thread(settings) as running:
        assert statuses(running, 3) == [200, 200, 429]
        in_body = b'{"type": "track", "event": "x", "userId": "u", "writeKey": "%s"}' % running.keys["game"].encode()
        assert running.post(in_body, "/v1/track", key=None).status == 429
        assert running.post(line(app_id="shop.web"), key="shop").status == 200
        metrics = running.request("GET", "/metrics").body
        assert b'unmogrowp_ingest_rate_limited_total{limit="key"} 2.0' in metrics
        assert b"unmogrowp_ingest_records_accepted_total" in metrics


def stalled(running: Running, announced: int, sent: int, *, key: str | None = "game") -> socket.socket:
    """A sender that announces a body, sends a part and goes silent."""
    link = socket.create_connection((running.address.host, running.address.port), timeout=20)
    path = "/v1/events" if key else "/v1/track"
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-ndjson\r\ncontent-length: {announced}\r\n"
    if key:
        head += f"x-write-key: {running.keys[key]}\r\n"
    link.sendall(head.encode() + b"\r\n" + b" " * sent)
    return link


def status_of(link: socket.socket) -> int:
    response = http.client.HTTPResponse(link)
    response.begin()
    response.read()
    return response.status


def wait_for(running: Running, row: bytes) -> None:
    deadline = time.monotonic() + 10
    while row not in running.request("GET", "/metrics").body:
        assert time.monotonic() < deadline, f"{row!r} is not among the metrics"
        time.sleep(0.02)


def test_memory_is_refused_long_before_it_ends_and_comes_back(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, ingest_memory_bytes=1_048_576, ingest_body_seconds=30)
    with start_thread(settings) as running:
        # Small bodies count as announced, large ones as they come.
        links = [stalled(running, 200_000, 10) for _ in range(4)]
        wait_for(running, b"unmogrowp_ingest_in_flight_bytes 800000.0")
        links.append(stalled(running, 900_000, 10))
        assert running.post(b" " * 240_000).status == 400  # empty, but read
        links.append(stalled(running, 900_000, 248_000))
        wait_for(running, b"unmogrowp_ingest_in_flight_bytes 1.04801e+06")
        reply = running.post(b" " * 1_000)
        assert (reply.status, reply.json["error"]["code"], reply.headers["retry-after"]) == (429, "busy", "1")
        # What only the body can tell whose it is has a share of its own, and takes nothing from the others.
        nobody = stalled(running, 131_072, 10, key=None)
        assert running.post(b"{}", "/v1/track", key=None).status == 429
        for link in [*links, nobody]:
            link.close()
        wait_for(running, b"unmogrowp_ingest_in_flight_bytes 0.0")
        assert running.post(line()).status == 200


def test_a_body_that_must_be_read_to_know_its_key_is_small(tmp_path: Path) -> None:
    call = b'{"type": "track", "event": "%s", "writeKey": "x"}' % (b"x" * 1_100_000)
    with start_thread(make_settings(tmp_path)) as running:
        for body, encoding in ((call, "identity"), (gzip.compress(call), "gzip")):
            assert running.post(body, "/v1/track", key=None, content_encoding=encoding).status == 413
            assert running.post(body, "/v1/track", content_encoding=encoding).status == 200


def test_a_flooded_spool_says_so_and_recovers(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    settings = make_settings(tmp_path / "home", lake=lake, ingest_commit_seconds=0.1, ingest_backlog_bytes=50_000)
    with start_thread(settings) as running:
        moved = lake.rename(tmp_path / "away")
        sent = []
        while (reply := running.post(line(record_id=f"f{len(sent)}", properties={"a": "x" * 2_000}))).status == 200:
            sent.append(f"f{len(sent)}")
            assert len(sent) < 100, "the backlog has no end"
        assert (reply.status, reply.json["error"]["code"], reply.headers["retry-after"]) == (429, "backlog", "1")
        moved.rename(lake)
        deadline = time.monotonic() + 20
        while running.post(line(record_id="late")).status != 200 and time.monotonic() < deadline:
            time.sleep(0.05)
        rows = running.wait_landed("bronze_app_events", "record_id <> 'late'", len(sent))
        assert sorted(row["record_id"] for row in rows) == sorted(sent)


def test_a_slow_sender_is_cut_off_in_head_and_body(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, ingest_header_seconds=0.5, ingest_body_seconds=0.5)
    with start_thread(settings) as running:
        idle = socket.create_connection((running.address.host, running.address.port), timeout=20)
        dripping = socket.create_connection((running.address.host, running.address.port), timeout=20)
        body = stalled(running, 1_000, 10)
        large = stalled(running, 900_000, 10)
        dripping.sendall(b"POST /v1/events HTTP/1.1\r\n")
        with pytest.raises(OSError):  # noqa: PT012, PT011 - the server closes under the drops
            for number in range(100):
                dripping.sendall(b"x-%d: y\r\n" % number)
                time.sleep(0.1)
        assert idle.recv(100) == b""
        assert [status_of(body), status_of(large)] == [408, 408]
        assert running.post(line()).status == 200


def test_connections_beyond_the_limit_wait_and_are_served(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, ingest_connections=3)
    with start_thread(settings) as running:
        links = [stalled(running, 1_000, 10) for _ in range(3)]
        late = stalled(running, 0, 0)
        late.settimeout(0.5)
        with pytest.raises(TimeoutError):
            late.recv(100)
        late.settimeout(20)
        links.pop().close()
        assert status_of(late) == 400  # empty, but served
        for link in [*links, late]:
            link.close()
