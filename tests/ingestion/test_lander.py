"""The landing process seen from the endpoint: whatever fails between them is said and counted, and landing goes on."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ingestion.frames import Request, encode_frame
from ingestion.lander import Lander
from ingestion.spool import Spool
from ingestion.validator import Sender, Validator
from lakehouse.settings import Settings
from tests.ingestion.rig import APP, NOW, bronze, line


class Landing:
    """A spool whose every frame is a segment, its lander, and what went wrong."""

    def __init__(self, settings: Settings, **callbacks: Any) -> None:
        self.settings, self.faults = settings, Counter[str]()
        self.lander = Lander(settings, on_fault=lambda fault: self.faults.update([fault]), **callbacks)
        self.spool = Spool(
            settings.spool_dir / "ingest",
            kind="ingest",
            segment_bytes=1,
            segment_seconds=3600,
            backlog_bytes=1 << 24,
            on_sealed=self.lander.enqueue,
        )
        self.lander.start(self.spool)
        self.spool.start()

    def send(self, name: str) -> None:
        checked = Validator(self.settings).check([line(record_id=name)], Sender({APP}), NOW)
        request = Request(APP, "/v1/events", "sdk", name, int(NOW.timestamp()) * 1_000_000, 1)
        self.spool.append(encode_frame(request, checked), None)

    def kill(self) -> None:
        pid = self.lander.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)

    def ids(self) -> list[str]:
        return sorted(row["record_id"] for row in bronze(self.settings, "bronze_app_events"))

    def stop(self) -> bool:
        self.spool.close()
        ended = self.lander.stop(60)
        self.spool.release()
        return ended


@contextmanager
def landing(settings: Settings, **callbacks: Any) -> Iterator[Landing]:
    running = Landing(settings, **callbacks)
    try:
        yield running
    finally:
        assert running.stop()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not come to hold"
        time.sleep(0.02)


def segments(settings: Settings) -> list[str]:
    """Segments with bytes, and whatever else has the name of one."""
    found = (settings.spool_dir / "ingest").glob("*.seg")
    return sorted(path.stem.lstrip("0") for path in found if path.is_dir() or path.stat().st_size)


def test_a_landed_segment_that_the_disk_keeps_is_deleted_later_and_holds_up_nothing(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    folder = settings.spool_dir / "ingest"
    stuck = folder / f"{1:012d}.seg"

    def refuse(table: str, files: int, seconds: float) -> None:
        """Make the file undeletable after its last commit: a folder of its name refuses to be unlinked."""
        if table == "bronze/bronze_receipts" and stuck.is_file():
            stuck.unlink()
            stuck.mkdir()

    with landing(settings, on_committed=refuse) as running:
        running.send("r1")
        until(lambda: bool(running.faults["deletion"]))
        running.send("r2")
        until(lambda: running.ids() == ["r1", "r2"])
        until(lambda: running.faults["deletion"] >= 3)
        assert segments(settings) == ["1"]
        assert running.spool.backlog == 0
        stuck.rmdir()
        stuck.write_bytes(b"landed long ago")
        until(lambda: segments(settings) == [])
        running.send("r3")
    assert running.ids() == ["r1", "r2", "r3"]
    assert set(running.faults) == {"deletion"}
    (said,) = [record for record in caplog.records if getattr(record, "fault", None)]
    assert (said.__dict__["fault"], said.__dict__["batch"]) == ("deletion", 1)
    assert said.exc_info is not None


def test_a_lander_that_dies_is_replaced_and_that_is_counted(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with landing(settings) as running:
        running.send("r1")
        running.kill()
        until(lambda: running.faults["end"] == 1)
        running.send("r2")
    assert running.ids() == ["r1", "r2"]
    assert running.faults == {"end": 1}
    assert [record.__dict__["fault"] for record in caplog.records if hasattr(record, "fault")] == ["end"]


def test_a_lander_that_cannot_be_started_is_tried_until_it_can(settings: Settings) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with landing(settings) as running:
        running.send("r1")
        until(lambda: segments(settings) == [])
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))  # what is open stays so; nothing else can be opened
        try:
            running.kill()
            deadline = time.monotonic() + 30
            while running.faults["start"] < 2 and time.monotonic() < deadline:
                time.sleep(0.02)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        running.send("r2")
    assert running.ids() == ["r1", "r2"]
    assert running.faults["start"] >= 2
    assert running.faults["end"] == 1


def test_a_report_that_is_none_costs_a_lander_and_nothing_else(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import pathlib\n"
        "said = pathlib.Path(__file__).with_name('said')\n"
        "if not said.exists():\n"
        "    said.touch()\n"
        "    print('a library greets its user')\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    with landing(settings) as running:
        running.send("r1")
    assert running.ids() == ["r1"]
    assert running.faults == {"report": 1}


def test_a_report_that_cannot_be_noted_costs_a_lander_and_nothing_else(settings: Settings) -> None:
    landed: list[int] = []

    def note(batch: int, rows: dict[str, int], seconds: float) -> None:
        landed.append(batch)
        if len(landed) == 1:
            raise RuntimeError("whoever counts had no mind to")

    with landing(settings, on_landed=note) as running:
        running.send("r1")
        until(lambda: running.faults["report"] == 1)
        running.send("r2")
    assert running.ids() == ["r1", "r2"]
    assert landed == [1, 2]
    assert segments(settings) == []
