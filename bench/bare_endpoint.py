"""The limit of the section `ingest`: the least an endpoint must do, with the same server on the same loop.

Decode the lines into the contract's structs, append the body, share one fdatasync among all that wait, answer.
No key, no rule, no answer per record, no landing. `python -m bench.bare_endpoint PORT FOLDER`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

from ingestion.records import RECORD


class _Log:
    """One file; a thread that writes all that waits and syncs once."""

    def __init__(self, path: Path, loop: asyncio.AbstractEventLoop) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._loop = loop
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._condition = threading.Condition()
        threading.Thread(target=self._run, daemon=True).start()

    def append(self, body: bytes) -> asyncio.Future[None]:
        future: asyncio.Future[None] = self._loop.create_future()
        with self._condition:
            self._waiting.append((body, future))
            self._condition.notify()
        return future

    def _run(self) -> None:
        while True:
            with self._condition:
                while not self._waiting:
                    self._condition.wait()
                group, self._waiting = self._waiting, []
            os.write(self._descriptor, b"".join(body for body, _ in group))
            os.fdatasync(self._descriptor)
            self._loop.call_soon_threadsafe(_wake, [future for _, future in group])


def _wake(futures: list[asyncio.Future[None]]) -> None:
    for future in futures:
        future.set_result(None)


async def _main(port: int, folder: Path) -> None:
    loop = asyncio.get_running_loop()
    log = _Log(folder / "bare.log", loop)
    decode = msgspec.json.Decoder(RECORD).decode

    async def answer(scope: Any, proto: Any) -> None:
        body = await proto()
        records = [decode(line) for line in body.split(b"\n") if line]
        await log.append(body)
        proto.response_bytes(200, [("content-type", "application/json")], b'{"accepted":%d}' % len(records))

    server = Server(
        answer,
        port=port,
        interface=Interfaces.RSGI,
        http=HTTPModes.http1,
        websockets=False,
        backlog=1_024,
        log_enabled=False,
    )
    loop.add_signal_handler(signal.SIGTERM, server.stop)
    await server.serve()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), Path(sys.argv[2])))
