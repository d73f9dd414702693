"""Vectorised text: columns of numbers become columns of JSON text. Knows nothing of records or of the world.

A column is a pyarrow large string array. `join` is the one place where lines are made; pyarrow's element-wise join was
the quickest of five ways measured (`docs/simulator.md`). Constants given to `join` must be JSON already.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.integer[Any]]
Text = Any  # pa.LargeStringArray; pyarrow has no types to check

DAY_MS: Final = 86_400_000

_TYPE: Final = pa.large_string()
_HEX: Final = np.frombuffer(b"".join(b"%04x" % i for i in range(65_536)), dtype="<u4")
_CLOCK: Final = np.array([b"T%02d:%02d:%02d" % (i // 3600, i // 60 % 60, i % 60) for i in range(86_400)], dtype="S9")
_MILLIS: Final = np.array([b".%03dZ" % i for i in range(1000)], dtype="S5")
_INSTANT: Final = np.dtype([("date", "S10"), ("clock", "S9"), ("millis", "S5")])


def mix(keys: U64, salt: int) -> U64:
    """A bijection of 64-bit numbers (splitmix64): unlike keys stay unlike, and look random.

    Different salts give unrelated numbers for the same key.
    """
    x = keys + np.uint64((salt * 0x9E3779B97F4A7C15) & 0xFFFF_FFFF_FFFF_FFFF)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)), dtype=np.uint64)


def hex16(keys: U64) -> Text:
    """16 lower-case hexadecimal digits per key."""
    return _fixed(_hex_digits(keys))


def hex16_of(key: int) -> str:
    """The same of one key."""
    return f"{int(key):016x}"


def uuids(keys: U64, salt: int) -> Text:
    """Lower-case UUID text, two unrelated 64-bit halves per key."""
    high, low = _hex_digits(mix(keys, salt)), _hex_digits(mix(keys, salt + 1))
    out = np.full((len(keys), 36), ord("-"), dtype=np.uint8)
    out[:, 0:8], out[:, 9:13], out[:, 14:18] = high[:, :8], high[:, 8:12], high[:, 12:]
    out[:, 19:23], out[:, 24:36] = low[:, :4], low[:, 4:]
    return _fixed(out)


def instants(epoch_ms: I64) -> Text:
    """ISO 8601 with milliseconds and Z, of milliseconds since 1970 in UTC, up to the year 2199."""
    day = epoch_ms // DAY_MS
    rest = epoch_ms - day * DAY_MS
    second = rest // 1000
    out = np.empty(len(epoch_ms), dtype=_INSTANT)
    out["date"] = _dates()[day]
    out["clock"] = _CLOCK[second]
    out["millis"] = _MILLIS[rest - second * 1000]
    return _fixed(out.view(np.uint8).reshape(len(out), 24))


def dates(day_numbers: I64) -> Text:
    """ISO 8601 dates of days since 1970-01-01."""
    return pc.cast(pc.cast(pa.array(day_numbers.astype(np.int32)), pa.date32()), _TYPE)


def decimals(micros: I64, places: int) -> Text:
    """Decimal numbers with `places` digits after the point; what lies beyond must be zero."""
    step = 10 ** (6 - places)
    if np.any(micros % step):
        raise ValueError(f"amounts need more than {places} decimal places")
    size = np.abs(micros) // step
    whole = pc.cast(pa.array(size // 10**places), _TYPE)
    part = pc.utf8_lpad(pc.cast(pa.array(size % 10**places), _TYPE), width=places, padding="0")
    sign = pc.if_else(pa.array(micros < 0), _scalar("-"), _scalar(""))
    return join(sign, whole, ".", part)


def numbers(values: Ints) -> Text:
    """Whole numbers."""
    return pc.cast(pa.array(values), _TYPE)


def choose(table: Sequence[str], index: Ints) -> Text:
    """`table[index]` per row."""
    return _table(tuple(table)).take(pa.array(index))


def addresses(keys: U64) -> Text:
    """Device addresses from blocks that belong to nobody: three of four 10.0.0.0/8, else 2001:db8::/32.

    The lowest byte of a key is the host, the next two the network (a /24 or a /48): keys that differ in the lowest byte
    only are neighbours.
    """
    network = ((keys >> np.uint64(8)) & np.uint64(0xFFFF)).astype(np.int64)
    return join(_networks().take(pa.array(network)), choose(_OCTETS, (keys & np.uint64(255)).astype(np.int64)))


def only(mask: Bools, text: Text) -> Text:
    """`text` where the mask holds, else nothing."""
    return pc.if_else(pa.array(mask), text, _scalar(""))


def either(mask: Bools, yes: str, no: str) -> Text:
    """One of two constants per row."""
    return pc.if_else(pa.array(mask), _scalar(yes), _scalar(no))


def join(*pieces: Text | str) -> Text:
    """The pieces of each row one after the other; a `str` is the same in every row."""
    return pc.binary_join_element_wise(*(_scalar(p) if isinstance(p, str) else p for p in pieces), _scalar(""))


def concat(columns: Sequence[Text]) -> Text:
    """The columns one below the other."""
    return pa.concat_arrays(columns)


def take(column: Text, index: Ints) -> Text:
    """The rows of `index`, in its order."""
    return column.take(pa.array(index))


def raw(column: Text) -> tuple[memoryview, I64]:
    """The bytes of all rows without a copy, and where each row begins (and the last one ends)."""
    _, offsets, data = column.buffers()
    starts = np.frombuffer(offsets, dtype=np.int64)[column.offset : column.offset + len(column) + 1]
    return memoryview(data) if data is not None else memoryview(b""), starts


def from_strings(values: Sequence[str]) -> Text:
    """A column of Python strings."""
    return pa.array(values, _TYPE)


_OCTETS: Final = tuple(str(i) for i in range(256))


@lru_cache(maxsize=1)
def _dates() -> NDArray[np.bytes_]:
    return np.datetime_as_string(np.arange("1970-01-01", "2200-01-01", dtype="datetime64[D]")).astype("S10")


@lru_cache(maxsize=1)
def _networks() -> Text:
    return from_strings([f"2001:db8:{i:x}::" if i % 4 == 3 else f"10.{i >> 8}.{i & 255}." for i in range(65_536)])


@lru_cache(maxsize=1024)
def _table(values: tuple[str, ...]) -> Text:
    return pa.array(values, _TYPE)


@lru_cache(maxsize=4096)
def _scalar(value: str) -> Any:
    return pa.scalar(value, _TYPE)


def _hex_digits(keys: U64) -> NDArray[np.uint8]:
    out = np.empty((len(keys), 4), dtype="<u4")
    for i in range(4):
        out[:, i] = _HEX[((keys >> np.uint64(48 - 16 * i)) & np.uint64(0xFFFF)).astype(np.int64)]
    return out.view(np.uint8).reshape(len(keys), 16)


def _fixed(matrix: NDArray[np.uint8]) -> Text:
    """A column from rows of equal width."""
    rows, width = matrix.shape
    offsets = np.arange(rows + 1, dtype=np.int64) * width
    data = pa.py_buffer(np.ascontiguousarray(matrix))
    return pa.LargeStringArray.from_buffers(rows, pa.py_buffer(offsets), data)
