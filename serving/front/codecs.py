"""Compressed bodies as HTTP names them: gzip, deflate, zstd, and ClickHouse's lz4 (an LZ4 frame)."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from typing import Any, Final, Protocol

# Fastest first: the front serves its own machine, where CPU costs more than bytes.
_PREFERENCE: Final = ("lz4", "zstd", "gzip", "deflate")
# Below this a header costs more than compression saves.
MIN_COMPRESSED_BYTES: Final = 1024


class UnknownEncodingError(Exception):
    """A request's Content-Encoding is none that the front reads."""


class DamagedBodyError(Exception):
    """A request's body is not what its Content-Encoding says."""


class Decoder(Protocol):
    """Decodes a body piece by piece; `finish` raises DamagedBodyError when the body ended too early."""

    def feed(self, data: bytes) -> bytes: ...

    def finish(self) -> None: ...


class _Plain:
    def feed(self, data: bytes) -> bytes:
        return data

    def finish(self) -> None:
        return None


class _Streaming:
    def __init__(self, decompressor: Any, errors: tuple[type[Exception], ...]) -> None:
        self._decompressor = decompressor
        self._errors = errors
        self._has_begun = False

    def feed(self, data: bytes) -> bytes:
        if not data:
            return b""
        self._has_begun = True
        try:
            return bytes(self._decompressor.decompress(data))
        except self._errors as error:
            raise DamagedBodyError(str(error)) from None

    def finish(self) -> None:
        if self._has_begun and not self._decompressor.eof:
            raise DamagedBodyError("the compressed body ends too early")


def decoder(encoding: str) -> Decoder:
    """Decoder for a Content-Encoding; UnknownEncodingError for another one."""
    if encoding in ("", "identity"):
        return _Plain()
    if encoding == "gzip":
        return _Streaming(zlib.decompressobj(wbits=31), (zlib.error,))
    if encoding == "deflate":
        return _Streaming(zlib.decompressobj(), (zlib.error,))
    if encoding == "zstd":
        import zstandard

        return _Streaming(zstandard.ZstdDecompressor().decompressobj(), (zstandard.ZstdError,))
    if encoding == "lz4":
        import lz4.frame  # type: ignore[import-untyped]

        return _Streaming(lz4.frame.LZ4FrameDecompressor(), (RuntimeError,))
    raise UnknownEncodingError(encoding)


def encode(body: bytes, accepted: str) -> tuple[bytes, str]:
    """The body in the fastest encoding that an Accept-Encoding header allows, and its name (empty: as it is)."""
    if len(body) < MIN_COMPRESSED_BYTES:
        return body, ""
    names = [item.partition(";") for item in accepted.lower().split(",")]
    allowed = {name.strip() for name, _, quality in names if quality.replace(" ", "") not in ("q=0", "q=0.0")}
    for name in _PREFERENCE:
        if name in allowed:
            return _ENCODERS[name](body), name
    return body, ""


def _lz4(body: bytes) -> bytes:
    import lz4.frame

    return bytes(lz4.frame.compress(body))


def _zstd(body: bytes) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor(level=1).compress(body)


_ENCODERS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "lz4": _lz4,
    "zstd": _zstd,
    "gzip": lambda body: gzip.compress(body, compresslevel=1, mtime=0),
    "deflate": lambda body: zlib.compress(body, 1),
}
