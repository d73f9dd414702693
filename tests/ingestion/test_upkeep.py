"""Upkeep: however small the commits were, a partition holds few files, and no row changes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from ingestion.frames import Request, encode_frame
from ingestion.landing import Lane
from ingestion.spool import Spool
from ingestion.upkeep import FEW
from ingestion.validator import Sender, Validator
from lakehouse.lake import Lake
from lakehouse.plan import new_files
from lakehouse.settings import Settings
from tests.ingestion.rig import APP, NOW, bronze, line

EVENTS = "bronze/bronze_app_events"


@pytest.fixture(autouse=True)
def few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter of the commits is enough to see what happens, but in the slow test."""
    if request.node.get_closest_marker("slow") is None:
        monkeypatch.setattr("ingestion.upkeep.FEW", 8)


@contextmanager
def landing(settings: Settings) -> Iterator[Spool]:
    """A spool whose every frame is a segment, and a commit, of its own."""
    lane = Lane(settings)
    lane.prepare()
    spool = Spool(
        settings.spool_dir / "ingest",
        kind="ingest",
        segment_bytes=1,
        segment_seconds=3600,
        backlog_bytes=1 << 24,
        on_sealed=lane.enqueue,
    )
    lane.start(spool)
    spool.start()
    yield spool
    spool.close()
    assert lane.stop(600)
    spool.release()


def send(spool: Spool, settings: Settings, names: list[str], at: datetime = NOW) -> None:
    validator = Validator(settings)
    for name in names:
        checked = validator.check([line(record_id=name)], Sender({APP}), at)
        spool.append(encode_frame(Request(APP, "/v1/events", "sdk", name, _micros(at), 1), checked), None)
        while spool.backlog:
            time.sleep(0.005)  # the next frame begins a segment of its own


def _micros(at: datetime) -> int:
    return int(at.timestamp()) * 1_000_000


def files_a_day(settings: Settings, table: str = EVENTS) -> Counter[str]:
    return Counter(Path(file).parent.name for file in Lake(settings.lake).files(table))


def test_small_commits_are_merged_and_keep_their_rows(settings: Settings) -> None:
    names = [f"r{n}" for n in range(11)]
    with landing(settings) as spool:
        send(spool, settings, names)
    assert files_a_day(settings) == {"ingest_date=2026-03-02": 4}
    assert files_a_day(settings, "bronze/bronze_receipts") == {"ingest_date=2026-03-02": 4}
    assert sorted(row["record_id"] for row in bronze(settings, "bronze_app_events")) == sorted(names)


def test_files_of_earlier_processes_count_too(settings: Settings) -> None:
    for start in (0, 5):
        with landing(settings) as spool:
            send(spool, settings, [f"r{n}" for n in range(start, start + 5)])
    assert files_a_day(settings)["ingest_date=2026-03-02"] == 3
    assert len(bronze(settings, "bronze_app_events")) == 10


def test_a_day_that_is_over_becomes_one_file(settings: Settings) -> None:
    with landing(settings) as spool:
        send(spool, settings, ["a", "b", "c"])
        send(spool, settings, ["d", "e"], NOW + timedelta(days=1))
    assert files_a_day(settings) == {"ingest_date=2026-03-02": 1, "ingest_date=2026-03-03": 2}


def test_merging_brings_nothing_new_to_a_run(settings: Settings) -> None:
    lake = Lake(settings.lake)
    with landing(settings) as spool:
        send(spool, settings, [f"r{n}" for n in range(6)])
    consumed = lake.version(EVENTS)
    with landing(settings) as spool:
        send(spool, settings, ["new-1", "new-2", "new-3"])
    assert files_a_day(settings)["ingest_date=2026-03-02"] == 2, "nothing was merged"
    arrived = new_files(lake, EVENTS, consumed, lake.version(EVENTS))
    assert len(arrived) == 3
    assert sorted(_record_ids(settings, arrived)) == ["new-1", "new-2", "new-3"]
    merged = set(arrived) - set(lake.files(EVENTS))
    Path(min(merged)).unlink()  # as cleaning does, long after
    everything = new_files(lake, EVENTS, consumed, lake.version(EVENTS))
    assert {"new-1", "new-2", "new-3"} <= set(_record_ids(settings, everything))


def _record_ids(settings: Settings, files: list[str]) -> list[str]:
    from lakehouse import engine

    with engine.connect(settings, layers=()) as connection:
        rows = connection.execute("select record_id from read_parquet(?)", [files]).fetchall()
    return [row[0] for row in rows]


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_a_month_of_small_commits_leaves_few_files_and_landing_stays_as_it_was(settings: Settings) -> None:
    a_day = FEW + 5
    with landing(settings) as spool:
        for day in range(31):
            send(spool, settings, [f"d{day}-{n}" for n in range(a_day)], NOW + timedelta(days=day))
    counted = files_a_day(settings)
    assert len(counted) == 31
    assert max(counted.values()) <= FEW + 2
    assert sorted(counted.values())[-2] == 1, "a day that is over has more than one file"
    assert len(bronze(settings, "bronze_app_events")) == 31 * a_day
