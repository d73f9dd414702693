"""The validator: records as text in, accepted records in canonical form and rejects out.

Every way into the lake passes here: the routes of the endpoint, the Segment mapping, the file importer. Shapes come
from `ingestion.records`, single values from `ingestion.values`, the slow and exact look from `ingestion.exact`.

The fast decoder ignores unknown keys and lets the last of two equal keys win. Both are noticed by counting: without
backslashes, every key and every text costs two quotation marks, so the sent and the canonical form of a record have
equally many unless a key was lost. Only records that fail this test get the exact look.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from msgspec import UNSET

from ingestion import exact
from ingestion.bodies import lines_of
from ingestion.devices import Devices
from ingestion.reasons import Reject, Rejected, reject
from ingestion.records import RULES, Rules, record_decoder
from ingestion.sections import Parts, Section
from ingestion.sweep import sweep
from ingestion.values import BLANK, EMPTY_ID, SANE_FROM, SANE_UNTIL, check_bounds, micros
from lakehouse.settings import Settings

_QUOTE: Final = b'"'
_BACKSLASH: Final = b"\\"
_OBJECTS: Final = msgspec.json.Decoder(list[dict[str, Any]])
_MORE: Final = {kind: rules for kind, rules in RULES.items() if rules.has_more}
# Records that are swept together: a bad one costs its block another look, and a sweep has a beginning.
_BLOCK: Final = 64
_BLOCK_BYTES: Final = 32 * 1024
# What is swept again of a block that may hold a bad record.
_PART: Final = 16
_WITH_DEVICE: Final = frozenset(kind for kind, rules in RULES.items() if rules.has_address)
_TABLE: Final = {kind: rules.table for kind, rules in RULES.items()}
# Earliest and latest time of an event.
Bounds = tuple[datetime, datetime]


class Sender(msgspec.Struct, frozen=True):
    """Who sends: the apps it may write to, and what the request itself tells of the device (None: nothing)."""

    apps: Container[str]
    known_apps: Container[str] = frozenset()
    address: str | None = None
    user_agent: str | None = None

    @property
    def tells_device(self) -> bool:
        return self.address is not None or self.user_agent is not None


class Checked(msgspec.Struct):
    """The outcome for one request: `accepted` + len(`rejects`) = records given."""

    accepted: int = 0
    sections: list[Section] = []
    rejects: list[Reject] = []


class Validator:
    """Checks records against the contract. Holds no state but caches; not for use by several threads at once."""

    def __init__(self, settings: Settings) -> None:
        """SettingError if the salt of the address hash is missing, ValueError if the earliest time cannot be read."""
        self._decode = record_decoder()
        self._encoder = msgspec.json.Encoder()
        self._devices = Devices(settings.secret("salt"))
        self._earliest = msgspec.convert(settings.ingest_earliest_event, datetime).astimezone(UTC)
        self._future = timedelta(hours=settings.ingest_future_hours)
        self._max_record = settings.ingest_max_record_bytes

    def check(
        self,
        lines: Sequence[bytes],
        sender: Sender,
        received_at: datetime,
        *,
        raws: Sequence[bytes] | None = None,
        positions: Sequence[int] | None = None,
    ) -> Checked:
        """Check records, one JSON object per line.

        `raws` are the bytes as received and `positions` the places in the request, where they differ from `lines`
        and from 0, 1, 2, ...
        """
        bounds = self._earliest, min(received_at + self._future, SANE_UNTIL)
        result = Checked()
        parts = Parts()
        doubtful: list[int] = []
        for start in range(0, len(lines), _BLOCK):
            block = lines[start : start + _BLOCK]
            surely_good = self._try(block, sender, bounds)
            if surely_good is None:
                doubtful += self._sift(block, start, sender, bounds, parts)
            else:
                parts.add(surely_good)
        result.accepted = len(lines) - len(doubtful)
        if doubtful:
            self._look_closely(lines, doubtful, sender, bounds, raws, positions, result, parts)
        result.sections = parts.sections()
        return result

    def check_lines(self, body: bytes, sender: Sender, received_at: datetime) -> Checked:
        """Check records, one JSON object per line of `body`; blank lines do not count.

        Lines are taken apart only where one may be bad.
        """
        bounds = self._earliest, min(received_at + self._future, SANE_UNTIL)
        result = Checked()
        parts = Parts()
        doubtful: list[bytes] = []
        positions: list[int] = []
        start = position = 0
        while start < len(body):
            end = body.find(b"\n", start + _BLOCK_BYTES)
            block = body[start : end if end >= 0 else len(body)]
            start += len(block) + 1
            count = block.count(b"\n") + 1
            if count == 1:
                surely_good = self._one(block, sender, bounds)
            else:
                surely_good = self._sweep(block, count, sender, bounds) if len(block) <= self._max_record else None
            if surely_good is None:
                lines = lines_of(block)
                unsure = self._sift(lines, 0, sender, bounds, parts)
                result.accepted += len(lines) - len(unsure)
                doubtful += [lines[index] for index in unsure]
                positions += [position + index for index in unsure]
                position += len(lines)
            else:
                result.accepted += count
                position += count
                parts.add(surely_good)
        if doubtful:
            self._look_closely(doubtful, range(len(doubtful)), sender, bounds, None, positions, result, parts)
        result.sections = parts.sections()
        return result

    def _sift(self, lines: Sequence[bytes], first: int, sender: Sender, bounds: Bounds, parts: Parts) -> Sequence[int]:
        """The indexes, from `first`, of records in doubt after their block was: those of each part that is.

        A sender that does something wrong does it in every record: after two such parts all the rest is in doubt.
        """
        doubtful: list[int] = []
        parts_in_doubt = 0
        for start in range(0, len(lines), _PART):
            if parts_in_doubt == 2:
                return [*doubtful, *range(first + start, first + len(lines))]
            part = lines[start : start + _PART]
            surely_good = None if len(lines) <= _PART else self._try(part, sender, bounds)
            if surely_good is not None:
                parts.add(surely_good)
            else:
                parts_in_doubt += 1
                doubtful += range(first + start, first + start + len(part))
        return doubtful

    def _try(self, lines: Sequence[bytes], sender: Sender, bounds: Bounds) -> list[Section] | None:
        """The sections if all records are surely good."""
        if len(lines) == 1:
            return self._one(lines[0], sender, bounds)
        if max(map(len, lines)) > self._max_record:
            return None
        return self._sweep(b"\n".join(lines), len(lines), sender, bounds)

    def _look_closely(
        self,
        lines: Sequence[bytes],
        doubtful: Sequence[int],
        sender: Sender,
        bounds: Bounds,
        raws: Sequence[bytes] | None,
        positions: Sequence[int] | None,
        result: Checked,
        parts: Parts,
    ) -> None:
        """Check records one by one and add the outcome to `result` and `parts`."""
        kept = _Kept()
        refused_quotes = 0
        for index in doubtful:
            line = lines[index]
            try:
                record, added = self._judge(line, sender, *bounds)
            except (Rejected, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                verdict = error if isinstance(error, Rejected) else exact.explain(line, error)
                result.rejects.append(_reject(index, line, verdict, raws, positions))
                refused_quotes += line.count(_QUOTE)
            else:
                kept.add(index, record, added)
        sections = self._encode(kept.records)
        if not _is_plain([lines[index] for index in doubtful], kept, sections, refused_quotes):
            kept = self._settle(lines, kept, raws, positions, result.rejects)
            sections = self._encode(kept.records)
            result.rejects.sort(key=lambda r: r.position)
        result.accepted += len(kept.records)
        parts.add(sections)

    def _judge(self, line: bytes, sender: Sender, low: datetime, high: datetime) -> tuple[Any, int]:
        """A record, and the quotation marks that checking added; Rejected or an error of the decoder."""
        if len(line) > self._max_record:
            raise Rejected("record_too_large", f"the record has more than {self._max_record} bytes")
        record = self._decode(line)
        if record.app_id not in sender.apps:
            raise _foreign_app(record.app_id, sender)
        if not record.record_id.strip(EMPTY_ID):
            raise Rejected("missing_field", "record_id is required", "record_id")
        instant = record.event_at
        if instant and not low <= instant <= high:
            check_bounds(instant, low, high, "event_at")
        instant = record.sent_at
        if instant and not SANE_FROM <= instant <= SANE_UNTIL:
            check_bounds(instant, SANE_FROM, SANE_UNTIL, "sent_at")
        kind = record.__class__
        if kind in _MORE:
            _check_more(record, _MORE[kind])
        added = 0
        if kind in _WITH_DEVICE and (sender.tells_device or record.ip or record.user_agent):
            added = self._devices.fill(record, sender.address, sender.user_agent)
        properties = record.properties
        if properties is not UNSET:
            record.properties = _properties_text(properties)
            if record.properties is not None:
                added += 2
        return record, added

    def _one(self, line: bytes, sender: Sender, bounds: Bounds) -> list[Section] | None:
        """The section of a single record if it is surely good and no key was lost."""
        if _BACKSLASH in line:
            return None
        try:
            record, added = self._judge(line, sender, *bounds)
        except (Rejected, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        payload = self._encoder.encode(record) + b"\n"
        if payload.count(_QUOTE) - added != line.count(_QUOTE):
            return None
        if record.properties and not _has_all_keys([record.properties]):
            return None
        return [Section(_TABLE[record.__class__], 1, payload)]

    def _sweep(self, body: bytes, count: int, sender: Sender, bounds: Bounds) -> list[Section] | None:
        """The sections if all of `count` records, one a line, are surely good and no key was lost."""
        if _BACKSLASH in body:
            return None
        # The decoder takes two records on a line, and one on two. Between `}` and `{` no record goes on.
        ends = body.count(b"}\n{")
        if ends != count - 1 and ends + body.count(b"}\r\n{") != count - 1:
            return None
        found = sweep(body, count, sender.apps, *bounds)
        if found is None:
            return None
        groups, properties = found
        added = 2 * len(properties)
        try:
            for kind, members in groups.items():
                if kind in _WITH_DEVICE:
                    for record in members:
                        if sender.tells_device or record.ip or record.user_agent:
                            added += self._devices.fill(record, sender.address, sender.user_agent)
        except Rejected:
            return None
        sections = [
            Section(_TABLE[kind], len(members), self._encoder.encode_lines(members)) for kind, members in groups.items()
        ]
        canonical = sum(section.payload.count(_QUOTE) for section in sections) - added
        return sections if canonical == body.count(_QUOTE) and _has_all_keys(properties) else None

    def _settle(
        self,
        lines: Sequence[bytes],
        kept: _Kept,
        raws: Sequence[bytes] | None,
        positions: Sequence[int] | None,
        rejects: list[Reject],
    ) -> _Kept:
        """Give every record whose marks do not add up the exact look; what remains."""
        settled = _Kept()
        for index, record, added in zip(kept.indexes, kept.records, kept.added, strict=True):
            line = lines[index]
            marks = self._encoder.encode(record).count(_QUOTE) - added
            properties = record.properties or None
            if _BACKSLASH in line or marks != line.count(_QUOTE) or (properties and not _has_all_keys([properties])):
                try:
                    merged = exact.settle(line, RULES[record.__class__])
                except Rejected as verdict:
                    rejects.append(_reject(index, line, verdict, raws, positions))
                    continue
                if merged is not None:
                    record.properties = merged
            settled.add(index, record, added)
        return settled

    def _encode(self, records: list[Any]) -> list[Section]:
        groups: dict[int, list[Any]] = {}
        for record in records:
            groups.setdefault(_TABLE[record.__class__], []).append(record)
        return [
            Section(table, len(members), self._encoder.encode_lines(members))
            for table, members in sorted(groups.items())
        ]


@dataclass(slots=True)
class _Kept:
    """Records that passed so far: where they came from, and how many quotation marks checking added."""

    indexes: list[int] = field(default_factory=list)
    records: list[Any] = field(default_factory=list)
    added: list[int] = field(default_factory=list)

    def add(self, index: int, record: Any, added: int) -> None:
        self.indexes.append(index)
        self.records.append(record)
        self.added.append(added)


def _is_plain(lines: Sequence[bytes], kept: _Kept, sections: list[Section], refused_quotes: int) -> bool:
    """True if no kept record can have lost a key, judged by the marks of all records together.

    The sum may be trusted as checking never adds marks that it does not count: no record can hide another's loss.
    """
    body = b"\n".join(lines)
    if _BACKSLASH in body:
        return False
    canonical = sum(section.payload.count(_QUOTE) for section in sections) - sum(kept.added)
    properties = [record.properties for record in kept.records if record.properties]
    return canonical == body.count(_QUOTE) - refused_quotes and _has_all_keys(properties)


def _has_all_keys(properties: list[str]) -> bool:
    """True if decoding these objects, which have no backslashes, loses no key, and they are sound and not deep."""
    if not properties:
        return True
    if any(text.count("{") + text.count("[") > exact.MAX_DEPTH for text in properties):
        return False
    joined = f"[{','.join(properties)}]"
    try:
        values = _OBJECTS.decode(joined)
    except (msgspec.DecodeError, RecursionError):
        return False
    return msgspec.json.encode(values).count(_QUOTE) == joined.count('"')


def _foreign_app(app_id: str, sender: Sender) -> Rejected:
    if app_id in sender.known_apps:
        return Rejected("wrong_app", f"the write key is not for app {app_id}", "app_id")
    return Rejected("unknown_app", f"app {app_id[:128]} is not registered", "app_id")


def _check_more(record: Any, rules: Rules) -> None:
    """What the rules of its type ask of a record beyond what all have; turns money into micros."""
    for name in rules.required_ids:
        if not getattr(record, name).strip(EMPTY_ID):
            raise Rejected("missing_field", f"{name} is required", name)
    for name in rules.required_texts:
        if not getattr(record, name).strip(BLANK):
            raise Rejected("missing_field", f"{name} is required", name)
    if rules.required_any:
        for name in rules.required_any:
            value = getattr(record, name)
            if value and value.strip(EMPTY_ID):
                break
        else:
            names = ", ".join(rules.required_any)
            raise Rejected("missing_field", f"one of {names} is required", rules.required_any[0])
    for name in rules.instants:
        instant = getattr(record, name)
        if instant:
            check_bounds(instant, SANE_FROM, SANE_UNTIL, name)
    for name in rules.money:
        amount = getattr(record, name)
        if amount is not UNSET and amount is not None:
            setattr(record, name, micros(amount, name))
            if not record.currency:
                raise Rejected("currency_missing", f"{name} needs a currency", "currency")


def _properties_text(given: Any) -> str | None:
    """The verbatim object as text, as it is stored; None for null."""
    text = str(given, "utf-8")
    if text[0] != "{":
        if text == "null":
            return None
        raise Rejected("wrong_type", "properties is a JSON object", "properties")
    return exact.check_properties(text)


def _reject(
    index: int, line: bytes, verdict: Rejected, raws: Sequence[bytes] | None, positions: Sequence[int] | None
) -> Reject:
    raw = line if raws is None else raws[index]
    return reject(index if positions is None else positions[index], raw, verdict, exact.readable_id(line))
