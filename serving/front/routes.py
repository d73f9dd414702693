"""The front as an ASGI application: routes, headers, status codes, and how much runs at a time."""

from __future__ import annotations

import asyncio
import json
import logging
import tempfile
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Final

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from serving.errors import QueryError
from serving.front.codecs import DamagedBodyError, UnknownEncodingError, decoder, encode
from serving.front.execution import Answer, execute
from serving.front.handles import Handles
from serving.front.requests import BAD_ARGUMENTS, read_request
from serving.front.users import AUTHENTICATION_FAILED, REQUIRED_PASSWORD, Users, credentials
from serving.readonly import ACCESS_DENIED, READONLY
from serving.target import DATABASE, INSTANCE_HEADER

log = logging.getLogger(__name__)

TOO_MANY_QUERIES: Final = 202
_CANNOT_DECOMPRESS: Final = 271
_TOO_LARGE: Final = 307
_IN_MEMORY_BODY: Final = 8 * 1024 * 1024
_UNEXPECTED: Final = 1002

_STATUS: Final = {
    REQUIRED_PASSWORD: 401,
    AUTHENTICATION_FAILED: 403,
    ACCESS_DENIED: 403,
    READONLY: 403,
    48: 501,
    TOO_MANY_QUERIES: 503,
    159: 408,
    _TOO_LARGE: 413,
    **dict.fromkeys((6, 26, 27, 36, 38, 41, 53, 62, 69, 70, 72, 117, 130, 131, 271, 349, 456, 457), 400),
    **dict.fromkeys((46, 47, 50, 56, 60, 73, 78, 81, 115, 372), 404),
}
_CONTENT_TYPES: Final = {
    "JSON": "application/json; charset=UTF-8",
    "JSONCompact": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8; header=absent",
    "CSVWithNames": "text/csv; charset=UTF-8; header=present",
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "TabSeparatedWithNames": "text/tab-separated-values; charset=UTF-8",
    "XML": "application/xml; charset=UTF-8",
    "Native": "application/octet-stream",
    "RowBinary": "application/octet-stream",
    "RowBinaryWithNamesAndTypes": "application/octet-stream",
    "Arrow": "application/octet-stream",
    "ArrowStream": "application/octet-stream",
    "Parquet": "application/octet-stream",
}


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much the front takes on from one kind of user: queries that run, that wait, and how long they wait."""

    running: int
    waiting: int
    wait_s: float


READERS: Final = Bounds(running=4, waiting=32, wait_s=10.0)
# A place of their own, so that busy dashboards cannot keep fresh marts out.
PUBLISHERS: Final = Bounds(running=2, waiting=8, wait_s=60.0)


class Lane:
    """Worker threads for one kind of user, and the queue before them."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._pool = ThreadPoolExecutor(bounds.running, thread_name_prefix="query")
        self._free = asyncio.Semaphore(bounds.running)
        self._waiting = 0

    async def run(self, work: Callable[[], Answer]) -> Answer:
        """Result of `work` on a worker thread; QueryError when there is no place for it."""
        if self._free.locked() and self._waiting >= self._bounds.waiting:
            raise QueryError("Too many simultaneous queries.", TOO_MANY_QUERIES)
        self._waiting += 1
        try:
            await asyncio.wait_for(self._free.acquire(), self._bounds.wait_s)
        except TimeoutError:
            raise QueryError("Too many simultaneous queries: none ended in time.", TOO_MANY_QUERIES) from None
        finally:
            self._waiting -= 1
        running = self._pool.submit(work)
        loop = asyncio.get_running_loop()
        # The place is free when the thread is, also when the client has gone away before.
        running.add_done_callback(lambda _: loop.call_soon_threadsafe(self._free.release))
        return await asyncio.shield(asyncio.wrap_future(running))

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


class Front:
    """State of the application. `instance` tells a client of this home that it found the right server."""

    def __init__(self, handles: Handles, users: Users, instance: str, tmp_dir: Path) -> None:
        self.handles = handles
        self.users = users
        self.instance = instance
        self._tmp_dir = tmp_dir
        self._readers = Lane(READERS)
        self._publishers = Lane(PUBLISHERS)

    def application(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/ping", self.ping, methods=["GET"]),
                Route("/replicas_status", self.ping, methods=["GET"]),
                Route("/", self.query, methods=["GET", "POST"]),
            ]
        )

    def close(self) -> None:
        """Wait for running queries, then give the engine back."""
        self._readers.close()
        self._publishers.close()
        self.handles.close()

    async def ping(self, request: Request) -> Response:
        return Response("Ok.\n", headers={INSTANCE_HEADER: self.instance})

    async def query(self, request: Request) -> Response:
        query_id = request.query_params.get("query_id") or str(uuid.uuid4())
        headers = {"X-ClickHouse-Query-Id": _header(query_id), "X-ClickHouse-Timezone": "UTC"}
        try:
            if request.method == "GET" and not request.url.query:
                return Response("Ok.\n", headers=headers)
            user = self.users.authenticate(*credentials(request.headers, request.query_params))
            with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BODY, dir=str(self._tmp_dir)) as body:
                await _receive(request, body, user.max_body_bytes)
                asked = read_request(
                    request.method,
                    request.query_params.multi_items(),
                    request.headers,
                    body,
                )
                lane = self._readers if user.is_reader else self._publishers
                answer = await lane.run(partial(execute, self.handles, user, asked, DATABASE))
        except QueryError as error:
            return _refusal(error, headers)
        except ClientDisconnect:
            return Response(status_code=499)
        except Exception:
            log.exception("query %s failed", query_id)
            return _refusal(QueryError("The front failed; see its log.", _UNEXPECTED), headers)
        headers["X-ClickHouse-Summary"] = json.dumps(answer.summary)
        if answer.output_format:
            headers["X-ClickHouse-Format"] = answer.output_format
        content, encoding = encode(answer.body, request.headers.get("accept-encoding", ""))
        if encoding:
            headers["Content-Encoding"] = encoding
        media = _CONTENT_TYPES.get(answer.output_format, "text/plain; charset=UTF-8")
        return Response(content, headers=headers, media_type=media)


async def _receive(request: Request, body: IO[bytes], limit: int) -> None:
    """Decode the body into a file and rewind it; QueryError when it is damaged or exceeds the user's limit."""
    try:
        decode = decoder(request.headers.get("content-encoding", "").strip().lower())
        size = 0
        async for chunk in request.stream():
            data = decode.feed(chunk)
            size += len(data)
            if size > limit:
                raise QueryError(f"The body is larger than {limit} bytes.", _TOO_LARGE)
            body.write(data)
        decode.finish()
    except UnknownEncodingError as error:
        raise QueryError(f"Unknown Content-Encoding {error}.", BAD_ARGUMENTS) from None
    except DamagedBodyError as error:
        raise QueryError(f"The body cannot be decompressed: {error}.", _CANNOT_DECOMPRESS) from None
    body.seek(0)


def _refusal(error: QueryError, headers: dict[str, str]) -> Response:
    status = _STATUS.get(error.code, 500)
    headers["X-ClickHouse-Exception-Code"] = str(error.code)
    if status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="ClickHouse"'
    if status == 503:
        headers["Retry-After"] = "1"
    return Response(f"Code: {error.code}. DB::Exception: {error}\n", status, headers, "text/plain; charset=UTF-8")


def _header(text: str) -> str:
    """A client's text as a header value: one that could not be one is dropped."""
    return text if text.isascii() and text.isprintable() and len(text) <= 256 else ""
