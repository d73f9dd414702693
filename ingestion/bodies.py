"""Request bodies: decompress within bounds and cut into records; what a record means is not looked at.

A body that cannot be read raises `Rejected` (one reject for the whole body, answer 400); one that is too large raises
`TooLarge` (answer 413, nothing stored).
"""

from __future__ import annotations

import zlib
from typing import Any, Final

import msgspec
import zstandard

from ingestion.reasons import Rejected

MAX_RECORDS: Final = 50_000
ENCODINGS: Final = ("identity", "gzip", "zstd")
NDJSON_TYPES: Final = frozenset(
    {"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"}
)
# text/plain is what navigator.sendBeacon sends; an absent type is taken as JSON, whatever curl puts there is not.
JSON_TYPES: Final = frozenset({"", "application/json", "text/plain", "application/octet-stream"})

_BOM: Final = b"\xef\xbb\xbf"
_RAW: Final = msgspec.json.Decoder(msgspec.Raw)
_RAWS: Final = msgspec.json.Decoder(list[msgspec.Raw])
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
    size = 0
    rest = body
    while rest:
        member = zlib.decompressobj(wbits=31)
        try:
            part = member.decompress(rest, limit + 1 - size)
        except zlib.error as error:
            raise Rejected("unreadable_body", f"not valid gzip: {error}") from None
        size += len(part)
        if size > limit:
            raise TooLarge("body_too_large")
        if not member.eof:
            raise Rejected("unreadable_body", "the gzip stream is truncated")
        parts.append(part)
        rest = member.unused_data.lstrip(b"\0")  # padding after the last member is allowed
    return b"".join(parts)


def _unzstd(body: bytes, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    rest = body
    while rest:
        frame = zstandard.ZstdDecompressor(max_window_size=2**27).decompressobj()
        # Fed in small pieces, as one call may not be told how much it may give.
        try:
            for start in range(0, len(rest), 4_096):
                part = frame.decompress(rest[start : start + 4_096])
                size += len(part)
                if size > limit:
                    raise TooLarge("body_too_large")
                parts.append(part)
                if frame.eof:
                    rest = frame.unused_data + rest[start + 4_096 :]
                    break
            else:
                raise Rejected("unreadable_body", "the zstd stream is truncated")
        except zstandard.ZstdError as error:
            raise Rejected("unreadable_body", f"not valid zstd: {error}") from None
    return b"".join(parts)


def split(body: bytes, content_type: str) -> list[bytes]:
    """The records of a body: NDJSON lines, the elements of an array, or the one object it is."""
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
