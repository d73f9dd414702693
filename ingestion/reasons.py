"""Why a record, or a request, was refused: every code with its meaning, and the reject itself.

The tables here are what `docs/ingestion.md` and the OpenAPI page print. What makes a record wrong is decided in
`ingestion.validator` and its neighbours; how an answer looks on the wire in `ingestion.answers`.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from lakehouse.contract import REJECT_RAW_LIMIT

# Reasons of a row in bronze_rejects, and of an entry in `errors` of an answer.
RECORD_REASONS: Final[dict[str, str]] = {
    "amount_out_of_bounds": "The amount is beyond 1,000,000,000,000 units.",
    "currency_missing": "An amount was given without its currency.",
    "duplicate_key": "A JSON object names a key twice, so it is unclear which value is meant.",
    "empty_body": "The body holds no record.",
    "integer_out_of_bounds": "The integer does not fit in 64 bits.",
    "invalid_address": "The IP address is neither IPv4 nor IPv6.",
    "invalid_choice": "The value is not one of those the field may have.",
    "invalid_date": "The date is not an ISO 8601 calendar date.",
    "invalid_json": "The record is not valid JSON.",
    "invalid_row": "The row has not the columns its header announces, or a value cannot be converted.",
    "invalid_timestamp": "The timestamp is not RFC 3339 (like 2026-03-01T09:30:00Z).",
    "invalid_utf8": "The record is not valid UTF-8.",
    "lone_surrogate": "A text holds half of a surrogate pair, which is no character.",
    "missing_field": "A required field is absent, null, blank or a zero id.",
    "naive_timestamp": "The timestamp has no UTC offset.",
    "not_an_object": "The record is not a JSON object.",
    "not_finite": "The number is NaN, infinite, or beyond what a double can hold.",
    "record_too_large": "The record is larger than UNMOGROWP_INGEST_MAX_RECORD_BYTES.",
    "sandbox_refused": "A development key signed the postback, and the app does not take such.",
    "server_field": "The field is set at receipt and cannot be sent.",
    "spool_corrupt": "Acknowledged bytes were damaged on the disk of the endpoint; they are kept in quarantine.",
    "time_out_of_bounds": "The time lies before the earliest or after the latest time that is accepted.",
    "too_deep": "JSON is nested deeper than 32 levels.",
    "too_long": "The text is longer than the field may be.",
    "unknown_app": "No such app is registered.",
    "unknown_call": "The Segment call has no known type.",
    "unknown_currency": "The currency is not an ISO 4217 code.",
    "unknown_record_type": "The record type is not one of the contract.",
    "unreadable_body": "The body cannot be decompressed, or its JSON array cannot be read to its end.",
    "wrong_app": "The write key is not for this app.",
    "wrong_route": "The route takes records of one type only, and this is of another.",
    "wrong_type": "The value has another JSON type than the field.",
}

# Reasons of a refused request: nothing of it is stored, nothing is counted as received.
REQUEST_REASONS: Final[dict[str, tuple[int, str]]] = {
    "unauthorized": (401, "The write key is missing, unknown or expired."),
    "forbidden": (403, "The write key may not use this route."),
    "origin_forbidden": (403, "The app takes no requests from pages of this origin."),
    "not_found": (404, "There is no such route."),
    "no_such_app": (404, "The link names an app that is not registered."),
    "no_store": (404, "The app of the link has no store page: set play_store_id, app_store_id or web_url."),
    "method_not_allowed": (405, "The route does not take this method."),
    "body_too_slow": (408, "The body did not arrive within UNMOGROWP_INGEST_BODY_SECONDS."),
    "body_too_large": (413, "The body is larger than UNMOGROWP_INGEST_MAX_BODY_BYTES after decompression."),
    "too_many_records": (413, "The body holds more than 50,000 records."),
    "unsupported_media_type": (415, "The body must be JSON or NDJSON."),
    "unsupported_encoding": (415, "Content-Encoding must be gzip, zstd or identity."),
    "backlog": (429, "The spool waits to land; send again later."),
    "busy": (429, "Too many bytes of requests are in memory; send again later."),
    "rate_limited": (429, "Too many requests from this address or with this key; send again later."),
    "unavailable": (503, "The endpoint cannot store records now; send again later."),
}


class Reject(msgspec.Struct, array_like=True, gc=False):
    """One refused record. `raw` is the record as received, at most 64 KiB; beyond that only length and SHA-256."""

    position: int
    record_id: str | None
    code: str
    field: str | None
    message: str
    raw: bytes
    raw_length: int
    raw_sha256: str | None


class Rejected(Exception):  # noqa: N818 - it is a verdict about a record, not an error of the program
    """A record is refused: reason code, message, field when one is to blame."""

    def __init__(self, code: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field


def reject(position: int, raw: bytes, verdict: Rejected, record_id: str | None = None) -> Reject:
    """The reject of a record at a 0-based position."""
    large = len(raw) > REJECT_RAW_LIMIT
    return Reject(
        position=position,
        record_id=record_id,
        code=verdict.code,
        field=verdict.field,
        message=verdict.message,
        raw=b"" if large else raw,
        raw_length=len(raw),
        raw_sha256=hashlib.sha256(raw).hexdigest() if large else None,
    )
