"""What can happen to an endpoint under load, done on purpose and with real processes, files and disks.

A fault is a function that does one bad thing to a world (`tests.ingestion.fault_world`) and sees it recover.
What must hold afterwards is `tests.ingestion.accounts`.
"""

from __future__ import annotations

import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path

import pyarrow as pa
from deltalake.exceptions import CommitFailedError, DeltaError

from ingestion.frames import PREFIX_BYTES, Damage, Frame, read_frames
from lakehouse import engine
from tests.ingestion.clocked_endpoint import move_clock
from tests.ingestion.disks import fill
from tests.ingestion.fault_world import EVENTS, MODULE, PATIENCE, RECEIPTS, REJECTS, World, lake_of, until
from tests.ingestion.rig import STARTED, process_environment

_PLANTED_BEFORE = date(2026, 2, 1)  # rejects that retention deletes; what the crowds send is younger


# ---- kills


def kill_endpoint(world: World) -> None:
    world.first.run()
    world.wait(0, 0.9)
    world.first.kill()


def kill_endpoint_while_it_starts(world: World) -> None:
    """At any instant from before the spool is opened until after its leftovers begin to land."""
    if world.first.running is not None:
        world.first.kill()
    variables = process_environment(world.first.settings) | lake_of(world.first.settings)
    process = subprocess.Popen([sys.executable, "-m", MODULE], env=variables, stderr=subprocess.DEVNULL)
    STARTED.append(process)
    world.wait(0.2, 2.0)
    process.kill()
    process.wait()
    until(lambda: not world.first.processes(), "the killed endpoint left a process behind")


def kill_lander(world: World) -> None:
    world.first.run()
    world.wait(0, 0.5)
    died = world.first.metric("lander_faults_total")
    os.kill(world.first.lander, signal.SIGKILL)
    world.first.acknowledge(3)
    world.first.land()
    until(lambda: world.first.metric("lander_faults_total") == died + 1, "that a lander died is not counted")


def kill_between_commits(world: World) -> None:
    """A batch lands in several tables: the kill comes when some have it and, mostly, others have not."""
    world.first.run()
    world.first.acknowledge(3)
    table = world.rng.choice([EVENTS, REJECTS, RECEIPTS])
    folder = Path(world.lake.uri(table)) / "_delta_log"
    known = len(list(folder.iterdir()))
    until(lambda: len(list(folder.iterdir())) > known, "nothing is committed")
    world.first.kill()


def kill_before_deletion(world: World) -> None:
    """All tables have the batch and the endpoint is killed before the segment goes: it lies there at the next start."""
    world.first.run()
    until(lambda: bool(world.first.segments()), "nothing is written")
    segment = world.first.segments()[0]
    kept = world.first.spool / "kept"
    with suppress(FileNotFoundError):  # it may land just now; then this round is a plain kill
        os.link(segment, kept)
    until(lambda: not segment.exists(), "the segment does not land")
    world.first.kill()
    if kept.exists():
        kept.rename(segment)


# ---- bytes


def torn_tail(world: World) -> None:
    """The last frame was begun and never finished."""
    newest = _kill_with_segments(world)[-1]
    frame = world.rng.choice([raw for _, raw in _frames(newest)])
    piece = frame[: world.rng.randrange(1, len(frame))]
    with newest.open("ab") as stream:
        stream.write(piece)
    world.first.torn.append(piece)
    world.first.run()
    world.first.land()


def flipped_tail(world: World) -> None:
    """A frame that nobody was told of was written whole, and not as it should be."""
    newest = _kill_with_segments(world)[-1]
    frame = _flip(world.rng, world.rng.choice([raw for _, raw in _frames(newest)]))
    with newest.open("ab") as stream:
        stream.write(frame)
    world.first.flipped.append(("", frame))
    world.first.run()
    world.first.land()


def flipped_frame(world: World) -> None:
    """A byte of an acknowledged frame changes on the disk."""
    segment = world.rng.choice(_kill_with_segments(world))
    name, frame = world.rng.choice(list(_frames(segment)))
    data = segment.read_bytes()
    flipped = _flip(world.rng, frame)
    segment.write_bytes(data.replace(frame, flipped))
    world.first.flipped.append((name, flipped))
    world.first.run()
    world.first.land()


def _kill_with_segments(world: World) -> list[Path]:
    """Kill the endpoint while acknowledged frames lie in its spool and no table has them: its lander hangs meanwhile.

    The segments that hold them, oldest first; the kill itself tore none.
    """
    while True:
        world.first.run()
        os.kill(world.first.lander, signal.SIGSTOP)
        world.first.acknowledge(world.rng.randrange(3, 30))
        world.first.kill()
        writer = (world.first.spool / "writer").read_text()
        begun = max(world.lake.open(table).transaction_version(writer) or 0 for table in (EVENTS, REJECTS, RECEIPTS))
        waiting = [path for path in world.first.segments() if int(path.stem) > begun]
        found = [item for path in waiting for item in read_frames(path.read_bytes())]
        if found and not any(isinstance(item, Damage) for item in found):
            return waiting


def _frames(segment: Path) -> Iterator[tuple[str, bytes]]:
    """Request (as the crowd names it) and bytes of every frame."""
    data = segment.read_bytes()
    start = 0
    for item in read_frames(data):
        assert isinstance(item, Frame)
        size = PREFIX_BYTES + int.from_bytes(data[start + 4 : start + 8], "little")
        found = re.search(rb'"record_id":"(\w+)-0"', data[start : start + size])
        assert found is not None
        yield found[1].decode(), data[start : start + size]
        start += size


def _flip(rng: random.Random, frame: bytes) -> bytes:
    place = rng.randrange(len(frame))
    return frame[:place] + bytes([frame[place] ^ rng.randrange(1, 256)]) + frame[place + 1 :]


# ---- disks


def full_spool_disk(world: World) -> None:
    world.first.run()
    refused = world.first.crowd.refused
    with _no_room(world, world.first.settings.spool_dir, world.first.endpoint.pid) as fill_up:

        def refuses() -> bool:
            fill_up()  # what has landed meanwhile left room
            return world.first.crowd.refused > refused + 3

        until(refuses, "a full disk refuses nothing")
        if world.rng.random() < 0.3:
            world.first.kill()
    world.first.run()
    world.first.acknowledge(3)


def full_lake_disk(world: World) -> None:
    world.first.run()
    failed = world.first.metric("landing_errors_total")
    with _no_room(world, Path(world.lake.root), world.first.lander):
        until(lambda: world.first.metric("landing_errors_total") > failed, "a full lake takes rows")
        if world.rng.random() < 0.3:
            world.first.kill()
    world.first.run()
    world.first.land()


@contextmanager
def _no_room(world: World, disk: Path, pid: int) -> Iterator[Callable[[], object]]:
    """A full disk, and what fills it again; where none can be mounted, a process none of whose files may grow."""
    if disk in world.disks:
        ballast = fill(disk, leave=0)
        try:
            yield lambda: fill(disk, leave=0)
        finally:
            ballast.unlink()
        return
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    try:
        yield lambda: None
    finally:
        with suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)


# ---- the lake


def failed_commit(world: World) -> None:
    """Data files are written and the commit fails: something has the name of the next entry of the log."""
    world.first.run()
    table = world.rng.choice([EVENTS, REJECTS, RECEIPTS])
    failed = world.first.metric("landing_errors_total")
    while True:
        blocker = Path(world.lake.uri(table)) / "_delta_log" / f"{world.lake.version(table) + 1:020d}.json"
        with suppress(FileExistsError):
            blocker.mkdir()
            break
    until(lambda: world.first.metric("landing_errors_total") > failed, "the commit did not fail")
    if world.rng.random() < 0.3:
        world.first.kill()
    blocker.rmdir()
    world.first.run()
    world.first.land()


def two_writers(world: World) -> None:
    """Another endpoint lands in the same tables for a while."""
    world.first.run()
    world.second.run()
    world.has_second = True
    world.second.acknowledge(3)
    world.wait(0, 0.8)
    if world.rng.random() < 0.5:
        world.second.kill()
    else:
        world.second.stop()
    world.first.land()


def maintenance(world: World) -> None:
    """Files are merged, old ones cleaned and old rejects deleted by another process while rows land."""
    world.first.run()
    until(lambda: world.lake.row_count(REJECTS) > 0, "no reject lands")
    _plant_old_rejects(world)
    least, most = time.monotonic() + world.rng.uniform(0.2, 0.6), time.monotonic() + PATIENCE
    while _has_old_rejects(world) or time.monotonic() < least:
        assert time.monotonic() < most, "old rejects cannot be deleted"
        table = world.rng.choice([EVENTS, REJECTS, RECEIPTS])
        day = world.rng.choice(sorted({Path(file).parent.name.partition("=")[2] for file in world.lake.files(table)}))
        with suppress(CommitFailedError, DeltaError):  # the lander was quicker
            world.lake.compact(table, ("ingest_date", day), target_bytes=1 << 20)
            world.lake.vacuum(table, keep_hours=7 * 24)
            world.lake.open(REJECTS).delete(f"ingest_date < '{_PLANTED_BEFORE}'")
    world.first.land()


def _plant_old_rejects(world: World) -> None:
    with engine.connect(world.first.settings, lake=world.lake, layers=()) as connection:
        connection.execute("create schema bronze")
        engine.create_view(connection, world.lake, REJECTS)
        rows: pa.Table = connection.sql(
            "select * replace (date '2026-01-15' as ingest_date) from bronze.bronze_rejects limit 3"
        ).to_arrow_table()
    batch = world.lake.version(REJECTS) + 1
    assert world.lake.append_once(REJECTS, rows, writer="an earlier year", batch=batch)


def _has_old_rejects(world: World) -> bool:
    return any("ingest_date=2026-01-15" in file for file in world.lake.files(REJECTS))


# ---- the clock


def clock_jump(world: World) -> None:
    """The wall clock jumps, by a second or by weeks, either way, and stays wrong."""
    world.first.run()
    size = world.rng.choice([1.0, 90.0, 5_000.0, 100_000.0, 3_000_000.0])
    new = world.rng.choice([-1, 1]) * world.rng.uniform(0, size)
    crowd = world.first.crowd
    crowd.clock = (min(*crowd.clock, new), max(*crowd.clock, new))
    move_clock(world.first.home, new)
    world.first.acknowledge(3)
    crowd.clock = (new, new)
    world.first.acknowledge(3)
    if world.rng.random() < 0.3:
        world.first.kill()


FAULTS: dict[str, Callable[[World], None]] = {
    fault.__name__: fault
    for fault in (
        kill_endpoint, kill_endpoint_while_it_starts, kill_lander, kill_between_commits, kill_before_deletion,
        torn_tail, flipped_tail, flipped_frame, full_spool_disk, full_lake_disk, failed_commit, two_writers,
        maintenance, clock_jump,
    )
}  # fmt: skip
