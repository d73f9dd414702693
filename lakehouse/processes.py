"""Beginnings and ends of processes: a child that ends with its parent, so that a kill leaves no writer behind; and an
end that takes no longer than it must."""

from __future__ import annotations

import atexit
import ctypes
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Final, NoReturn

_PR_SET_PDEATHSIG: Final = 1


def die_with_parent(sign: signal.Signals = signal.SIGKILL) -> None:
    """Let the kernel send `sign` to this process when its parent ends, also when that is killed (Linux only)."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, sign)
    if os.getppid() != parent:  # it ended before the kernel knew
        os.kill(os.getpid(), sign)


def collect_less_often() -> None:
    """Let the garbage collector look through all objects about once a run, not every second.

    Where an orchestrator or dbt is loaded one look takes a quarter of a second, and finds next to nothing.
    """
    gc.set_threshold(10_000, 20, 20)


def leave_after(program: Callable[[], object]) -> NoReturn:
    """Call a program that ends by `sys.exit`, and leave with its code; any other error goes on."""
    try:
        program()
    except SystemExit as exit_:
        if not isinstance(exit_.code, int):
            raise
        leave(exit_.code)
    leave(0)


def leave(code: int) -> NoReturn:
    """End this process as `sys.exit` does: threads are waited for, exit functions run, output is written out.

    Only that objects are not taken apart one by one, which takes three seconds where an orchestrator was loaded and
    frees nothing that the kernel does not free at once. The standard library ends its forked processes like this.
    """
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os._exit(code)
