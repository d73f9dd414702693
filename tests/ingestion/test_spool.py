"""The spool: what is acknowledged stays, what is damaged costs itself only, and numbers never come twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.frames import MAGIC, PREFIX_BYTES, Damage, Frame, Request, encode_frame, read_frames
from ingestion.reasons import Rejected, reject
from ingestion.sections import Section
from ingestion.spool import Spool, SpoolFull, SpoolLocked
from ingestion.validator import Checked


def request(name: str = "q") -> Request:
    return Request("game.ios", "/v1/events", "sdk", name, 1_772_452_800_000_000, 10)


def frame(name: str, payload: bytes = b'{"record_id":"r"}\n') -> bytes:
    return encode_frame(request(name), Checked(1, [Section(1, 1, payload)]))


def names(data: bytes) -> list[str]:
    return [item.request.request_id for item in read_frames(data) if isinstance(item, Frame)]


@contextmanager
def opened(folder: Path, **options: Any) -> Iterator[Spool]:
    values = {"kind": "test", "segment_bytes": 1_000_000, "segment_seconds": 3600.0, "backlog_bytes": 10_000_000}
    spool = Spool(folder, **(values | options))
    spool.start()
    try:
        yield spool
    finally:
        spool.close()
        spool.release()


def write(spool: Spool, *frames: bytes) -> None:
    """Append and wait until all is durable."""
    done = threading.Event()
    tokens: list[Any] = []

    def notify(group: list[Any], error: OSError | None) -> None:
        assert error is None
        tokens.extend(group)
        if len(tokens) == len(frames):
            done.set()

    spool._notify = notify
    for item in frames:
        spool.append(item, item)
    assert done.wait(10)


def stored(folder: Path) -> dict[int, bytes]:
    return {int(path.stem): path.read_bytes() for path in sorted(folder.glob("*.seg"))}


# ---- frames


def test_a_frame_comes_back_as_it_was() -> None:
    verdict = reject(3, b"\xff raw", Rejected("wrong_type", "no", "field"), "r9")
    checked = Checked(3, [Section(0, 1, b"{}\n"), Section(1, 2, b"{}\n{}\n")], [verdict])
    (found,) = read_frames(encode_frame(request(), checked))
    assert isinstance(found, Frame)
    assert (found.request, found.accepted, found.rejects) == (request(), 3, [verdict])
    assert [(s.table, s.count, bytes(s.payload)) for s in found.sections] == [(0, 1, b"{}\n"), (1, 2, b"{}\n{}\n")]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_flipped_byte_costs_one_frame_and_is_reported(data: st.DataObject) -> None:
    frames = [frame(f"f{i}", b"x" * data.draw(st.integers(0, 60)) + b"\n") for i in range(5)]
    whole = b"".join(frames)
    place = data.draw(st.integers(0, len(whole) - 1))
    flip = data.draw(st.integers(1, 255))
    damaged = bytearray(whole)
    damaged[place] ^= flip
    items = list(read_frames(bytes(damaged)))
    read = [item.request.request_id for item in items if isinstance(item, Frame)]
    hit = next(i for i in range(5) if place < sum(len(f) for f in frames[: i + 1]))
    assert read == [f"f{i}" for i in range(5) if i != hit]
    (found,) = [item for item in items if isinstance(item, Damage)]
    assert found.offset == sum(len(f) for f in frames[:hit])
    assert len(found.raw) == len(frames[hit])
    assert not found.is_torn, "what was written whole is not taken for what was never acknowledged"


@pytest.mark.parametrize("tail", [b"\0", b"\0" * 500, b"other bytes that no frame begins with", MAGIC[:2] + b"xx"])
def test_a_tail_that_no_frame_begins_with_is_not_torn(tail: bytes) -> None:
    _, found = read_frames(frame("a") + tail)
    assert isinstance(found, Damage)
    assert (found.raw, found.is_torn) == (tail, False)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 400))
def test_a_torn_tail_leaves_the_frames_before_it(cut: int) -> None:
    frames = [frame(f"f{i}") for i in range(4)]
    whole = b"".join(frames)
    cut = min(cut, len(whole))
    ends = [sum(len(f) for f in frames[: i + 1]) for i in range(4)]
    items = list(read_frames(whole[:cut]))
    assert [i.request.request_id for i in items if isinstance(i, Frame)] == [
        f"f{i}" for i in range(4) if ends[i] <= cut
    ]
    tails = [i for i in items if isinstance(i, Damage)]
    assert [t.is_torn for t in tails] == ([] if cut in {0, *ends} else [True])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=80), st.just(MAGIC), st.just(frame("good"))), max_size=6))
def test_any_bytes_are_frames_or_damage_and_nothing_is_left_out(parts: list[bytes]) -> None:
    data = b"".join(parts)
    total = 0
    for item in read_frames(data):
        total += len(item.raw) if isinstance(item, Damage) else len(frame("good"))
    assert total == len(data)


def test_a_right_checksum_over_other_content_is_damage() -> None:
    import struct
    import zlib

    body = struct.pack("<I", 2) + b"\xc1\xc1"
    data = struct.pack("<4sII", MAGIC, len(body), zlib.crc32(body)) + body
    (item,) = read_frames(data)
    assert isinstance(item, Damage)
    assert len(data) > PREFIX_BYTES


# ---- the folder


def test_one_sync_serves_all_that_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    syncs = 0
    real = os.fdatasync

    def slow(descriptor: int) -> None:
        nonlocal syncs
        syncs += 1
        time.sleep(0.02)
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", slow)
    with opened(tmp_path) as spool:
        write(spool, *(frame(f"f{i}") for i in range(200)))
        assert syncs <= 5


def test_a_segment_is_sealed_by_size_and_by_age(tmp_path: Path) -> None:
    sealed: list[int] = []
    with opened(tmp_path, segment_bytes=200, on_sealed=sealed.append) as spool:
        for i in range(4):
            write(spool, frame(f"f{i}", b"x" * 200))
        time.sleep(0.1)
    assert sealed == [1, 2, 3, 4]
    sealed.clear()
    with opened(tmp_path / "other", segment_seconds=0.05, on_sealed=sealed.append) as spool:
        write(spool, frame("a"))
        time.sleep(0.3)
        assert sealed == [1]
        write(spool, frame("b"))
        time.sleep(0.3)
        assert sealed == [1], "while a segment waits to land, the next one grows"
        spool.landed(1)
        time.sleep(0.3)
        assert sealed == [1, 2]


def test_little_waits_five_times_as_long_as_much(tmp_path: Path) -> None:
    now = [0.0]
    sealed: list[int] = []
    options = {"segment_seconds": 10.0, "monotonic": lambda: now[0], "on_sealed": sealed.append}
    with opened(tmp_path, **options) as spool:
        write(spool, frame("a"))
        now[0] = 49.0
        write(spool, frame("b"))  # wakes the thread, which looks at the clock
        write(spool, frame("b2"))  # and has looked
        assert sealed == []
        now[0] = 51.0
        write(spool, frame("c"))
        until(lambda: sealed == [1])
        spool.landed(1)
        write(spool, frame("much", b"x" * 300_000))
        now[0] = 62.0
        write(spool, frame("d"))
        until(lambda: sealed == [1, 2])


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < deadline, "it did not come to hold"
        time.sleep(0.01)


def test_numbers_only_grow_over_restarts(tmp_path: Path) -> None:
    seen: list[int] = []
    for _ in range(3):
        sealed: list[int] = []
        with opened(tmp_path, on_sealed=sealed.append) as spool:
            write(spool, frame("a"))
            spool.close()
            for batch in sealed:
                spool.landed(batch)
        seen += sealed
        assert list(stored(tmp_path).values()) == [b""], "an empty segment keeps the number"
    assert seen == sorted(set(seen))


def test_an_emptied_folder_gets_another_writer(tmp_path: Path) -> None:
    with opened(tmp_path / "a") as first, opened(tmp_path / "b") as second:
        assert first.writer != second.writer
    with opened(tmp_path / "a") as again:
        assert again.writer == first.writer


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path), pytest.raises(SpoolLocked, match="another process"):
        Spool(tmp_path, kind="test", segment_bytes=1, segment_seconds=1, backlog_bytes=1)


def test_a_torn_tail_is_cut_and_kept_at_start(tmp_path: Path) -> None:
    (tmp_path / "000000000007.seg").write_bytes(frame("a") + frame("b")[:-3])
    sealed: list[int] = []
    with opened(tmp_path, on_sealed=sealed.append) as spool:
        assert spool.torn_bytes == len(frame("b")) - 3
        assert sealed == [7]
        assert spool.path(7).read_bytes() == frame("a"), "a tail that was never acknowledged is no damage to report"
        assert [p.read_bytes() for p in spool.quarantine.iterdir()] == [frame("b")[:-3]]


def test_a_last_frame_that_was_written_whole_is_left_for_landing_to_report(tmp_path: Path) -> None:
    flipped = bytearray(frame("b"))
    flipped[-2] ^= 1
    (tmp_path / "000000000007.seg").write_bytes(frame("a") + flipped)
    with opened(tmp_path) as spool:
        assert spool.torn_bytes == 0
        assert spool.path(7).read_bytes() == frame("a") + flipped


def test_what_was_left_is_handed_over_in_order(tmp_path: Path) -> None:
    for batch in (12, 3, 5):
        (tmp_path / f"{batch:012d}.seg").write_bytes(frame("a"))
    sealed: list[int] = []
    with opened(tmp_path, on_sealed=sealed.append) as spool:
        assert sealed == [3, 5, 12]
        assert spool.path(13).exists()


def test_the_backlog_is_bounded(tmp_path: Path) -> None:
    with opened(tmp_path, backlog_bytes=3 * len(frame("a"))) as spool:
        write(spool, frame("a"), frame("b"))
        spool.append(frame("c"), None)
        with pytest.raises(SpoolFull):
            spool.append(frame("d"), None)
        spool.seal()
        time.sleep(0.2)
        assert spool.sealed == [1]
        spool.landed(1)
        assert spool.backlog == 0
        spool.append(frame("e"), None)


def test_a_failed_write_leaves_no_trace_and_the_next_one_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    errors: list[OSError | None] = []
    real = os.fdatasync
    broken = threading.Event()

    def fails(descriptor: int) -> None:
        if broken.is_set():
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", fails)
    with opened(tmp_path) as spool:
        write(spool, frame("kept"))
        broken.set()
        spool._notify = lambda tokens, error: errors.append(error)
        for name in ("lost", "lost too"):
            spool.append(frame(name), name)
            time.sleep(0.1)
        assert [getattr(e, "errno", None) for e in errors] == [28, 28]
        assert spool.error is not None
        broken.clear()
        write(spool, frame("after"))
        assert spool.error is None
    assert [names(data) for data in stored(tmp_path).values() if data] == [["kept"], ["after"]]
