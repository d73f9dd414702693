"""What SKAdNetwork and AdAttributionKit postbacks have in common: from Apple's names to a contract record.

Their signatures differ and are checked in `ingestion.skan` and `ingestion.adattributionkit`. A postback whose signature
is wrong is kept under an id of its own, so that it can never take the place of the true one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from ingestion.reasons import Rejected
from lakehouse.apps import App

VALID, INVALID, UNVERIFIABLE = "valid", "invalid", "unverifiable"
INTEGERS: Final = frozenset({"fidelity_type", "conversion_value", "postback_sequence_index"})
_MAX_CONVERSION_VALUE: Final = 63
_MAX_INDEX: Final = 2
_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True)
class Postback:
    """One postback as a contract record (JSON), the app it is about, and what its signature is."""

    app: App
    record: bytes
    signature_state: str


def members(text: bytes) -> dict[str, msgspec.Raw]:
    """The members of a JSON object as they were sent; for text that `exact.parse` has found sound."""
    return _MEMBERS.decode(text)


def make_postback(app: App, values: Mapping[str, Any], state: str, rest: Mapping[str, Any], source: bytes) -> Postback:
    """A postback from contract fields, numbers as text. `rest` is kept in properties; `source` are the bytes sent."""
    record: dict[str, Any] = {"app_id": app.app_id, "record_type": "skan_postback", "platform": "ios"}
    for name, value in values.items():
        if value is not None:
            record[name] = _integer(value, name) if name in INTEGERS else value
    index = record.get("postback_sequence_index", 0)  # before SKAdNetwork 4 there was one postback
    _check(record, index)
    record["record_id"] = _record_id(record.get("transaction_id"), index, state, source)
    if rest:
        record["properties"] = dict(rest)
    return Postback(app, msgspec.json.encode(record), state)


def _record_id(transaction_id: Any, index: int, state: str, source: bytes) -> str:
    """The same for every copy of a postback; of its bytes too unless Apple has signed it."""
    name = f"apple-{str(transaction_id)[:128].lower()}-{index}"
    return name if state == VALID else f"{name}-{hashlib.blake2b(source, digest_size=8).hexdigest()}"


def _integer(value: Any, name: str) -> int:
    text = value if isinstance(value, str) else ""
    if not text.removeprefix("-").isdecimal() or not text.isascii() or len(text) > 18:
        raise Rejected("wrong_type", f"{name} is an integer", name)
    return int(text)


def _check(record: Mapping[str, Any], index: int) -> None:
    if not 0 <= index <= _MAX_INDEX:
        raise Rejected("invalid_choice", f"postback_sequence_index is 0 to {_MAX_INDEX}", "postback_sequence_index")
    if not 0 <= record.get("conversion_value", 0) <= _MAX_CONVERSION_VALUE:
        raise Rejected("invalid_choice", f"conversion_value is 0 to {_MAX_CONVERSION_VALUE}", "conversion_value")
