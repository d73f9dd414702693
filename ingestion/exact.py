"""The exact look at one record as text: what the fast decoder cannot see, or cannot name.

Duplicate keys, unknown and server fields, lone surrogates, NaN and depth are found here; and when the fast decoder
refused a record, this says why in our codes. Slower than the decoder by a factor of ten, so `ingestion.validator`
comes here only for records that gave a reason to.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from ingestion.reasons import Rejected
from ingestion.records import SERVER_FIELDS, Rules
from lakehouse.contract import RECORD_TYPES

MAX_DEPTH: Final = 32
MAX_PROPERTIES: Final = 65_536

_TOP: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_PATH: Final = re.compile(r" - at `\$\.?([A-Za-z0-9_]*)")
# Message of msgspec -> our code; the first that matches. `tests/ingestion/test_bad_input.py` pins every line.
_MESSAGES: Final[tuple[tuple[str, str], ...]] = (
    ("with a timezone component", "naive_timestamp"),
    ("Invalid RFC3339 encoded datetime", "invalid_timestamp"),
    ("Invalid RFC3339 encoded date", "invalid_date"),
    ("Invalid enum value", "invalid_choice"),
    ("of length <=", "too_long"),
    ("Expected `int` <=", "integer_out_of_bounds"),
    ("Expected `int` >=", "integer_out_of_bounds"),
    ("Integer value out of range", "integer_out_of_bounds"),
    ("Number out of range", "not_finite"),
)


@dataclass(slots=True)
class _Findings:
    duplicate: str | None = None
    constant: str | None = None


def parse(line: bytes) -> dict[str, Any]:
    """The record as plain objects, numbers as text; Rejected if it is not exactly one sound JSON object."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Rejected("invalid_utf8", f"byte {error.start} is not valid UTF-8") from None
    findings = _Findings()

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(items)
        if len(result) != len(items) and findings.duplicate is None:
            seen: set[str] = set()
            findings.duplicate = next(k for k, _ in items if k in seen or seen.add(k))  # type: ignore[func-returns-value]
        return result

    def constant(name: str) -> str:
        findings.constant = name
        return name

    decoder = json.JSONDecoder(object_pairs_hook=pairs, parse_constant=constant, parse_int=str, parse_float=str)
    try:
        value = decoder.decode(text)
    except json.JSONDecodeError as error:
        raise Rejected("invalid_json", f"{error.msg} at character {error.pos}") from None
    except RecursionError:
        raise Rejected("too_deep", f"nested deeper than {MAX_DEPTH} levels") from None
    if not isinstance(value, dict):
        raise Rejected("not_an_object", "a record is a JSON object")
    if findings.constant is not None:
        field = next((k for k, v in value.items() if v == findings.constant), None)
        raise Rejected("not_finite", f"{findings.constant} is not a JSON number", field)
    if findings.duplicate is not None:
        name = _printable(findings.duplicate)
        raise Rejected("duplicate_key", f"key {name} stands there twice", name)
    if "\\u" in text:
        _refuse_surrogates(value)
    if _depth(value) > MAX_DEPTH:
        raise Rejected("too_deep", f"nested deeper than {MAX_DEPTH} levels")
    return value


def explain(line: bytes, error: Exception) -> Rejected:
    """Why the fast decoder refused the record."""
    try:
        value = parse(line)
    except Rejected as verdict:
        return verdict
    message = str(error)
    found = _PATH.search(message)
    field = found.group(1) if found and found.group(1) else None
    reason = message.split(" - at `", 1)[0]
    if "missing required field" in message:
        field = message.split("`")[1]
        return Rejected("missing_field", f"{field} is required", field)
    if field == "record_type":
        code = "wrong_type" if "Expected" in message else "unknown_record_type"
        return Rejected(code, f"record_type is one of {', '.join(RECORD_TYPES)}", field)
    if field == "currency" and "Invalid enum value" in message:
        return Rejected("unknown_currency", "currency is an upper-case ISO 4217 code", field)
    if "Invalid decimal" in message:
        text = str(value.get(field or "", "")).strip().lower().lstrip("+-")
        code = "not_finite" if text in {"nan", "inf", "infinity"} else "wrong_type"
        return Rejected(code, f"{field} is not a decimal number", field)
    if field is not None and value.get(field, "") is None:
        return Rejected("missing_field", f"{field} is required", field)
    code = next((code for text, code in _MESSAGES if text in message), "wrong_type")
    return Rejected(code, f"{field}: {reason}" if field else reason, field)


def settle(line: bytes, rules: Rules) -> str | None:
    """Check a record that the fast decoder took, and gather what it did not take.

    Returns the text of `properties` with unknown fields added, or None when there is nothing to change. A field of
    another record type is unknown here. If `properties` already has the name, the outer one becomes
    `$record.<name>`.
    """
    parse(line)
    top = _TOP.decode(line)
    unknown = top.keys() - rules.names - {"record_type"}
    if served := sorted(unknown & SERVER_FIELDS):
        raise Rejected("server_field", f"{served[0]} is set at receipt and cannot be sent", served[0])
    if not unknown:
        return None
    given = top.get("properties")
    properties: dict[str, msgspec.Raw] = {}
    if given is not None and bytes(given) != b"null":
        properties = _TOP.decode(given)
    for name in top:
        if name in unknown:
            properties[f"$record.{name}" if name in properties else name] = top[name]
    return check_properties(msgspec.json.encode(properties).decode())


def check_properties(text: str) -> str:
    if len(text) > MAX_PROPERTIES:
        raise Rejected("too_long", f"properties have more than {MAX_PROPERTIES} characters", "properties")
    return text


def _refuse_surrogates(value: dict[str, Any]) -> None:
    for name, item in value.items():
        text = json.dumps({name: item}, ensure_ascii=False)
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            name = _printable(name)
            raise Rejected("lone_surrogate", f"{name} holds half of a surrogate pair", name) from None


def _printable(name: str) -> str:
    """A key that may hold surrogates, as text that can be stored and answered."""
    return name[:256].encode("utf-8", "backslashreplace").decode()


def _depth(value: Any) -> int:
    """Levels of nesting, 1 for a flat object; without recursion, as it is what is being bounded."""
    depth, level = 0, [value]
    while level:
        depth += 1
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(v for v in item.values() if isinstance(v, (dict, list)))
            else:
                below.extend(v for v in item if isinstance(v, (dict, list)))
        level = below
    return depth


class _Named(msgspec.Struct):
    record_id: str | None = None


_NAMED: Final[Callable[[bytes], _Named]] = msgspec.json.Decoder(_Named).decode


def readable_id(line: bytes) -> str | None:
    """The record's id if the rest of the record lets it be read."""
    try:
        found = _NAMED(line).record_id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found[:256] if found else None
