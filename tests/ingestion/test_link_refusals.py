"""A click that cannot be recorded now: the person reaches the store all the same, and an answer is a promise."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from tests.ingestion.link_apps import hit, register
from tests.ingestion.rig import bronze, make_settings, start_process, start_thread


def test_a_person_behind_a_busy_address_reaches_the_store(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, ingest_limit_loopback=True, ingest_address_rate=0.1)
    with start_thread(settings, register=register) as running:
        replies = [hit(running, f"/v1/click/game?partner=n&click_id=c{i}") for i in range(3)]
        assert [reply.status for reply in replies] == [302] * 3
        assert "c2" in replies[2].headers["location"]
        assert hit(running, "/v1/impression/game?partner=n").status == 429
        running.begin_stop()
    assert [row["click_id"] for row in bronze(settings, "bronze_touchpoints")] == ["c0"]


def test_a_person_reaches_the_store_when_the_spool_is_full(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, ingest_commit_seconds=60, ingest_backlog_bytes=2_000)
    with start_thread(settings, register=register) as running:
        replies = [hit(running, f"/v1/click/game?partner=n&click_id=c{i}") for i in range(8)]
        assert [reply.status for reply in replies] == [302] * 8
        assert hit(running, "/v1/impression/game?partner=n").status == 429
        text = running.request("GET", "/metrics", key=None).body.decode()
    recorded = {row["click_id"] for row in bronze(settings, "bronze_touchpoints")}
    assert 0 < len(recorded) < 8
    assert f"unmogrowp_ingest_unrecorded_clicks_total {8 - len(recorded)}.0" in text


def test_a_person_reaches_the_store_while_the_endpoint_drains(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    with start_thread(settings, register=register) as running:
        link = socket.create_connection((running.address.host, running.address.port))
        head = "POST /v1/skan HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n"
        link.sendall(head.encode())
        time.sleep(0.2)
        running.begin_stop()
        time.sleep(0.2)
        assert hit(running, "/v1/click/game?partner=late").status == 302
        assert hit(running, "/v1/impression/game?partner=late").status == 503
        link.sendall(b"{}")
        assert link.recv(1_000).startswith(b"HTTP/1.1 422")
        link.close()
    assert bronze(settings, "bronze_touchpoints") == []


@pytest.mark.slow
def test_a_click_that_was_answered_survives_a_kill(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "home", ingest_commit_seconds=60)
    settings.home.mkdir()
    running = start_process(settings, register(settings))
    sent = {f"c{i}" for i in range(20)}
    assert [hit(running, f"/v1/click/game?partner=n&click_id={c}").status for c in sorted(sent)] == [302] * 20
    assert running.process is not None
    running.process.kill()
    running.process.wait()
    again = start_process(settings, {})
    again.stop()
    rows = bronze(settings, "bronze_touchpoints")
    assert sorted(row["click_id"] for row in rows) == sorted(sent)
