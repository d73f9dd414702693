"""64-bit keys: where every id in the records comes from.

A record's key is a number that only it has, put through a bijection, so record ids never collide within an app. A
person's key makes all ids of its device. Nothing needs to be remembered to make the same ids again.
"""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np

from lakehouse.contract import RECORD_TYPES
from simulator.text import U64, mix

# Salts of the ids that a person's key makes. uuids() uses a salt and the next one.
INSTALL_ID, AD_ID, VENDOR_ID, USER_ID, ADDRESS = 11, 21, 31, 41, 51
# Salts of the ids that a record's key makes.
CLICK_ID, SESSION_ID, ORDER_ID, TRANSACTION_ID, DAMAGED_ID = 61, 71, 81, 91, 101

_CODES: Final = {name: code for code, name in enumerate(RECORD_TYPES)}
CROWD_CODE: Final = 30  # touches without an install count on their own


def salt_of(*parts: object) -> int:
    """A number that the parts stand for, the same on every machine."""
    digest = hashlib.blake2b("/".join(str(p) for p in parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def generator(*parts: object) -> np.random.Generator:
    """A random generator of its own for the parts, so that no draw depends on what was drawn elsewhere."""
    return np.random.Generator(np.random.PCG64(salt_of(*parts)))


def record_keys(record_type: str, day: int, rows: int, salt: int, part: int = 0) -> U64:
    """Keys of the records of one type, day and part (below 1,024); a part holds less than 2^28 rows."""
    return _keys(_CODES[record_type], day, rows, salt, part)


def crowd_keys(day: int, rows: int, salt: int, part: int) -> U64:
    """Keys of touches that lead to no install."""
    return _keys(CROWD_CODE, day, rows, salt, part)


def people_keys(day: int, rows: int) -> U64:
    """Plain keys of the installs of a day: day x 2^24 + number."""
    return np.uint64(day << 24) + np.arange(rows, dtype=np.uint64)


def _keys(code: int, day: int, rows: int, salt: int, part: int) -> U64:
    first = np.uint64((code << 59) | (day << 38) | (part << 28))
    return mix(first + np.arange(rows, dtype=np.uint64), salt)
