"""Seeds of models from one root seed, folds of users, and the version of this package's code."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray


def derive_seed(root: int, *parts: object) -> int:
    """A 31-bit seed that depends on the root seed and on what it is for, and on nothing else."""
    text = "\x1f".join([str(root), *map(str, parts)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") & 0x7FFF_FFFF


def user_folds(app_ids: Iterable[str], install_ids: Iterable[str], folds: int) -> NDArray[np.int64]:
    """Fold of each row by its user, so that all cuts of one user fall on the same side."""
    import zlib

    import numpy as np

    keys = (f"{app}\x1f{install}".encode() for app, install in zip(app_ids, install_ids, strict=True))
    return np.fromiter((zlib.crc32(key) % folds for key in keys), dtype=np.int64)


@cache
def code_version() -> str:
    """Twelve hex digits over the sources of this package: another text is another version, committed or not."""
    digest = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]
