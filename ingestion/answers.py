"""What senders get back: status, body and headers of every answer.

The answer to records counts them and names each that failed. Which record failed why is decided elsewhere.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ingestion.reasons import REQUEST_REASONS, Reject

JSON: Final = ("content-type", "application/json")
RETRY_AFTER_SECONDS: Final = 1
_encode: Final = msgspec.json.Encoder().encode
_PIXEL: Final = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c000000000100010000020144003b")


class RecordError(msgspec.Struct):
    """A record that was refused; `position` counts from 0."""

    position: int
    record_id: str | None
    code: str
    field: str | None
    message: str


class Result(msgspec.Struct):
    """The outcome of a request with records: accepted + rejected = received."""

    accepted: int
    rejected: int
    errors: list[RecordError]
    request_id: str


class SegmentResult(msgspec.Struct):
    """The outcome as Segment's clients expect it, with ours beside."""

    success: bool
    accepted: int
    rejected: int
    errors: list[RecordError]
    request_id: str


class Refusal(msgspec.Struct):
    """A request that was refused as a whole; nothing of it is stored."""

    code: str
    message: str


class Answer(msgspec.Struct):
    """Status, headers and body."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


def result_answer(accepted: int, rejects: list[Reject], request_id: str, *, unreadable: bool = False) -> Answer:
    """200 all accepted, 207 some, 422 none, 400 if the body could not be read."""
    status = 400 if unreadable else 200 if not rejects else 207 if accepted else 422
    result = Result(accepted, len(rejects), _errors(rejects), request_id)
    return Answer(status, [JSON], _encode(result))


def segment_answer(accepted: int, rejects: list[Reject], request_id: str, *, unreadable: bool = False) -> Answer:
    """200 for every batch that was taken, as Segment's clients would send a refused batch again or drop it whole."""
    result = SegmentResult(not unreadable, accepted, len(rejects), _errors(rejects), request_id)
    return Answer(400 if unreadable else 200, [JSON], _encode(result))


def appsflyer_answer(accepted: int, rejects: list[Reject], request_id: str, *, unreadable: bool = False) -> Answer:
    """200 if the event was taken, else 400 with the reason, which its senders log where they would not see a 200."""
    return result_answer(accepted, rejects, request_id, unreadable=unreadable or bool(rejects))


def redirect(location: str) -> Answer:
    """302; never from a cache, as every click counts."""
    headers = [("location", location), ("cache-control", "no-store"), ("referrer-policy", "no-referrer")]
    return Answer(302, headers, b"")


def pixel(*, as_image: bool) -> Answer:
    """A transparent GIF of one pixel, or 204 without a body; never from a cache."""
    headers = [("cache-control", "no-store")]
    return Answer(200, [*headers, ("content-type", "image/gif")], _PIXEL) if as_image else Answer(204, headers, b"")


def refusal(code: str, **headers: str) -> Answer:
    """A refused request by its code in REQUEST_REASONS."""
    status, message = REQUEST_REASONS[code]
    listed = [JSON, *((name.replace("_", "-"), value) for name, value in headers.items())]
    if status == 401:
        listed.append(("www-authenticate", "Bearer"))
    if status in (429, 503) and "retry_after" not in headers:
        listed.append(("retry-after", str(RETRY_AFTER_SECONDS)))
    return Answer(status, listed, _encode({"error": Refusal(code, message)}))


def json_answer(status: int, value: Any) -> Answer:
    return Answer(status, [JSON], _encode(value))


def _errors(rejects: list[Reject]) -> list[RecordError]:
    return [RecordError(r.position, r.record_id, r.code, r.field, r.message) for r in rejects]
