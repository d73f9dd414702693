"""Memory follows the people of a day, not the size of the world: seen from outside, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import pathlib, sys
from simulator.world import World, WorldConfig
world = World(WorldConfig(events=int(sys.argv[1]), days=60))
for batch in world.stream():
    for chunk in batch.chunks():
        pass
# Not ru_maxrss: it begins with the size of the process that started this one.
status = pathlib.Path("/proc/self/status").read_text()
print(int(status.partition("VmHWM:")[2].split()[0]) // 1024)
"""


def peak_mib(events: int) -> int:
    run = subprocess.run([sys.executable, "-c", CODE, str(events)], capture_output=True, text=True, check=True)
    return int(run.stdout)


@pytest.mark.slow
def test_three_million_events_stream_in_little_memory() -> None:
    """Streams 3 million events: the point is the size."""
    small, large = peak_mib(300_000), peak_mib(3_000_000)
    assert large < 420
    assert large - small < 250, "ten times the events must not need ten times the memory"
