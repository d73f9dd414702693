"""Request bodies: decompress within bounds and cut into records; what a record means is not looked at.

A body that cannot be read raises `Rejected` (one reject for the whole body, answer 400); one that is too large raises
`TooLarge` (answer 413, nothing stored).
"""

from __future__ import annotations

import re
import zlib
from typing import Any, Final

import msgspec
import zstandard

from ingestion.reasons import Rejected

MAX_RECORDS: Final = 50_000
# Gzip members or zstd frames in a body: each costs a decoder, also when it holds nothing.
MAX_MEMBERS: Final = 1_024
# A body that must be read to know its key; Segment's clients send 512 KB at most.
KEYLESS_BYTES: Final = 1024 * 1024
ENCODINGS: Final = ("identity", "gzip", "zstd")
NDJSON_TYPES: Final = frozenset(
    {"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"}
)
# text/plain is what navigator.sendBeacon sends; an absent type is taken as JSON, whatever curl puts there is not.
JSON_TYPES: Final = frozenset({"", "application/json", "text/plain", "application/octet-stream"})

_BOM: Final = b"\xef\xbb\xbf"
_RAW: Final = msgspec.json.Decoder(msgspec.Raw)
_RAWS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_PADDING: Final = re.compile(rb"\0*")
_GZIP_PIECE: Final = 64 * 1024
# One call may not be told how much it may give: 4 bytes may become a block of 128 KiB, so a piece at most 32 MiB.
_ZSTD_PIECE: Final = 1_024
# What RFC 9659 allows for Content-Encoding: zstd. The decoder takes this much memory if a frame asks for it.
_ZSTD_WINDOW: Final = 8 * 1024 * 1024
# A record has about 20 commas; beyond this an array can only be elements that are no records.
_MAX_COMMAS: Final = 64 * MAX_RECORDS


class TooLarge(Exception):  # noqa: N818 - names the answer
    """The body is beyond a limit: `body_too_large` or `too_many_records`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def inflate(body: bytes, encoding: str, limit: int) -> bytes:
    """The body without its Content-Encoding, at most `limit` bytes; never holds much more than that."""
    if encoding == "gzip":
        body = _gunzip(body, limit)
    elif encoding == "zstd":
        body = _unzstd(body, limit)
    if len(body) > limit:
        raise TooLarge("body_too_large")
    return body


def _gunzip(body: bytes, limit: int) -> bytes:
    parts: list[bytes] = []
    view, size, place, members = memoryview(body), 0, 0, 0
    while place < len(body):
        members += 1
        if members > MAX_MEMBERS:
            raise Rejected("unreadable_body", f"more than {MAX_MEMBERS:,} gzip members")
        member = zlib.decompressobj(wbits=31)
        # Fed in pieces, as what a member leaves over is copied, and a body may hold many of them.
        while not member.eof:
            piece = view[place : place + _GZIP_PIECE]
            if not piece:
                raise Rejected("unreadable_body", "the gzip stream is truncated")
            try:
                part = member.decompress(piece, limit + 1 - size)
            except zlib.error as error:
                raise Rejected("unreadable_body", f"not valid gzip: {error}") from None
            place += len(piece)
            size += len(part)
            if size > limit:
                raise TooLarge("body_too_large")
            parts.append(part)
        padding = _PADDING.match(body, place - len(member.unused_data))  # after a member it is allowed
        assert padding is not None
        place = padding.end()
    return b"".join(parts)


def _unzstd(body: bytes, limit: int) -> bytes:
    parts: list[bytes] = []
    view, size, place, frames = memoryview(body), 0, 0, 0
    while place < len(body):
        frames += 1
        if frames > MAX_MEMBERS:
            raise Rejected("unreadable_body", f"more than {MAX_MEMBERS:,} zstd frames")
        frame = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()
        while not frame.eof:
            piece = view[place : place + _ZSTD_PIECE]
            if not piece:
                raise Rejected("unreadable_body", "the zstd stream is truncated")
            try:
                part = frame.decompress(piece)
            except zstandard.ZstdError as error:
                raise Rejected("unreadable_body", f"not valid zstd: {error}") from None
            place += len(piece)
            size += len(part)
            if size > limit:
                raise TooLarge("body_too_large")
            parts.append(part)
        place -= len(frame.unused_data)
    return b"".join(parts)


def split(body: bytes, content_type: str) -> list[bytes] | bytes:
    """The records of a body: the elements of an array, the one object it is, or its lines, not taken apart."""
    body = body.removeprefix(_BOM).strip(b" \t\r\n")
    if not body:
        raise Rejected("empty_body", "the body holds no record")
    if content_type not in NDJSON_TYPES:
        if body[:1] == b"[":
            return split_array(body)
        if b"\n" in body and _is_one_value(body):
            return [body]
    if body.count(b"\n") >= MAX_RECORDS:
        raise TooLarge("too_many_records")
    return body


def lines_of(body: bytes) -> list[bytes]:
    """The lines of a body that are not blank."""
    return [line for line in body.split(b"\n") if line and not line.isspace()]


def split_array(body: bytes) -> list[bytes]:
    if body.count(b",") > _MAX_COMMAS:
        raise TooLarge("too_many_records")
    try:
        elements: list[Any] = _RAWS.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Rejected("unreadable_body", f"the array cannot be read: {error}") from None
    if len(elements) > MAX_RECORDS:
        raise TooLarge("too_many_records")
    return [bytes(element) for element in elements]


def _is_one_value(body: bytes) -> bool:
    try:
        _RAW.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
