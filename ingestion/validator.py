"""The validator: records as text in, accepted records in canonical form and rejects out.

Every way into the lake passes here: the routes of the endpoint, the Segment mapping, the file importer. Shapes come
from `ingestion.records`, single values from `ingestion.values`, the slow and exact look from `ingestion.exact`.

The fast decoder ignores unknown keys and lets the last of two equal keys win. Both are noticed by counting: without
backslashes, every key and every text costs two quotation marks, so the sent and the canonical form of a record have
equally many unless a key was lost. Only records that fail this test get the exact look.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from msgspec import UNSET

from ingestion import exact
from ingestion.reasons import Reject, Rejected, reject
from ingestion.records import RULES, Rules, record_decoder
from ingestion.user_agents import parse_user_agent
from ingestion.values import BLANK, EMPTY_ID, SANE_FROM, SANE_UNTIL, address_packer, check_bounds, micros
from lakehouse.settings import Settings

_QUOTE: Final = b'"'
_BACKSLASH: Final = b"\\"
_PROPERTIES_OBJECT: Final = msgspec.json.Decoder(dict[str, Any])
# More marks than a body can have: a record that claims to have added them gets the exact look in any case.
_SUSPECT: Final = 1 << 40
_FAR: Final = datetime(2200, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Origin:
    """Who sends: the apps it may write to, and what the request itself tells of the device (None: nothing)."""

    apps: Container[str]
    known_apps: Container[str] = frozenset()
    address: str | None = None
    user_agent: str | None = None


class Section(msgspec.Struct, array_like=True, gc=False):
    """Accepted records of one bronze table in canonical form, one JSON object a line."""

    table: int  # index into lakehouse.contract.RECORD_TABLES
    count: int
    payload: bytes


@dataclass(slots=True)
class Checked:
    """The outcome for one request: `accepted` + len(`rejects`) = records given."""

    accepted: int = 0
    sections: list[Section] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)


class Validator:
    """Checks records against the contract. Holds no state but caches; not for use by several threads at once."""

    def __init__(self, settings: Settings) -> None:
        """SettingError if the salt of the address hash is missing, ValueError if the earliest time cannot be read."""
        self._decode = record_decoder()
        self._encoder = msgspec.json.Encoder()
        self._pack_address = address_packer(settings.secret("salt"))
        self._earliest = msgspec.convert(settings.ingest_earliest_event, datetime).astimezone(UTC)
        self._future = timedelta(hours=settings.ingest_future_hours)
        self._max_record = settings.ingest_max_record_bytes

    def check(
        self,
        lines: Sequence[bytes],
        origin: Origin,
        received_at: datetime,
        *,
        raws: Sequence[bytes] | None = None,
        positions: Sequence[int] | None = None,
    ) -> Checked:
        """Check records, one JSON object per line.

        `raws` are the bytes as received and `positions` the places in the request, where they differ from `lines`
        and from 0, 1, 2, ...
        """
        result = Checked()
        kept: list[tuple[int, Any, int]] = []  # index, record, quotation marks that checking added
        low, high = self._earliest, min(received_at + self._future, _FAR)
        refused_quotes = 0
        decode = self._decode
        for index, line in enumerate(lines):
            try:
                if len(line) > self._max_record:
                    raise Rejected("record_too_large", f"the record has more than {self._max_record} bytes")
                record = decode(line)
                kept.append((index, record, self._check(record, origin, low, high)))
            except (Rejected, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                verdict = error if isinstance(error, Rejected) else exact.explain(line, error)
                result.rejects.append(_reject(index, line, verdict, raws, positions))
                refused_quotes += line.count(_QUOTE)
        result.sections = self._encode(kept)
        if not _is_plain(lines, kept, result.sections, refused_quotes):
            kept = self._settle(lines, kept, raws, positions, result.rejects)
            result.sections = self._encode(kept)
            result.rejects.sort(key=lambda r: r.position)
        result.accepted = len(kept)
        return result

    def _check(self, record: Any, origin: Origin, low: datetime, high: datetime) -> int:
        """Rules beyond shape, in place; the number of quotation marks added to the canonical form."""
        rules = RULES[record.__class__]
        if record.app_id not in origin.apps:
            known = record.app_id in origin.known_apps
            code, text = ("wrong_app", "the write key is not for it") if known else ("unknown_app", "it is not known")
            raise Rejected(code, f"app_id {record.app_id!r}: {text}", "app_id")
        for name in rules.required_ids:
            if not getattr(record, name).strip(EMPTY_ID):
                raise Rejected("missing_field", f"{name} is required", name)
        instant = record.event_at
        if instant and not low <= instant <= high:
            check_bounds(instant, low, high, "event_at")
        for name in rules.instants:
            instant = getattr(record, name)
            if instant:
                check_bounds(instant, SANE_FROM, SANE_UNTIL, name)
        if rules.required_texts or rules.required_any or rules.money:
            _check_required(record, rules)
        added = 0
        if rules.has_address:
            added = self._device(record, origin)
        if record.properties is not UNSET:
            added += _flatten_properties(record)
        return added

    def _device(self, record: Any, origin: Origin) -> int:
        """Address and user agent: given, or those of the request; the quotation marks added."""
        added = 0
        if record.ip:
            record.ip = self._pack_address(record.ip)
        elif origin.address:
            added += _put(record, "ip", self._pack_address(origin.address))
        if not record.user_agent and origin.user_agent:
            added += _put(record, "user_agent", origin.user_agent[:2_048])
        if record.user_agent and not record.os_name:
            parsed = parse_user_agent(record.user_agent)
            for name in ("os_name", "os_version", "device_model"):
                value = getattr(parsed, name)
                if value and not getattr(record, name):
                    added += _put(record, name, value)
        return added

    def _settle(
        self,
        lines: Sequence[bytes],
        kept: list[tuple[int, Any, int]],
        raws: Sequence[bytes] | None,
        positions: Sequence[int] | None,
        rejects: list[Reject],
    ) -> list[tuple[int, Any, int]]:
        """Give every record whose marks do not add up the exact look; the records that remain."""
        settled = []
        for index, record, added in kept:
            line = lines[index]
            if _BACKSLASH in line or self._encoder.encode(record).count(_QUOTE) - added != line.count(_QUOTE):
                try:
                    properties = exact.settle(line, RULES[record.__class__])
                except Rejected as verdict:
                    rejects.append(_reject(index, line, verdict, raws, positions))
                    continue
                if properties is not None:
                    record.properties = properties
            settled.append((index, record, added))
        return settled

    def _encode(self, kept: list[tuple[int, Any, int]]) -> list[Section]:
        groups: dict[int, list[Any]] = {}
        for _, record, _ in kept:
            groups.setdefault(RULES[record.__class__].table, []).append(record)
        return [
            Section(table, len(records), self._encoder.encode_lines(records))
            for table, records in sorted(groups.items())
        ]


def _is_plain(
    lines: Sequence[bytes], kept: list[tuple[int, Any, int]], sections: list[Section], refused_quotes: int
) -> bool:
    """True if no kept record can have lost a key, judged by the marks of all records together.

    The sum may be trusted as checking never adds marks that it does not count: no record can hide another's loss.
    """
    body = b"\n".join(lines)
    if _BACKSLASH in body:
        return False
    canonical = sum(section.payload.count(_QUOTE) for section in sections) - sum(added for _, _, added in kept)
    return canonical == body.count(_QUOTE) - refused_quotes


def _put(record: Any, name: str, value: str) -> int:
    """Fill a field that the sender left empty; the quotation marks this adds to the canonical form."""
    before = getattr(record, name)
    setattr(record, name, value)
    return value.count('"') + (4 if before is UNSET else 2 if before is None else 0)


def _check_required(record: Any, rules: Rules) -> None:
    for name in rules.required_texts:
        if not getattr(record, name).strip(BLANK):
            raise Rejected("missing_field", f"{name} is required", name)
    if rules.required_any and not any(
        value and value.strip(EMPTY_ID) for value in (getattr(record, name) for name in rules.required_any)
    ):
        raise Rejected("missing_field", f"one of {', '.join(rules.required_any)} is required", rules.required_any[0])
    for name in rules.money:
        amount = getattr(record, name)
        if amount is UNSET or amount is None:
            continue
        setattr(record, name, micros(amount, name))
        if not record.currency:
            raise Rejected("currency_missing", f"{name} needs a currency", "currency")


def _flatten_properties(record: Any) -> int:
    """Turn the verbatim object into text, as it is stored; the quotation marks added."""
    given = bytes(record.properties)
    if given == b"null":
        record.properties = None
        return 0
    if not given.startswith(b"{"):
        raise Rejected("wrong_type", "properties is a JSON object", "properties")
    try:
        value = _PROPERTIES_OBJECT.decode(given)
        text = given.decode()
    except UnicodeDecodeError as error:
        raise Rejected("invalid_utf8", f"byte {error.start} of properties is not valid UTF-8", "properties") from None
    record.properties = exact.check_properties(text)
    nested = given.count(b"{") + given.count(b"[")
    lost = nested > exact.MAX_DEPTH or msgspec.json.encode(value).count(_QUOTE) != given.count(_QUOTE)
    return _SUSPECT if lost else 2


def _reject(
    index: int, line: bytes, verdict: Rejected, raws: Sequence[bytes] | None, positions: Sequence[int] | None
) -> Reject:
    raw = line if raws is None else raws[index]
    return reject(index if positions is None else positions[index], raw, verdict, readable_id(line))


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
