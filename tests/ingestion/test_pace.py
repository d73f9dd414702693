"""Answers are held back while landing cannot follow, and only then."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ingestion import pace
from ingestion.landing import Lane
from ingestion.pace import delay
from ingestion.spool import Spool
from tests.ingestion.rig import lane_here, line, make_settings, start_thread
from tests.ingestion.test_spool import frame, opened, write


def test_an_answer_is_held_back_by_how_far_landing_is_behind() -> None:
    assert [delay(lag) for lag in (0, 0.5, 1.0)] == [0, 0, 0]
    assert 0 < delay(1.5) < delay(3.0) < delay(20.0) <= 0.25
    assert delay(60.0) == 0, "the lake is away; waiting for it helps nobody"


def test_the_lag_is_that_of_the_oldest_segment_that_waits(tmp_path: Path) -> None:
    now = [100.0]
    with opened(tmp_path, segment_bytes=1, monotonic=lambda: now[0]) as spool:
        assert spool.lag == 0
        write(spool, frame("a"))
        sealed(spool, 1)
        now[0] += 4
        write(spool, frame("b"))
        sealed(spool, 2)
        now[0] += 2
        assert spool.lag == 6
        spool.landed(1)
        assert spool.lag == 2
    with opened(tmp_path, monotonic=lambda: now[0]) as spool:
        now[0] += 3
        assert spool.lag == 3, "what an earlier process left waits since this one began"
        spool.landed(2)
        assert spool.lag == 0


def test_a_sender_waits_for_landing_that_is_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "_UNHURRIED_SECONDS", 0.0)
    monkeypatch.setattr(pace, "_DELAY_PER_SECOND", 1_000_000.0)
    settings = make_settings(tmp_path, ingest_segment_bytes=65_536, ingest_commit_seconds=60)
    lanes: list[Lane] = []

    def nobody(*arguments: object, **options: object) -> Lane:
        lane = lane_here(settings)
        lanes.append(lane)
        monkeypatch.setattr(lane, "enqueue", waiting.append)
        return lane

    waiting: list[int] = []
    with start_thread(settings, landing=nobody) as running:
        assert running.post(line(record_id="first", properties={"a": "x" * 60_000})).status == 200
        assert running.post(line(record_id="second", properties={"a": "y" * 60_000})).status == 200
        deadline = time.monotonic() + 20
        while not waiting and time.monotonic() < deadline:
            time.sleep(0.01)
        started = time.monotonic()
        assert running.post(line(record_id="third")).status == 200
        assert time.monotonic() - started >= 0.25
        monkeypatch.undo()
        for batch in waiting:
            lanes[0].enqueue(batch)
        assert len(running.wait_landed("bronze_app_events", "record_id in ('first', 'second')", 2)) == 2


def sealed(spool: Spool, count: int) -> None:
    deadline = time.monotonic() + 10
    while len(spool.sealed) < count and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(spool.sealed) == count
