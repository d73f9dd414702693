"""Disks that fill up: real small file systems where the machine lets them be mounted."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ingestion.disk import DiskGuard
from lakehouse.settings import Settings
from tests.ingestion.disks import fill, mount, unmount
from tests.ingestion.rig import Running, bronze, line, make_settings, register_apps, start_process, start_thread

MIB = 1024 * 1024
Mount = Callable[[str], Path]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Mount]:
    """Mounts file systems of a given size; skips where that is not allowed."""
    mounted: list[Path] = []

    def mount_one(size: str) -> Path:
        folder = tmp_path / f"disk{len(mounted)}"
        if not mount(folder, size):
            pytest.skip("no file system can be mounted here")
        mounted.append(folder)
        return folder

    yield mount_one
    for folder in mounted:
        unmount(folder)


def send(running: Running, name: str, sent: list[str], size: int = 100_000) -> int:
    reply = running.post(line(record_id=name, properties={"a": os.urandom(size // 2).hex()[:60_000]}))
    if reply.status == 200:
        sent.append(name)
    elif reply.status == 503:
        assert reply.headers["retry-after"]
    return reply.status


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert condition()


def ids(settings: Settings) -> list[str]:
    return sorted(r["record_id"] for r in bronze(settings, "bronze_app_events"))


def test_lake_and_spool_on_a_disk_that_fills_up_recover_by_themselves(small_disk: Mount) -> None:
    disk = small_disk("24m")
    settings = make_settings(disk / "home", ingest_commit_seconds=0.3, ingest_disk_reserve_bytes=8 * MIB)
    sent: list[str] = []
    with start_thread(settings) as running:
        assert send(running, "before", sent) == 200
        ballast = fill(disk, leave=9 * MIB)
        statuses: list[int] = []
        while 503 not in statuses:
            statuses.append(send(running, f"during-{len(statuses)}", sent))
            assert len(statuses) < 400, "the disk never got low"
        # The reserve is what landing lives on: all that was acknowledged gets into the lake on the full disk.
        assert running.request("GET", "/readyz").json == {"ready": False, "reason": "the disk is nearly full"}
        until(lambda: ids(settings) == sorted(sent))
        ballast.unlink()
        until(lambda: running.request("GET", "/readyz").status == 200)
        assert send(running, "after", sent) == 200
    assert ids(settings) == sorted(sent)


def test_a_spool_disk_without_a_byte_refuses_and_recovers(small_disk: Mount) -> None:
    disk = small_disk("8m")
    settings = make_settings(disk / "home", lake=disk.parent / "lake", ingest_disk_reserve_bytes=0)
    sent: list[str] = []
    with start_thread(settings) as running:
        assert send(running, "before", sent) == 200
        ballast = fill(disk, leave=0)
        statuses = [send(running, f"during-{n}", sent) for n in range(5)]
        assert set(statuses[1:]) == {503}  # the first may still fit into the page that was begun
        assert running.request("GET", "/readyz").json["reason"] == "the spool cannot be written"
        assert b"unmogrowp_ingest_spool_refuses 1.0" in running.request("GET", "/metrics").body
        ballast.unlink()
        assert send(running, "after", sent) == 200
    assert ids(settings) == sorted(sent)


def test_a_full_lake_disk_keeps_requests_in_the_spool(small_disk: Mount, tmp_path: Path) -> None:
    disk = small_disk("8m")
    settings = make_settings(tmp_path / "home", lake=disk / "lake", ingest_commit_seconds=0.2)
    sent: list[str] = []
    with start_thread(settings) as running:
        ballast = fill(disk, leave=0)
        for number in range(10):
            assert send(running, f"r{number}", sent) == 200
        failing = b"unmogrowp_ingest_landing_errors_total 0.0"
        until(lambda: failing not in running.request("GET", "/metrics").body)
        assert bronze(settings, "bronze_app_events") == []
        ballast.unlink()
        until(lambda: ids(settings) == sorted(sent))
    assert ids(settings) == sorted(sent)


def test_a_process_whose_files_may_not_grow_refuses_and_recovers(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "home", ingest_commit_seconds=30)
    running = start_process(settings, register_apps(settings))
    assert running.process is not None
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    sent: list[str] = []

    def send(name: str) -> int:
        reply = running.post(line(record_id=name, properties={"a": "x" * 5_000}))
        if reply.status == 200:
            sent.append(name)
        elif reply.status == 503:
            assert reply.headers["retry-after"]
        return reply.status

    assert [send(f"before-{i}") for i in range(5)] == [200] * 5
    # No file of the process may grow beyond this: what a full disk does to the spool.
    resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (3_000, resource.RLIM_INFINITY))
    statuses = [send(f"during-{i}") for i in range(10)]
    assert statuses == [503] * 10
    assert running.request("GET", "/readyz").status == 503
    resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, unlimited)
    assert [send(f"after-{i}") for i in range(5)] == [200] * 5
    assert running.request("GET", "/readyz").status == 200
    running.stop()
    assert sorted(r["record_id"] for r in bronze(settings, "bronze_app_events")) == sorted(sent)
    assert bronze(settings, "bronze_rejects") == []


def test_the_guard_looks_again(tmp_path: Path) -> None:
    now = [0.0]
    guard = DiskGuard(tmp_path, 1 << 60, monotonic=lambda: now[0])
    free = guard.free
    assert guard.is_low
    guard.take(free - 5)
    assert guard.free == 5
    now[0] += 0.02
    assert guard.free > 5  # another program is seen while a sender sends at full speed
    assert not DiskGuard(tmp_path, 0).is_low
    assert not DiskGuard(tmp_path, 1).is_low
