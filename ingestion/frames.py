"""The bytes of the spool: what one acknowledged request leaves on disk, and how it is read back.

A segment file is a sequence of frames, each `magic, length, CRC-32, body`. A body is a msgpack header (who sent what
when, how many records of which table, the rejects) followed by the canonical records. Reading never raises on damaged
bytes: it reports them with their place and goes on behind them, so that one flipped bit costs one frame.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from ingestion.reasons import Reject
from ingestion.validator import Checked

MAGIC: Final = b"\xf5UMG"  # 0xf5 cannot occur in UTF-8 text, so records never look like a frame
_PREFIX: Final = struct.Struct("<4sII")
_HEADER_LENGTH: Final = struct.Struct("<I")
PREFIX_BYTES: Final = _PREFIX.size


class Request(msgspec.Struct, array_like=True, gc=False):
    """What is known of the request; `received_at` in microseconds since 1970, UTC; `body_bytes` after decompression."""

    app_id: str | None
    route: str
    source: str
    request_id: str
    received_at: int
    body_bytes: int


class _Header(msgspec.Struct, array_like=True, gc=False):
    request: Request
    accepted: int
    sections: list[tuple[int, int, int]]  # table, records, bytes
    rejects: list[Reject]


_ENCODE: Final = msgspec.msgpack.Encoder()
_DECODE: Final = msgspec.msgpack.Decoder(_Header)


@dataclass(frozen=True, slots=True)
class Slice:
    """Canonical records of one table inside a segment that was read."""

    table: int  # index into lakehouse.contract.RECORD_TABLES
    count: int
    payload: memoryview


@dataclass(frozen=True, slots=True)
class Frame:
    """One request read back."""

    request: Request
    accepted: int
    sections: list[Slice]
    rejects: list[Reject]


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes of a segment that are no frame."""

    offset: int
    raw: bytes
    is_torn: bool  # the beginning of a frame whose end was never written, at the end of the file


def encode_frame(request: Request, checked: Checked) -> bytes:
    """The frame of a request."""
    sizes = [(s.table, s.count, len(s.payload)) for s in checked.sections]
    header = _ENCODE.encode(_Header(request, checked.accepted, sizes, checked.rejects))
    parts = [_HEADER_LENGTH.pack(len(header)), header, *(s.payload for s in checked.sections)]
    checksum = 0
    for part in parts:
        checksum = zlib.crc32(part, checksum)
    return b"".join([_PREFIX.pack(MAGIC, sum(map(len, parts)), checksum), *parts])


def read_frames(data: bytes) -> Iterator[Frame | Damage]:
    """The frames of a segment in order, with the damaged stretches between them."""
    offset = 0
    while offset < len(data):
        end = _frame_end(data, offset)
        frame = _frame_at(data, offset, end) if end else None
        if frame is not None:
            yield frame
            offset = end
            continue
        following = _next_frame(data, offset + 1)
        raw = data[offset:following]
        yield Damage(offset, raw, is_torn=following == len(data) and _is_torn(raw))
        offset = following


def _is_torn(raw: bytes) -> bool:
    """True if writing stopped in the middle of a frame; False if bytes of a frame that was written have changed."""
    if not MAGIC.startswith(raw[: len(MAGIC)]):
        return False
    if len(raw) < PREFIX_BYTES:
        return True
    _, length, crc = _PREFIX.unpack_from(raw)
    body = memoryview(raw)[PREFIX_BYTES:]
    return len(body) < int(length) and zlib.crc32(body) != int(crc)  # a whole body may have only a wrong length


def _frame_end(data: bytes, offset: int) -> int:
    """End of a frame that begins here, 0 if none does."""
    if len(data) - offset < PREFIX_BYTES:
        return 0
    magic, length, crc = _PREFIX.unpack_from(data, offset)
    start = offset + PREFIX_BYTES
    if magic != MAGIC or start + length > len(data) or zlib.crc32(memoryview(data)[start : start + length]) != crc:
        return 0
    return int(start + length)


def _next_frame(data: bytes, offset: int) -> int:
    """Where the next whole frame begins; the end of the data if none does."""
    while (offset := data.find(MAGIC, offset)) >= 0:
        if _frame_end(data, offset):
            return offset
        offset += 1
    return len(data)


def _frame_at(data: bytes, offset: int, end: int) -> Frame | None:
    """The frame, or None if its checksum is right but its content is not ours."""
    start = offset + PREFIX_BYTES + _HEADER_LENGTH.size
    view = memoryview(data)
    try:
        (length,) = _HEADER_LENGTH.unpack_from(data, start - _HEADER_LENGTH.size)
        header = _DECODE.decode(view[start : start + length])
    except (struct.error, msgspec.DecodeError):
        return None
    sections = []
    place = start + length
    for table, count, size in header.sections:
        sections.append(Slice(table, count, view[place : place + size]))
        place += size
    return Frame(header.request, header.accepted, sections, header.rejects) if place == end else None
