"""Ties between processes: a child that ends with its parent, so that a kill leaves no writer behind."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def die_with_parent(sign: signal.Signals = signal.SIGKILL) -> None:
    """Let the kernel send `sign` to this process when its parent ends, also when that is killed (Linux only)."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, sign)
    if os.getppid() != parent:  # it ended before the kernel knew
        os.kill(os.getpid(), sign)
