"""A lake with its writers, to which faults are done: a writer is a home with its endpoint and the crowd that sends."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from lakehouse.lake import Lake
from lakehouse.settings import Settings
from tests.ingestion.clocked_endpoint import move_clock
from tests.ingestion.crowd import Crowd
from tests.ingestion.disks import mount, unmount
from tests.ingestion.rig import Running, make_settings, register_apps, start_process

EVENTS = "bronze/bronze_app_events"
REJECTS = "bronze/bronze_rejects"
RECEIPTS = "bronze/bronze_receipts"
MODULE = "tests.ingestion.clocked_endpoint"
PATIENCE = 60.0


@dataclass
class Writer:
    """One home with its endpoint, which is started when it is needed, and the crowd that sends to it."""

    settings: Settings
    keys: dict[str, str]
    crowd: Crowd
    running: Running | None = None
    flipped: list[tuple[str, bytes]] = field(default_factory=list)  # request and frame that were damaged
    torn: list[bytes] = field(default_factory=list)  # beginnings of frames that nobody acknowledged

    @property
    def home(self) -> Path:
        return self.settings.home

    @property
    def spool(self) -> Path:
        return self.settings.spool_dir / "ingest"

    @property
    def endpoint(self) -> subprocess.Popen[bytes]:
        assert self.running is not None
        assert self.running.process is not None
        return self.running.process

    def run(self) -> None:
        """Have the endpoint run under load."""
        if self.running is None:
            self.running = start_process(self.settings, self.keys, module=MODULE, **lake_of(self.settings))
            self.crowd.start(self.running)

    def kill(self) -> None:
        """Kill the endpoint; its lander must not outlive it."""
        self.endpoint.send_signal(signal.SIGKILL)
        assert self.endpoint.wait(10) == -signal.SIGKILL, self.log()
        self.crowd.join()
        until(lambda: not self.processes(), "the killed endpoint left a process behind")
        self.running = None

    def stop(self) -> None:
        """Stop the endpoint kindly; everything that was acknowledged has landed then."""
        self.run()
        assert self.running is not None
        self.running.stop()
        self.crowd.join()
        self.running = None

    def processes(self) -> list[int]:
        """Processes of this home that run."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                command, variables = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
            except OSError:
                continue
            if f"UNMOGROWP_HOME={self.home}".encode() in variables.split(b"\0") and b"ingestion" in command:
                found.append(int(folder.name))
        return found

    @property
    def lander(self) -> int:
        """The landing process."""
        until(lambda: len(self.processes()) == 2, "there is no landing process")
        (found,) = set(self.processes()) - {self.endpoint.pid}
        return found

    def acknowledge(self, requests: int) -> None:
        """Wait until so many more requests are acknowledged."""
        wanted = len(self.crowd.acknowledged) + requests
        until(lambda: len(self.crowd.acknowledged) >= wanted, f"nothing is acknowledged\n{self.log()}")

    def metric(self, name: str) -> float:
        assert self.running is not None
        text = self.running.request("GET", "/metrics", key=None).body.decode()
        return sum(float(value) for value in re.findall(rf"^unmogrowp_ingest_{name}\S* (\S+)$", text, re.MULTILINE))

    def segments(self) -> list[Path]:
        """Segments that hold bytes, oldest first."""
        found = []
        for path in sorted(self.spool.glob("*.seg")):
            with suppress(FileNotFoundError):  # it has landed
                found += [path] if path.stat().st_size else []
        return found

    def land(self) -> None:
        """Wait until everything that lies in the spool now has landed."""
        waiting = self.segments()
        until(lambda: not any(path.exists() for path in waiting), f"the spool does not land\n{self.log()}")

    def log(self) -> str:
        return (self.home / "endpoint.log").read_text()[-4_000:]


class World:
    """A lake, a writer that things happen to, and a second one that starts when two are wanted."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.rng = random.Random(seed)
        self.folder = folder
        self.disks = [
            path for path, size in ((folder / "lake", "256m"), (folder / "first" / "spool", "16m")) if mount(path, size)
        ]
        self.lake = Lake(folder / "lake")
        self.first, self.second = (self._writer(name) for name in ("first", "second"))
        self.has_second = False

    def _writer(self, name: str) -> Writer:
        settings = make_settings(
            self.folder / name,
            lake=self.folder / "lake",
            ingest_commit_seconds=0.15,
            ingest_segment_bytes=131_072,
            ingest_disk_reserve_bytes=0,
        )
        keys = register_apps(settings)
        move_clock(settings.home, 0)
        return Writer(settings, keys, Crowd(name[0]))

    def close(self) -> None:
        """End what runs and take the disks away."""
        for writer in (self.first, self.second):
            for pid in writer.processes():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        for disk in self.disks:
            unmount(disk)

    def wait(self, least: float, most: float) -> None:
        time.sleep(self.rng.uniform(least, most))

    def finish(self) -> list[Writer]:
        """Start every writer once more and stop it kindly; the writers."""
        writers = [self.first, self.second] if self.has_second else [self.first]
        for writer in writers:
            writer.stop()
        return writers


def lake_of(settings: Settings) -> dict[str, str]:
    return {"UNMOGROWP_LAKE": settings.lake, "UNMOGROWP_INGEST_DISK_RESERVE_BYTES": "0"}


def until(condition: Callable[[], bool], complaint: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, complaint
        time.sleep(0.01)
