"""Real processes and real kills: what was acknowledged is in bronze, each request exactly once, and nothing is left."""

from __future__ import annotations

import http.client
import json
import os
import random
import resource
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from lakehouse.settings import Settings
from tests.ingestion.rig import APP, SALT, Running, bronze, line, make_settings, register_apps, start_process

_SENDERS = 4
_RECORDS = 20  # in a request, of which one is refused


class Crowd:
    """Senders that remember which requests were acknowledged. They never retry, so every request is sent once."""

    def __init__(self) -> None:
        self.acknowledged: set[str] = set()
        self.refused: list[int] = []
        self._number = 0
        self._lock = threading.Lock()

    def send_until_it_ends(self, running: Running) -> None:
        threads = [threading.Thread(target=self._send, args=(running,)) for _ in range(_SENDERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)

    def _send(self, running: Running) -> None:
        connection = http.client.HTTPConnection(running.address.host, running.address.port, timeout=20)
        headers = {"authorization": f"Bearer {running.keys['game']}", "content-type": "application/x-ndjson"}
        while True:
            with self._lock:
                self._number += 1
                name = f"q{self._number}"
            lines = [line(record_id=f"{name}-{i}") for i in range(_RECORDS - 1)]
            lines.append(json.dumps({"app_id": APP, "record_id": f"{name}-bad"}).encode())
            try:
                connection.request("POST", "/v1/events", b"\n".join(lines), headers)
                response = connection.getresponse()
                answer = response.read()
            except (OSError, http.client.HTTPException):
                return
            if response.status == 207:
                assert json.loads(answer)["accepted"] == _RECORDS - 1
                self.acknowledged.add(name)
            else:
                self.refused.append(response.status)
                if response.status == 503 and b"draining" in answer:
                    return
                time.sleep(0.02)


def kill_rounds(home: Path, rounds: int, seed: int) -> tuple[Settings, Crowd]:
    """Start, load and kill an endpoint again and again on one home; then start it once more and stop it kindly."""
    rng = random.Random(seed)
    settings = make_settings(home, ingest_commit_seconds=0.15, ingest_segment_bytes=262_144)
    keys = register_apps(settings)
    crowd = Crowd()
    for _ in range(rounds):
        running = start_process(settings, keys)
        assert running.process is not None
        killer = threading.Timer(rng.uniform(0.0, 0.9), running.process.send_signal, [signal.SIGKILL])
        killer.start()
        crowd.send_until_it_ends(running)
        assert running.process.wait(10) == -signal.SIGKILL
        assert _none_left(home), "the killed endpoint left a process behind"
    start_process(settings, keys).stop()
    return settings, crowd


def _none_left(home: Path) -> bool:
    """True once no process of the home runs: the kernel ends the lander, which takes it a moment."""
    deadline = time.monotonic() + 5
    while _processes_of(home):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _processes_of(home: Path) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command, variables = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
        except OSError:
            continue
        if f"UNMOGROWP_HOME={home}".encode() in variables.split(b"\0") and b"ingestion" in command:
            found.append(int(folder.name))
    return found


def assert_nothing_lost_and_nothing_double(settings: Settings, crowd: Crowd) -> None:
    landed = Counter(row["record_id"] for row in bronze(settings, "bronze_app_events"))
    assert set(landed.values()) <= {1}, "a record is in bronze twice"
    whole = Counter(record_id.partition("-")[0] for record_id in landed)
    lost = [name for name in crowd.acknowledged if whole[name] != _RECORDS - 1]
    assert lost == []
    assert set(whole.values()) <= {_RECORDS - 1}, "half of a request landed"
    rejects = Counter(row["record_id"].partition("-")[0] for row in bronze(settings, "bronze_rejects"))
    assert rejects == Counter(dict.fromkeys(whole, 1))
    receipts = bronze(settings, "bronze_receipts")
    assert sum(r["accepted"] for r in receipts) == sum(landed.values())
    assert sum(r["rejected"] for r in receipts) == sum(rejects.values())
    assert all(r["received"] == r["accepted"] + r["rejected"] for r in receipts)
    assert sum(r["requests"] for r in receipts) == len(whole)
    spool = settings.spool_dir / "ingest"
    assert [p.stat().st_size for p in spool.glob("*.seg")] == [0]


def test_three_kills_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    settings, crowd = kill_rounds(tmp_path / "home", rounds=3, seed=20_260_301)
    assert crowd.acknowledged
    assert_nothing_lost_and_nothing_double(settings, crowd)


@pytest.mark.slow
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("seed", range(5))
def test_many_kills_lose_nothing_and_double_nothing(tmp_path: Path, seed: int) -> None:
    settings, crowd = kill_rounds(tmp_path / "home", rounds=12, seed=seed)
    assert len(crowd.acknowledged) > 50
    assert_nothing_lost_and_nothing_double(settings, crowd)


def test_a_killed_lander_is_replaced_and_nothing_is_lost_or_double(tmp_path: Path) -> None:
    rng = random.Random(20_260_302)
    home = tmp_path / "home"
    settings = make_settings(home, ingest_commit_seconds=0.1, ingest_segment_bytes=65_536)
    running = start_process(settings, register_apps(settings))
    assert running.process is not None
    crowd = Crowd()
    sending = threading.Thread(target=crowd.send_until_it_ends, args=(running,))
    sending.start()
    killed = 0
    for _ in range(2):
        time.sleep(rng.uniform(0.2, 1.0))
        for pid in _processes_of(home):
            if pid != running.process.pid:
                os.kill(pid, signal.SIGKILL)
                killed += 1
    running.stop()
    sending.join(60)
    assert killed
    assert crowd.acknowledged
    assert_nothing_lost_and_nothing_double(settings, crowd)


def test_a_full_disk_is_answered_and_costs_nothing(tmp_path: Path) -> None:
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


def test_a_stopped_endpoint_has_landed_everything(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "home", ingest_commit_seconds=60)
    running = start_process(settings, register_apps(settings))
    for i in range(30):
        assert running.post(line(record_id=f"r{i}")).status == 200
    running.stop()
    assert len(bronze(settings, "bronze_app_events")) == 30


def test_a_second_endpoint_on_the_same_home_is_refused(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "home")
    running = start_process(settings, register_apps(settings))
    try:
        from ingestion.server import serve
        from lakehouse.settings import SettingError

        with pytest.raises(SettingError, match="another endpoint"):
            serve(settings)
        with pytest.raises(SettingError, match="UNMOGROWP_INGEST_PORT is wrong"):
            serve(make_settings(tmp_path / "other", ingest_port=running.address.port))
    finally:
        running.stop()


def test_a_missing_salt_stops_the_start_with_a_sentence(tmp_path: Path) -> None:
    import subprocess
    import sys

    environment = {"UNMOGROWP_HOME": str(tmp_path), "UNMOGROWP_INGEST_PORT": "0"}
    result = subprocess.run(
        [sys.executable, "-m", "ingestion"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 2
    assert "UNMOGROWP_SALT is missing" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_lake_that_cannot_be_used_stops_the_start_with_a_sentence(tmp_path: Path) -> None:
    import subprocess
    import sys

    (tmp_path / "file").write_text("no folder")
    settings = make_settings(tmp_path / "home", lake=tmp_path / "file" / "lake")
    environment = {"UNMOGROWP_HOME": str(settings.home), "UNMOGROWP_SALT": SALT, "UNMOGROWP_INGEST_PORT": "0"}
    result = subprocess.run(
        [sys.executable, "-m", "ingestion"],
        env=environment | {"UNMOGROWP_LAKE": settings.lake},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 2
    assert "UNMOGROWP_LAKE cannot be used" in result.stderr
    assert "Traceback" not in result.stderr
