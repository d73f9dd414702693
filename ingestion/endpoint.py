"""The HTTP endpoint as an RSGI application: routes, authentication, limits, and the wait for durability.

The order of every writing request: read the body within bounds, know the key, check the records, append one frame to
the spool, and answer only when that frame is on disk. What is right or wrong about a record is `ingestion.validator`.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from granian.rsgi import ProtocolClosed

from ingestion import answers, bodies
from ingestion.access import Denied, key_of
from ingestion.answers import Answer
from ingestion.apple_keys import PUBLISHED, AppleKeys
from ingestion.frames import Request, encode_frame
from ingestion.intake import Incoming, Intake, Visit
from ingestion.links import FORMAT, read_parameters
from ingestion.metrics import Metrics
from ingestion.openapi import openapi_page
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
_IN_FLIGHT_BYTES: Final = 256 * 1024 * 1024
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class _Refused(Exception):  # noqa: N818 - carries the answer
    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class _CutOffError(Exception):
    """The sender went away in the middle of its body."""


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
        self._intake = Intake(settings, apple_keys)
        self._in_flight_bytes = 0
        self.in_flight = 0
        self.is_draining = False
        prefix = secrets.token_hex(6)
        self._request_ids = (f"{prefix}-{number:x}" for number in itertools.count(1))
        self._pages: dict[str, Callable[[], Answer]] = {
            "/healthz": lambda: answers.json_answer(200, {"alive": True}),
            "/readyz": self._readyz,
            "/metrics": lambda: Answer(200, [("content-type", "text/plain; version=0.0.4")], self._metrics.text()),
            "/openapi.json": lambda: Answer(200, [answers.JSON], openapi_page()),
        }

    async def __rsgi__(self, scope: Any, proto: Any) -> None:
        """Answer one request."""
        route, named_app = (scope.path, "") if scope.path in self._pages else resolve(scope.path) or ("other", "")
        self.in_flight += 1
        try:
            answer = await self._answer(scope, proto, route, named_app)
        except _Refused as refused:
            answer = refused.answer
        except (_CutOffError, ProtocolClosed):
            self._metrics.answered(route, CLOSED)  # nobody is there to be answered
            return
        except Exception:
            log.exception("%s failed", route)  # a fault of ours; the sender may try again
            answer = answers.refusal("unavailable")
        finally:
            self.in_flight -= 1
        self._metrics.answered(route, answer.status)
        proto.response_bytes(answer.status, answer.headers, answer.body)

    async def _answer(self, scope: Any, proto: Any, route: str, named_app: str) -> Answer:
        if route == "other":
            return answers.refusal("not_found")
        if route in self._pages:
            if scope.method not in ("GET", "HEAD"):
                return answers.refusal("method_not_allowed", allow="GET, HEAD")
            return self._pages[route]()
        if route in LINKS:
            if scope.method not in ("GET", "HEAD"):
                return answers.refusal("method_not_allowed", allow="GET, HEAD")
            return await self._link(scope, route, named_app)
        if scope.method != "POST":
            return answers.refusal("method_not_allowed", allow="POST")
        if self.is_draining:
            return answers.refusal("unavailable")
        return await self._post(scope, proto, route, named_app)

    async def _post(self, scope: Any, proto: Any, route: str, named_app: str) -> Answer:
        headers = scope.headers
        content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        encoding = headers.get("content-encoding", "").strip().lower() or "identity"
        if content_type not in bodies.JSON_TYPES | bodies.NDJSON_TYPES:
            return answers.refusal("unsupported_media_type")
        if encoding not in bodies.ENCODINGS:
            return answers.refusal("unsupported_encoding", accept_encoding="gzip, zstd")
        own_header = headers.get("authentication") if route == APPSFLYER else None
        key = own_header or key_of(headers.get("authorization"), headers.get("x-write-key"))
        length = _length(headers.get("content-length"))
        if self._in_flight_bytes + (length or 0) > _IN_FLIGHT_BYTES:
            return answers.refusal("backlog")
        self._in_flight_bytes += length or 0
        try:
            now = self._clock()
            is_open = route in APPLE_ROUTES or (key is None and route in SEGMENT_ROUTES)
            app = None if is_open else self._intake.app_of(key, route, now)
            body = await self._read(proto, length, route)
            is_device = headers.get(SOURCE_HEADER, "").strip().lower() == "sdk"
            address = _address(scope.client) if is_device else None
            agent = headers.get("user-agent") if is_device else None
            source = _SOURCES.get(route) or ("sdk" if is_device else "s2s")
            incoming = Incoming(route, body, encoding, content_type, address, agent, named_app)
            return await self._take(incoming, app, source)
        except Denied as denied:
            return answers.refusal(denied.code)
        except bodies.TooLarge as error:
            return answers.refusal(error.code, connection="close")
        finally:
            self._in_flight_bytes -= length or 0

    async def _take(self, incoming: Incoming, app: App | None, source: str) -> Answer:
        """Check the records, wait until they are on disk, and say what became of them."""
        started, now = time.perf_counter(), self._clock()
        taken = self._intake.take(incoming, app, now)
        route, checked, request_id = incoming.route, taken.checked, next(self._request_ids)
        micros = (now - _EPOCH) // _MICROSECOND
        app_id = None if taken.app is None else taken.app.app_id
        request = Request(app_id, route, source, request_id, micros, taken.body_bytes)
        await self._store(encode_frame(request, checked))
        self._metrics.count(route, checked.accepted, checked.rejects, taken.body_bytes)
        self._metrics.ack_seconds.observe(time.perf_counter() - started)
        answer = _ANSWERS.get(route, answers.result_answer)
        return answer(checked.accepted, checked.rejects, request_id, unreadable=taken.is_unreadable)

    async def _read(self, proto: Any, length: int | None, route: str) -> bytes:
        """The body as sent; one beyond the limit is read before it is refused, so that its sender hears."""
        limit = body_limit(route, self._settings.ingest_max_body_bytes)
        if length is not None and length <= limit:
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
                parts.append(bytes(part))
            elif size > 4 * limit:
                break
        if size > limit:
            raise bodies.TooLarge("body_too_large")
        if empty > 1:
            raise _CutOffError
        return b"".join(parts)

    async def _store(self, frame: bytes) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            self._spool.append(frame, future)
        except SpoolFull:
            raise _Refused(answers.refusal("backlog")) from None
        try:
            await future
        except OSError:
            raise _Refused(answers.refusal("unavailable")) from None

    async def _link(self, scope: Any, route: str, named_app: str) -> Answer:
        """Record the touch and send the person on. A click that cannot be recorded leads to its store all the same."""
        started, now = time.perf_counter(), self._clock()
        app = self._intake.registry.apps.get(named_app)
        if app is None:
            return answers.refusal("no_such_app")
        agent = scope.headers.get("user-agent")
        visit = self._intake.hit(route, app, scope.path, scope.query_string, _address(scope.client), agent, now)
        location = destination(app, visit.values, visit.click_id, agent) if route == CLICK else None
        if route == CLICK and location is None:
            return answers.refusal("no_store")
        request_id: str | None = None
        if scope.method == "GET":  # HEAD is a look at the link, not a hit
            try:
                request_id = await self._record(route, app, visit, now)
            except _Refused:
                if location is None:
                    raise
                self._metrics.unrecorded_clicks.inc()
            self._metrics.ack_seconds.observe(time.perf_counter() - started)
        if location is not None:
            return answers.redirect(location, request_id)
        return answers.pixel(request_id, as_image=_wants_image(scope))

    async def _record(self, route: str, app: App, visit: Visit, now: datetime) -> str:
        if self.is_draining:
            raise _Refused(answers.refusal("unavailable"))
        request_id = next(self._request_ids)
        request = Request(app.app_id, route, "link", request_id, (now - _EPOCH) // _MICROSECOND, 0)
        await self._store(encode_frame(request, visit.checked))
        self._metrics.count(route, visit.checked.accepted, visit.checked.rejects, 0)
        return request_id

    def _readyz(self) -> Answer:
        reason = "draining" if self.is_draining else "the spool cannot be written" if self._spool.error else None
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


def _address(client: str) -> str:
    """The address of a peer `address:port`."""
    return client.rpartition(":")[0].strip("[]")


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
