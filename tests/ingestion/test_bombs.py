"""Compressed bodies that cost more than they show: refused without the memory or the time they ask for."""

from __future__ import annotations

import gzip
import tracemalloc

import pytest
import zstandard

from ingestion import bodies
from ingestion.bodies import MAX_MEMBERS, TooLarge, inflate
from ingestion.reasons import Rejected

LIMIT = 1_000_000


def peak_of(body: bytes, encoding: str) -> int:
    """Bytes of Python memory that refusing a bomb took."""
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            inflate(body, encoding, LIMIT)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_bombs_never_take_much_more_than_the_limit() -> None:
    zeros = b"\0" * 100_000_000
    assert peak_of(gzip.compress(zeros, 1), "gzip") < 3 * LIMIT
    assert peak_of(zstandard.compress(zeros, 1), "zstd") < 34 * 1024 * 1024
    # Many members that are each below the limit.
    assert peak_of(gzip.compress(b"\0" * 900_000) * 1_000, "gzip") < 4 * LIMIT
    assert peak_of(zstandard.compress(b"\0" * 900_000) * 1_000, "zstd") < 6 * LIMIT


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_body_of_empty_members_is_refused(encoding: str) -> None:
    # It was minutes of copying: each member copied all that came after it.
    empty = {"gzip": gzip.compress, "zstd": zstandard.compress}[encoding](b"")
    body = empty * (16_000_000 // len(empty))
    with pytest.raises(Rejected, match=f"more than {MAX_MEMBERS:,}"):
        inflate(body, encoding, LIMIT)
    assert inflate(empty * MAX_MEMBERS, encoding, LIMIT) == b""


def test_padding_between_gzip_members_is_skipped() -> None:
    member = gzip.compress(b"ab")
    assert inflate(member + b"\0" * 100_000 + member + b"\0" * 3, "gzip", LIMIT) == b"abab"
    many = (member + b"\0" * 15_000) * 1_000
    assert inflate(many, "gzip", LIMIT) == b"ab" * 1_000


def test_a_frame_may_not_ask_for_a_large_window() -> None:
    def framed(window_log: int) -> bytes:
        parameters = zstandard.ZstdCompressionParameters(window_log=window_log, enable_ldm=True)
        packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
        return packer.compress(b"a" * 1_000) + packer.flush()

    assert inflate(framed(23), "zstd", LIMIT) == b"a" * 1_000
    with pytest.raises(Rejected, match="not valid zstd"):
        inflate(framed(24), "zstd", LIMIT)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_what_is_cut_off_or_garbled_is_unreadable(encoding: str) -> None:
    pack = {"gzip": gzip.compress, "zstd": zstandard.compress}[encoding]
    whole = pack(bytes(range(256)) * 500)
    for broken in (whole[:-1], whole[:20], whole + whole[:7], whole + b"rubbish", b"rubbish"):
        with pytest.raises(Rejected):
            inflate(broken, encoding, LIMIT)
    assert inflate(whole, encoding, LIMIT) == bytes(range(256)) * 500
    assert inflate(whole + whole, encoding, LIMIT) == bytes(range(256)) * 1_000


def test_the_limit_is_exact() -> None:
    for encoding, pack in (("gzip", gzip.compress), ("zstd", zstandard.compress)):
        assert len(inflate(pack(b"x" * LIMIT), encoding, LIMIT)) == LIMIT
        with pytest.raises(TooLarge):
            inflate(pack(b"x" * (LIMIT + 1)), encoding, LIMIT)
    assert bodies.inflate(b"", "gzip", LIMIT) == b""
