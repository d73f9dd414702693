"""The HTTP endpoint as an RSGI application: routes, the order of checks, and the wait for durability.

The order of every writing request: who asks (`ingestion.gate`), read the body within bounds of size, time and memory,
know the key, check the records, append one frame to the spool, and answer only when that frame is on disk. What is
right or wrong about a record is `ingestion.validator`.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import re
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from granian.rsgi import ProtocolClosed

from ingestion import answers, bodies, origins
from ingestion.access import Denied, key_of
from ingestion.answers import Answer
from ingestion.apple_keys import PUBLISHED, AppleKeys
from ingestion.deadlines import Deadlines
from ingestion.disk import DiskGuard
from ingestion.frames import Request, encode_frame
from ingestion.gate import Caller, Gate
from ingestion.intake import Incoming, Intake, Visit
from ingestion.limits import Budget, Hold, MemoryFull, RateLimited
from ingestion.links import FORMAT, read_parameters
from ingestion.logs import place_of
from ingestion.metrics import Metrics
from ingestion.openapi import openapi_page
from ingestion.pace import delay
from ingestion.reasons import Rejected
from ingestion.routes import APPLE_ROUTES, APPSFLYER, CLICK, LINKS, SEGMENT_ROUTES, body_limit, resolve
from ingestion.spool import Spool, SpoolFull
from ingestion.stores import destination
from lakehouse.apps import App
from lakehouse.settings import Settings

log: Final = logging.getLogger("ingestion.endpoint")
# With the value `sdk`, the peer's address and user agent are those of the device.
SOURCE_HEADER: Final = "x-event-source"
# In the metrics only: the sender went away before its request was complete.
CLOSED: Final = 499
# Where a record came from, and how its sender wants to be answered, on routes that say so.
_SOURCES: Final = dict.fromkeys(SEGMENT_ROUTES, "segment") | dict.fromkeys(APPLE_ROUTES, "partner") | {APPSFLYER: "s2s"}
_ANSWERS: Final = dict.fromkeys(SEGMENT_ROUTES, answers.segment_answer) | {APPSFLYER: answers.appsflyer_answer}
# Bodies up to this size are read in one call and held as announced; larger ones are held as they come, so that a slow
# sender cannot keep memory from others by announcing much.
_READ_AT_ONCE: Final = 256 * 1024
# How much of a body that decides nothing is waited for, and how long.
_HEARD_OUT_BYTES: Final = 64 * 1024
_HEARD_OUT_SECONDS: Final = 2.0
# Part of the memory that requests may use of which only the body can say whose they are.
_KEYLESS_SHARE: Final = 8
_REQUEST_ID: Final = re.compile(r"^[A-Za-z0-9._:-]{8,128}$")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class _Refused(Exception):  # noqa: N818 - carries the answer
    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class _CutOffError(Exception):
    """The sender went away in the middle of its body."""


@dataclass(slots=True)
class _Sent:
    """The body of a request, and whether anybody has asked for it."""

    proto: Any
    is_asked_for: bool = False


class Endpoint:
    """One endpoint over one spool; all calls on one event loop."""

    def __init__(
        self,
        settings: Settings,
        *,
        spool: Spool,
        metrics: Metrics,
        clock: Callable[[], datetime],
        apple_keys: AppleKeys = PUBLISHED,
    ) -> None:
        self._settings, self._spool, self._metrics, self._clock = settings, spool, metrics, clock
        self._gate = Gate(settings)
        self._intake = Intake(settings, self._gate, apple_keys)
        self._disk = DiskGuard(spool.folder, settings.ingest_disk_reserve_bytes)
        self._deadlines = Deadlines(settings.ingest_body_seconds)
        self.memory = Budget(settings.ingest_memory_bytes)
        self._keyless_memory = Budget(settings.ingest_memory_bytes // _KEYLESS_SHARE)
        self.in_flight = 0
        self.is_draining = False
        prefix = secrets.token_hex(6)
        self._request_ids = (f"{prefix}-{number:x}" for number in itertools.count(1))
        metrics.watch_requests(self.memory, lambda: self.in_flight, self._disk)
        self._pages: dict[str, Callable[[], Answer]] = {
            "/healthz": lambda: answers.json_answer(200, {"alive": True}),
            "/readyz": self._readyz,
            "/metrics": lambda: Answer(200, [("content-type", "text/plain; version=0.0.4")], self._metrics.text()),
            "/openapi.json": lambda: Answer(200, [answers.JSON], openapi_page()),
        }

    async def __rsgi__(self, scope: Any, proto: Any) -> None:
        """Answer one request."""
        route, named_app = (scope.path, "") if scope.path in self._pages else resolve(scope.path) or ("other", "")
        request_id, started = next(self._request_ids), time.perf_counter()
        sent = _Sent(proto)
        self.in_flight += 1
        try:
            answer = await self._outcome(scope, sent, route, named_app, request_id)
            if answer is not None and not sent.is_asked_for:
                await _hear_out(scope.headers, proto)
        finally:
            self.in_flight -= 1
        if answer is None:
            self._metrics.answered(route, CLOSED)
            return
        self._metrics.answered(route, answer.status)
        self._finish(scope, answer, request_id)
        proto.response_bytes(answer.status, answer.headers, answer.body)
        if self._settings.ingest_log_requests:
            told = {"request_id": request_id, "route": route, "method": scope.method, "status": answer.status}
            log.info("answered", extra=told | {"milliseconds": round(1_000 * (time.perf_counter() - started), 1)})

    async def _outcome(self, scope: Any, sent: _Sent, route: str, named_app: str, request_id: str) -> Answer | None:
        """The answer, also where a request fails; None if nobody is there to be answered."""
        try:
            return await self._answer(scope, sent, route, named_app, request_id)
        except _Refused as refused:
            return refused.answer
        except RateLimited as limited:
            self._metrics.rate_limited.labels(limited.kind).inc()
            return answers.refusal("rate_limited", retry_after=str(math.ceil(limited.seconds)))
        except (_CutOffError, ProtocolClosed):
            return None
        except Exception as error:
            # A fault of ours; the sender may try again. The message of the error may quote a record, so only the place.
            log.error("%s failed: %s", route, place_of(error), extra={"request_id": request_id})
            return answers.refusal("unavailable")

    def _finish(self, scope: Any, answer: Answer, request_id: str) -> None:
        """Headers of every answer. The sender's own request id comes back if it is sane; the lake keeps ours."""
        theirs = scope.headers.get("x-request-id")
        answer.headers.append(("x-request-id", theirs if theirs and _REQUEST_ID.match(theirs) else request_id))
        origin = scope.headers.get("origin")
        if scope.method == "POST" and self._gate.knows_origin(origin):
            answer.headers += origins.answer_headers(origin)
        if self.is_draining:
            answer.headers.append(("connection", "close"))

    async def _answer(self, scope: Any, sent: _Sent, route: str, named_app: str, request_id: str) -> Answer:
        try:
            caller = self._gate.arrive(scope.client, scope.headers)
        except RateLimited as limited:
            if route != CLICK or scope.method not in ("GET", "HEAD"):
                raise
            # A person who shares an address with many still reaches the store; the click is not recorded.
            self._metrics.rate_limited.labels(limited.kind).inc()
            return await self._link(scope, route, named_app, None, request_id)
        if route == "other":
            return answers.refusal("not_found")
        if route in self._pages:
            if scope.method not in ("GET", "HEAD"):
                return answers.refusal("method_not_allowed", allow="GET, HEAD")
            return self._pages[route]()
        if route in LINKS:
            if scope.method not in ("GET", "HEAD"):
                return answers.refusal("method_not_allowed", allow="GET, HEAD")
            return await self._link(scope, route, named_app, caller, request_id)
        if scope.method == "OPTIONS" and caller.origin is not None:
            if self._gate.knows_origin(caller.origin):
                return origins.preflight_answer(caller.origin)
            return answers.refusal("origin_forbidden")
        if scope.method != "POST":
            return answers.refusal("method_not_allowed", allow="POST")
        if self.is_draining or self._disk.is_low:
            return answers.refusal("unavailable")
        return await self._post(scope, sent, route, named_app, caller, request_id)

    async def _post(
        self, scope: Any, sent: _Sent, route: str, named_app: str, caller: Caller, request_id: str
    ) -> Answer:
        headers = scope.headers
        content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        encoding = headers.get("content-encoding", "").strip().lower() or "identity"
        if content_type not in bodies.JSON_TYPES | bodies.NDJSON_TYPES:
            return answers.refusal("unsupported_media_type")
        if encoding not in bodies.ENCODINGS:
            return answers.refusal("unsupported_encoding", accept_encoding="gzip, zstd")
        own_header = headers.get("authentication") if route == APPSFLYER else None
        key = own_header or key_of(headers.get("authorization"), headers.get("x-write-key"))
        is_keyless = route in APPLE_ROUTES or (key is None and route in SEGMENT_ROUTES)
        try:
            app = None if is_keyless else self._intake.app_of(key, route, self._clock(), caller)
            with Hold(self._keyless_memory if is_keyless else self.memory) as hold:
                with self._deadlines.begin():
                    limit = body_limit(route, self._settings.ingest_max_body_bytes, is_keyless=is_keyless)
                    body = await self._read(sent, _length(headers.get("content-length")), hold, limit)
                is_device = headers.get(SOURCE_HEADER, "").strip().lower() == "sdk"
                address, agent = (str(caller.address), headers.get("user-agent")) if is_device else (None, None)
                source = _SOURCES.get(route) or ("sdk" if is_device else "s2s")
                incoming = Incoming(route, body, encoding, content_type, address, agent, named_app, caller)
                return await self._take(incoming, app, source, request_id, hold)
        except Denied as denied:
            return answers.refusal(denied.code)
        except MemoryFull:
            return answers.refusal("busy", connection="close")
        except TimeoutError:
            return answers.refusal("body_too_slow", connection="close")
        except bodies.TooLarge as error:
            return answers.refusal(error.code, connection="close")

    async def _take(self, incoming: Incoming, app: App | None, source: str, request_id: str, hold: Hold) -> Answer:
        """Check the records, wait until they are on disk, and say what became of them."""
        started, now = time.perf_counter(), self._clock()
        taken = self._intake.take(incoming, app, now)
        route, checked = incoming.route, taken.checked
        micros = (now - _EPOCH) // _MICROSECOND
        app_id = None if taken.app is None else taken.app.app_id
        request = Request(app_id, route, source, request_id, micros, taken.body_bytes)
        frame = encode_frame(request, checked)
        hold.add(len(frame))
        await self._store(frame)
        if held_back := delay(self._spool.lag):
            await asyncio.sleep(held_back)
        self._metrics.count(route, checked.accepted, checked.rejects, taken.body_bytes)
        self._metrics.ack_seconds.observe(time.perf_counter() - started)
        answer = _ANSWERS.get(route, answers.result_answer)
        return answer(checked.accepted, checked.rejects, request_id, unreadable=taken.is_unreadable)

    async def _read(self, sent: _Sent, length: int | None, hold: Hold, limit: int) -> bytes:
        """The body as sent; one beyond the limit is read before it is refused, so that its sender hears."""
        sent.is_asked_for, proto = True, sent.proto
        if length is not None and length <= min(limit, _READ_AT_ONCE):
            hold.add(length)
            body: bytes = await proto()
            return body
        if length is not None and length > 4 * limit:
            raise bodies.TooLarge("body_too_large")
        parts: list[bytes] = []
        size = empty = 0
        async for part in proto:
            # The server ends a chunked body with one empty part, and one that was cut off with two.
            empty = 0 if part else empty + 1
            size += len(part)
            if size <= limit:
                hold.add(len(part))
                parts.append(bytes(part))
            elif size > 4 * limit:
                break
        if size > limit:
            raise bodies.TooLarge("body_too_large")
        if empty > 1 or (length is not None and size < length):
            raise _CutOffError
        return b"".join(parts)

    async def _store(self, frame: bytes) -> None:
        if self._disk.is_low:
            raise _Refused(answers.refusal("unavailable"))
        self._disk.take(len(frame))
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            self._spool.append(frame, future)
        except SpoolFull:
            raise _Refused(answers.refusal("backlog")) from None
        try:
            await future
        except OSError:
            raise _Refused(answers.refusal("unavailable")) from None

    async def _link(self, scope: Any, route: str, named_app: str, caller: Caller | None, request_id: str) -> Answer:
        """Record the touch and send the person on. A click that cannot be recorded leads to its store all the same.

        Without a caller nothing is recorded.
        """
        started, now = time.perf_counter(), self._clock()
        app = self._intake.registry.apps.get(named_app)
        if app is None:
            return answers.refusal("no_such_app")
        agent = scope.headers.get("user-agent")
        address = str(caller.address) if caller is not None and caller.address is not None else None
        visit = self._intake.hit(route, app, scope.path, scope.query_string, address, agent, now)
        location = destination(app, visit.values, visit.click_id, agent) if route == CLICK else None
        if route == CLICK and location is None:
            return answers.refusal("no_store")
        if scope.method == "GET":  # HEAD is a look at the link, not a hit
            try:
                if caller is None:
                    raise _Refused(answers.refusal("rate_limited"))
                await self._record(route, app, visit, now, request_id)
            except _Refused:
                if location is None:
                    raise
                self._metrics.unrecorded_clicks.inc()
            self._metrics.ack_seconds.observe(time.perf_counter() - started)
        if location is not None:
            return answers.redirect(location)
        return answers.pixel(as_image=_wants_image(scope))

    async def _record(self, route: str, app: App, visit: Visit, now: datetime, request_id: str) -> None:
        if self.is_draining:
            raise _Refused(answers.refusal("unavailable"))
        request = Request(app.app_id, route, "link", request_id, (now - _EPOCH) // _MICROSECOND, 0)
        await self._store(encode_frame(request, visit.checked))
        self._metrics.count(route, visit.checked.accepted, visit.checked.rejects, 0)

    def _readyz(self) -> Answer:
        reason = None
        if self.is_draining:
            reason = "draining"
        elif self._spool.error:
            reason = "the spool cannot be written"
        elif self._disk.is_low:
            reason = "the disk is nearly full"
        return answers.json_answer(503 if reason else 200, {"ready": reason is None, "reason": reason})


def settle(loop: asyncio.AbstractEventLoop, futures: list[Any], error: OSError | None) -> None:
    """Wake the requests whose frames are durable (or failed); called by the spool from its own thread."""

    def wake() -> None:
        for future in futures:
            if not future.done():
                if error is None:
                    future.set_result(None)
                else:
                    future.set_exception(error)

    loop.call_soon_threadsafe(wake)


async def _hear_out(headers: Any, proto: Any) -> None:
    """Take a small body that the answer does not depend on.

    The server closes a connection whose body it has not read; if the body is on its way then, the sender's machine
    drops the answer and reports a reset instead.
    """
    length = _length(headers.get("content-length"))
    is_none = length == 0 if length is not None else headers.get("transfer-encoding") is None
    if is_none or (length or 0) > _HEARD_OUT_BYTES:
        return
    with suppress(TimeoutError, ProtocolClosed):
        async with asyncio.timeout(_HEARD_OUT_SECONDS):
            size = 0
            async for part in proto:
                size += len(part)
                if size > _HEARD_OUT_BYTES:
                    return


def _length(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None


def _wants_image(scope: Any) -> bool:
    """True if an impression is to be answered by a pixel: `format=gif` or `format=204`, else what Accept allows."""
    try:
        wanted = dict(read_parameters(scope.query_string)).get(FORMAT)
    except Rejected:
        wanted = None
    if wanted in ("gif", "204"):
        return wanted == "gif"
    accepted = scope.headers.get("accept") or "*/*"
    return any(kind in accepted for kind in ("image/gif", "image/*", "*/*"))
