"""Bodies in the encodings that clients send and accept."""

from __future__ import annotations

import gzip
import zlib

import lz4.frame
import pytest
import zstandard

from serving.front.codecs import DamagedBodyError, UnknownEncodingError, decoder, encode

TEXT = b"select 1 -- " + b"abc" * 5_000
BODIES = {
    "": TEXT,
    "gzip": gzip.compress(TEXT),
    "deflate": zlib.compress(TEXT),
    "zstd": zstandard.compress(TEXT),
    "lz4": lz4.frame.compress(TEXT),
}


@pytest.mark.parametrize("encoding", BODIES)
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_body_is_decoded_in_pieces_of_any_size(encoding: str, size: int) -> None:
    decode, body = decoder(encoding), BODIES[encoding]
    decoded = b"".join(decode.feed(body[start : start + size]) for start in range(0, len(body), size))
    decode.finish()
    assert decoded == TEXT


@pytest.mark.parametrize("encoding", [name for name in BODIES if name])
def test_a_body_that_ends_too_early_or_is_another_is_damaged(encoding: str) -> None:
    short = decoder(encoding)
    short.feed(BODIES[encoding][:-5])
    with pytest.raises(DamagedBodyError):
        short.finish()
    with pytest.raises(DamagedBodyError):
        decoder(encoding).feed(b"no such thing at all, whatever it says")


def test_an_unknown_encoding_is_told() -> None:
    with pytest.raises(UnknownEncodingError, match="snappy"):
        decoder("snappy")


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("lz4,zstd,gzip,deflate", "lz4"),
        ("gzip, zstd", "zstd"),
        ("gzip;q=0.5", "gzip"),
        ("deflate", "deflate"),
        ("gzip;q=0, br", ""),
        ("", ""),
    ],
)
def test_an_answer_uses_the_fastest_encoding_the_client_takes(accepted: str, encoding: str) -> None:
    body, used = encode(TEXT, accepted)
    assert used == encoding
    decode = decoder(used)
    assert decode.feed(body) == TEXT


def test_a_small_answer_is_sent_as_it_is() -> None:
    assert encode(b"1\n", "gzip") == (b"1\n", "")
