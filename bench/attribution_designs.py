"""Ways to find the candidates, compared on one world: `python -m bench.attribution_designs [touches] [installs]`.

Prints the least CPU seconds of all threads and wall seconds of three turns, each in a process of its own, and the rows.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.attribution import decision_home
from bench.attribution_limit import DESIGNS
from bench.attribution_process import cold
from bench.attribution_world import Size

_ROUNDS = 3


def main(arguments: list[str]) -> None:
    touches, installs = (int(text) for text in arguments or ("3000000", "150000"))
    measured: dict[str, list[dict[str, Any]]] = {name: [] for name in DESIGNS}
    with tempfile.TemporaryDirectory(prefix="unmogrowp-bench-") as folder:
        settings = decision_home(Path(folder), Size(touches, installs))
        for _ in range(_ROUNDS):
            for name, taken in measured.items():
                taken.append(cold(settings, ["limit", name]))
    for name, taken in measured.items():
        cpu, wall = (min(m[unit] for m in taken) for unit in ("cpu_seconds", "seconds"))
        peak = min(m["peak_mib"] for m in taken)
        print(f"{name:10} {cpu:7.1f} CPU s {wall:7.1f} s {peak:7.0f} MiB {taken[0]['rows']:12,} rows")


if __name__ == "__main__":
    main(sys.argv[1:])
