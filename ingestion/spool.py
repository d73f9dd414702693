"""The spool: acknowledged requests on local disk, between the answer and the lake.

One folder belongs to one writer, locked by its process. Frames are appended to the active segment by one thread that
makes every group durable with a single fdatasync (all requests that waited meanwhile share it). A segment is sealed by
age or size and then belongs to the landing lane, which deletes it when its tables have it. The number in its name is
the batch number, and so the version of the writer's Delta transaction: numbers only grow, as an active segment always
lies in the folder. What a frame means is `ingestion.frames`; landing is `ingestion.landing`.
"""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from ingestion.frames import Damage, read_frames

log: Final = logging.getLogger("ingestion.spool")
_WRITER_FILE: Final = "writer"
_LOCK_FILE: Final = "lock"
_SUFFIX: Final = ".seg"
_QUARANTINE: Final = "quarantine"
# A segment below this size waits longer, so that a quiet night makes few small commits.
_QUIET_BYTES: Final = 256 * 1024
_QUIET_FACTOR: Final = 5
# Called once per group with its tokens, and the error if it could not be made durable.
Notify = Callable[[list[Any], OSError | None], None]


class SpoolLocked(Exception):  # noqa: N818 - names the state
    """Another process has this spool."""


class SpoolFull(Exception):  # noqa: N818 - names the state
    """More bytes wait for the disk or for landing than the bounds allow."""


class Spool:
    """An open spool. `append` may be called from any thread."""

    def __init__(
        self,
        folder: Path,
        *,
        kind: str,
        segment_bytes: int,
        segment_seconds: float,
        backlog_bytes: int,
        notify: Notify = lambda tokens, error: None,
        on_sealed: Callable[[int], None] = lambda batch: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Lock and recover the folder. SpoolLocked if another process has it, OSError if the disk refuses.

        From the writing thread, `notify` is called with the tokens of a group once it is durable or has failed, and
        `on_sealed` with the batch number when a segment is ready to land.
        """
        self.folder = folder
        self.quarantine = folder / _QUARANTINE
        self._segment_bytes, self._segment_seconds, self._backlog_bytes = segment_bytes, segment_seconds, backlog_bytes
        self._notify, self._on_sealed, self._monotonic = notify, on_sealed, monotonic
        folder.mkdir(parents=True, exist_ok=True)
        self._lock_file = _lock(folder / _LOCK_FILE)
        self.writer = _writer_id(folder / _WRITER_FILE, kind)
        self.torn_bytes = self._trim_newest()
        sizes = {batch: self.path(batch).stat().st_size for batch in self._segments()}
        self._sealed: dict[int, int] = {batch: size for batch, size in sizes.items() if size}
        self._sealed_at: dict[int, float] = dict.fromkeys(sorted(self._sealed), monotonic())
        for batch in [b for b, size in sizes.items() if not size]:
            if batch != max(sizes):
                self.path(batch).unlink()
        self._batch = max(sizes, default=0)
        self._condition = threading.Condition()
        self._waiting: list[tuple[bytes, Any]] = []
        self._waiting_bytes = 0
        self._size = 0
        self._since: float | None = None  # when the active segment got its first frame
        self._seal_now = False
        self._closing = False
        self._dirty = False  # bytes of a failed write may lie behind the acknowledged ones
        self.error: OSError | None = None  # of the last group; None when the disk works
        self._descriptor = self._open_next()
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)

    def start(self) -> None:
        """Begin to write; segments that an earlier process left are handed over first."""
        for batch in sorted(self._sealed):
            self._on_sealed(batch)
        self._thread.start()

    def path(self, batch: int) -> Path:
        return segment_path(self.folder, batch)

    @property
    def backlog(self) -> int:
        """Bytes on disk or in memory that have not landed."""
        with self._condition:
            return sum(self._sealed.values()) + self._size + self._waiting_bytes

    @property
    def sealed(self) -> list[int]:
        """Batches that wait to land, oldest first."""
        with self._condition:
            return sorted(self._sealed)

    @property
    def lag(self) -> float:
        """Seconds that the oldest sealed segment has waited to land, as far as this process knows; 0 if none waits."""
        with self._condition:
            since = next(iter(self._sealed_at.values()), None)
        return 0.0 if since is None else self._monotonic() - since

    def append(self, frame: bytes, token: Any) -> None:
        """Queue a frame; its token comes back through `notify`. SpoolFull when too much waits already."""
        with self._condition:
            pending = sum(self._sealed.values()) + self._size + self._waiting_bytes
            if self._closing or pending + len(frame) > self._backlog_bytes:
                raise SpoolFull
            self._waiting.append((frame, token))
            self._waiting_bytes += len(frame)
            self._condition.notify()

    def seal(self) -> None:
        """Hand what is written so far to the lane without waiting for age or size."""
        with self._condition:
            self._seal_now = True
            self._condition.notify()

    def landed(self, batch: int) -> None:
        """Delete a segment whose rows are all in the lake; OSError if the disk refuses, then call again.

        It counts as landed in any case: a file that stays must not hold up the segments behind it.
        """
        with self._condition:
            self._sealed.pop(batch, None)
            self._sealed_at.pop(batch, None)
            self._condition.notify()
        self.path(batch).unlink(missing_ok=True)

    def set_aside(self, batch: int, damage: Damage) -> None:
        """Keep damaged bytes of a segment; doing it again writes the same file."""
        keep_damage(self.folder, batch, damage)

    def close(self) -> None:
        """Write what waits, seal it and release the folder; sealed segments stay for the lane or the next process."""
        with self._condition:
            self._closing = True
            self._condition.notify()
        if self._thread.is_alive():
            self._thread.join()

    def release(self) -> None:
        """Give the folder free for another process."""
        os.close(self._descriptor)
        os.close(self._lock_file)

    def _run(self) -> None:
        while True:
            with self._condition:
                while not (self._waiting or self._closing or self._must_seal()):
                    self._condition.wait(self._seconds_to_seal())
                group, self._waiting, self._waiting_bytes = self._waiting, [], 0
                closing = self._closing
            if group:
                self._write(group)
            if self._size and (closing or self._must_seal()):
                self._roll()
            with self._condition:
                if not self._size and not self._waiting:
                    self._seal_now = False
            if closing and not group:
                return

    def _must_seal(self) -> bool:
        if not self._size:
            return False
        if self._seal_now or self._size >= self._segment_bytes:
            return True
        # By age only when the lane is idle: while it works, the segment may as well grow.
        return not self._sealed and (self._seconds_to_seal() or 0) <= 0

    def _seconds_to_seal(self) -> float | None:
        if self._since is None or self._sealed:
            return None
        patience = self._segment_seconds * (1 if self._size >= _QUIET_BYTES else _QUIET_FACTOR)
        return max(0.0, self._since + patience - self._monotonic())

    def _write(self, group: list[tuple[bytes, Any]]) -> None:
        tokens = [token for _, token in group]
        try:
            if self._dirty:
                self._cut_tail()
            data = b"".join(frame for frame, _ in group)
            self._dirty = True
            _write_all(self._descriptor, data)
            os.fdatasync(self._descriptor)
            self._dirty = False
        except OSError as error:
            log.error("the spool cannot be written: %s", error)
            self.error = error
            self._notify(tokens, error)
            return
        self.error = None
        self._size += len(data)
        if self._since is None:
            self._since = self._monotonic()
        self._notify(tokens, None)

    def _cut_tail(self) -> None:
        """After a failed write: back to what was acknowledged, and on in a fresh segment."""
        os.ftruncate(self._descriptor, self._size)
        os.fdatasync(self._descriptor)
        self._dirty = False
        if self._size:
            self._roll()

    def _roll(self) -> None:
        """Seal the active segment and open the next one."""
        if self._dirty:
            return  # the next write repairs it first
        try:
            following = self._open_next()
        except OSError as error:
            log.error("no new segment can be made: %s", error)
            self.error = error
            time.sleep(0.1)
            return
        os.close(self._descriptor)
        sealed, self._descriptor = self._batch - 1, following
        with self._condition:
            self._sealed[sealed], self._sealed_at[sealed] = self._size, self._monotonic()
            self._size, self._since = 0, None
        self._on_sealed(sealed)

    def _open_next(self) -> int:
        path = self.path(self._batch + 1)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            _sync_folder(self.folder)
        except OSError:
            os.close(descriptor)
            path.unlink()
            raise
        # The empty segment of an earlier process has done its duty, which was to keep the number.
        if self._batch and self._batch not in self._sealed and not self._has_bytes(self._batch):
            self.path(self._batch).unlink(missing_ok=True)
        self._batch += 1
        return descriptor

    def _has_bytes(self, batch: int) -> bool:
        try:
            return self.path(batch).stat().st_size > 0
        except FileNotFoundError:
            return False

    def _segments(self) -> list[int]:
        return sorted(int(p.stem) for p in self.folder.glob(f"*{_SUFFIX}") if p.stem.isdigit())

    def _trim_newest(self) -> int:
        """Cut the torn tail off the segment that was active when the process died; the bytes cut.

        They were never acknowledged as a whole, so they are no reject, but kept. Other damage is left for landing.
        """
        segments = self._segments()
        if not segments:
            return 0
        path = self.path(segments[-1])
        data = path.read_bytes()
        tail = next((item for item in read_frames(data) if isinstance(item, Damage) and item.is_torn), None)
        if tail is None:
            return 0
        self.set_aside(segments[-1], tail)
        os.truncate(path, tail.offset)
        _sync_file(path)
        return len(tail.raw)


def segment_path(folder: Path, batch: int) -> Path:
    """The file of a segment."""
    return folder / f"{batch:012d}{_SUFFIX}"


def keep_damage(folder: Path, batch: int, damage: Damage) -> None:
    """Keep damaged bytes of a segment; doing it again writes the same file."""
    file = folder / _QUARANTINE / f"{batch:012d}-{damage.offset}.bin"
    file.parent.mkdir(exist_ok=True)
    _write_durably(file, damage.raw)
    log.error("segment %d: %d damaged bytes at %d are kept in %s", batch, len(damage.raw), damage.offset, file.name)


def _lock(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise SpoolLocked(f"another process already writes the spool {path.parent.name}") from None
    return descriptor


def _writer_id(path: Path, kind: str) -> str:
    """The id of this folder's writer. Random, so that a folder made anew never repeats an old one's batch numbers."""
    if path.is_file() and (writer := path.read_text(encoding="utf-8").strip()):
        return writer
    writer = f"{kind}-{secrets.token_hex(8)}"
    _write_durably(path, writer.encode())
    return writer


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _write_durably(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
    _sync_folder(path.parent)


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
