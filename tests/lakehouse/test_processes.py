"""The quick end of a process leaves nothing undone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import atexit, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from lakehouse.processes import leave

def slow():
    time.sleep(0.2)
    sys.stdout.write("a thread ended\\n")

atexit.register(lambda: sys.stdout.write("an exit function ran\\n"))
threading.Thread(target=slow).start()
ThreadPoolExecutor(1).submit(sys.stdout.write, "a pool worked\\n")
sys.stdout.write("not flushed\\n")
leave(int(sys.argv[1]))
sys.stdout.write("went on\\n")
"""


@pytest.mark.parametrize("code", [0, 3])
def test_leaving_waits_for_threads_runs_exit_functions_and_writes_all_output(code: int) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(code)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (code, "")
    assert sorted(done.stdout.splitlines()) == [
        "a pool worked",
        "a thread ended",
        "an exit function ran",
        "not flushed",
    ]


def test_the_command_of_runs_ends_as_dbt_does() -> None:
    command = str(Path(sys.executable).with_name("unmogrowp-dbt"))
    assert subprocess.run([command, "no-such-command"], capture_output=True, check=False).returncode == 2  # as dbt's


def test_an_error_of_the_program_still_has_its_trace() -> None:
    program = "import orchestration.cli as c; c.cli = lambda: 1 / 0; c.main()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
