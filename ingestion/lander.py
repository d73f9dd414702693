"""The landing lane as a process of its own, seen from the endpoint: started, told of segments, started again.

The endpoint keeps the spool and its lock. The lander (`ingestion.lander_process`) reads sealed segments and reports
what landed, one JSON line each way. So landing never holds the interpreter lock that requests need, and may run at a
lower priority, as acknowledging comes first. A lander that dies, or cannot be understood, is replaced and told again of
all that has not landed; the batch numbers keep that exactly once.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import IO, Final, Literal, Protocol, Union

import msgspec

from ingestion.spool import Spool
from lakehouse.settings import SettingError, Settings

log: Final = logging.getLogger("ingestion.lander")
_PAUSE_SECONDS: Final = 0.5
_READY_SECONDS: Final = 60.0


class Order(msgspec.Struct):
    """The first line to the lander: what it works on. Later lines are batch numbers."""

    settings: dict[str, object]
    folder: str
    writer: str


class Ready(msgspec.Struct, tag="ready"):
    """The bronze tables exist and segments may come."""


class Landed(msgspec.Struct, tag="landed"):
    """A segment is in all its tables."""

    batch: int
    rows: dict[str, int]
    seconds: float


class Committed(msgspec.Struct, tag="committed"):
    """A commit to one table; `files` is 0 if an earlier try had made it."""

    table: str
    files: int
    seconds: float


class Failed(msgspec.Struct, tag="failed"):
    """A try to land did not work; the lander goes on trying."""

    failures: int


class Refused(msgspec.Struct, tag="refused"):
    """The lander cannot begin."""

    message: str


Report = Union[Ready, Landed, Committed, Failed, Refused]  # noqa: UP007 - msgspec wants the type at run time
_REPORT: Final = msgspec.json.Decoder(Report)
# Told after each landing: batch, rows by table, seconds it took.
OnLanded = Callable[[int, dict[str, int], float], None]
# Told after each commit: table, data files (one per partition; a batch is too small for a second), seconds it took.
OnCommitted = Callable[[str, int, float], None]
# What can go wrong between endpoint and lander: the process did not start or ended, what it said was not understood or
# could not be noted, a landed segment could not be deleted.
Fault = Literal["start", "end", "report", "deletion"]


class Landing(Protocol):
    """What the endpoint needs of whoever lands its segments: this process or another."""

    failures: int

    def start(self, spool: Spool) -> None: ...

    def enqueue(self, batch: int) -> None: ...

    def stop(self, seconds: float) -> bool: ...


class Lander:
    """One landing process for one spool, replaced when it dies. `failures` counts failed tries in a row."""

    def __init__(
        self,
        settings: Settings,
        *,
        on_landed: OnLanded = lambda *_: None,
        on_committed: OnCommitted = lambda *_: None,
        on_failed: Callable[[int], None] = lambda failures: None,
        on_fault: Callable[[Fault], None] = lambda fault: None,
    ) -> None:
        self._settings = settings
        self._on_landed, self._on_committed, self._on_failed = on_landed, on_committed, on_failed
        self._on_fault = on_fault
        self._lock = threading.Lock()
        self._pending: list[int] = []
        self._undeleted: set[int] = set()  # landed segments whose files the disk did not let go yet
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._given_up = False
        self._spool: Spool | None = None
        self._thread = threading.Thread(target=self._run, name="lander", daemon=True)
        self._first = threading.Event()  # set when the first process is ready or has said why it cannot be
        self._refusal: str | None = None
        self.failures = 0

    def start(self, spool: Spool) -> None:
        """Start the process and wait until it is ready; SettingError if the lake cannot be used."""
        self._spool = spool
        self._thread.start()
        if not self._first.wait(_READY_SECONDS):
            raise RuntimeError(f"the lander did not start within {_READY_SECONDS:.0f} s")
        if self._refusal is not None:
            raise SettingError(self._refusal)

    def enqueue(self, batch: int) -> None:
        """Hand over a sealed segment. Callable from any thread."""
        with self._lock:
            self._pending.append(batch)
            self._tell(batch)

    def stop(self, seconds: float) -> bool:
        """Land all that was handed over and end; False if it did not work in time (the spool keeps the rest)."""
        self._stopping.set()
        with self._lock:
            if self._process is not None and self._process.stdin is not None:
                _close(self._process.stdin)
        self._thread.join(seconds)
        with self._lock:
            self._given_up = True
            if self._process is not None:
                self._process.kill()
        self._thread.join()
        return not self._pending

    @property
    def pid(self) -> int | None:
        """The process that lands now."""
        process = self._process
        return process.pid if process is not None else None

    def _run(self) -> None:
        while not self._given_up:
            try:
                self._work()
            except Exception:  # the named boundary: whatever went wrong, what was handed over is landed by the next one
                if self._process is None:
                    self._fault("start", "the lander cannot be started; it will be tried again")
                else:
                    self._fault("report", "a report of the lander cannot be used; another lander is started")
            self._end_process()
            if self._refusal is not None or (self._stopping.is_set() and not self._pending):
                return
            self.failures += 1
            time.sleep(_PAUSE_SECONDS)
            self._delete_again()

    def _work(self) -> None:
        """One process from its start to its end."""
        assert self._spool is not None
        process = subprocess.Popen(
            [sys.executable, "-m", "ingestion.lander_process"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdin is not None
        assert process.stdout is not None
        order = Order(_plain(self._settings), str(self._spool.folder), self._spool.writer)
        with self._lock:
            self._process = process
            _send(process.stdin, msgspec.json.encode(order))
            for batch in self._pending:
                self._tell(batch)
            if self._stopping.is_set():
                _close(process.stdin)
            if self._given_up:
                process.kill()
        said: SimpleQueue[bytes] = SimpleQueue()
        threading.Thread(target=_read, args=(process.stdout, said), name="lander-reports", daemon=True).start()
        while line := self._next(said):
            self._hear(_REPORT.decode(line))
        if self._refusal is None and not (self._stopping.is_set() and not self._pending):
            self._fault("end", "the lander ended before its time; another is started")

    def _next(self, said: SimpleQueue[bytes]) -> bytes:
        """The next report, empty at the end; deletions that failed are tried again meanwhile."""
        while True:
            try:
                return said.get(timeout=_PAUSE_SECONDS if self._undeleted else None)
            except Empty:
                self._delete_again()

    def _end_process(self) -> None:
        with self._lock:
            process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        assert process.stdin is not None
        _close(process.stdin)

    def _fault(self, fault: Fault, text: str) -> None:
        """Log, with the error that is being handled if there is one, and count."""
        log.error(text, exc_info=sys.exc_info()[0] is not None, extra={"fault": fault})
        self._on_fault(fault)

    def _tell(self, batch: int) -> None:
        if self._process is not None and self._process.stdin is not None:
            _send(self._process.stdin, b"%d" % batch)

    def _hear(self, report: Report) -> None:
        assert self._spool is not None
        match report:
            case Landed(batch, rows, seconds):
                self.failures = 0
                with self._lock:
                    self._pending.remove(batch)
                self._delete(batch)
                self._on_landed(batch, rows, seconds)
            case Committed(table, files, seconds):
                self._on_committed(table, files, seconds)
            case Failed(failures):
                self.failures = failures
                self._on_failed(failures)
            case Ready():
                self._first.set()
            case Refused(message):
                self._refusal = message
                self._first.set()

    def _delete(self, batch: int) -> None:
        """Delete a segment that has landed. What the disk keeps is tried again; the next start would know it, too."""
        assert self._spool is not None
        try:
            self._spool.landed(batch)
        except OSError:
            if batch not in self._undeleted:
                self._undeleted.add(batch)
                text = "a landed segment was not deleted; it is tried again until it is"
                log.error(text, exc_info=True, extra={"fault": "deletion", "batch": batch})
            self._on_fault("deletion")
        else:
            self._undeleted.discard(batch)

    def _delete_again(self) -> None:
        for batch in sorted(self._undeleted):
            self._delete(batch)


def _read(stream: IO[bytes], said: SimpleQueue[bytes]) -> None:
    """Pass on what a lander says, and an empty line when it has ended."""
    with stream:
        for line in stream:
            said.put(line)
    said.put(b"")


def _plain(settings: Settings) -> dict[str, object]:
    """Settings without the secrets, which landing does not need."""
    return settings.model_dump(mode="json", exclude={"salt", "clickhouse_bi_password", "clickhouse_publisher_password"})


def _send(stream: IO[bytes], line: bytes) -> None:
    """Write a line to a lander that may have died; then the next one hears of it."""
    try:
        stream.write(line + b"\n")
        stream.flush()
    except (BrokenPipeError, ValueError):
        log.debug("the lander does not listen")


def _close(stream: IO[bytes]) -> None:
    try:
        stream.close()
    except BrokenPipeError:
        log.debug("the lander does not listen")
