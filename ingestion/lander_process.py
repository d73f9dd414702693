"""`python -m ingestion.lander_process`: lands the segments it is told of until its input ends.

Only the endpoint starts it; both sides of their talk are in `ingestion.lander`.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from ingestion.frames import Damage
from ingestion.lander import Committed, Failed, Landed, Order, Ready, Refused
from ingestion.landing import Lane
from ingestion.logs import configure_logs
from ingestion.spool import keep_damage, segment_path
from lakehouse.processes import die_with_parent
from lakehouse.settings import Settings

# Weight a third of a request's under contention: the spool may grow a little while answers stay quick.
_NICENESS: Final = 5
# Decoding a segment takes about three times its size; beyond this DuckDB spills.
_MEMORY_LIMIT: Final = "384MB"
_FOREVER: Final = 1e9


class _Folder:
    """The sealed segments of a spool that the endpoint owns. Landed ones are deleted there, when it is told."""

    def __init__(self, folder: Path, writer: str) -> None:
        self.folder, self.writer = folder, writer

    def path(self, batch: int) -> Path:
        return segment_path(self.folder, batch)

    def set_aside(self, batch: int, damage: Damage) -> None:
        keep_damage(self.folder, batch, damage)

    def landed(self, batch: int) -> None:
        """Nothing: the report says so."""


def main() -> int:
    """Land until the input ends and all that was told has landed."""
    die_with_parent()
    # A terminal sends Ctrl-C to both; the endpoint decides when this one ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.nice(_NICENESS)
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
    settings = Settings.model_validate(order.settings | {"memory_limit": _MEMORY_LIMIT})
    configure_logs(settings)
    report = _reporter()
    lane = Lane(
        settings,
        on_landed=lambda batch, rows, seconds: report(Landed(batch, rows, seconds)),
        on_committed=lambda table, files, seconds: report(Committed(table, files, seconds)),
        on_failed=lambda failures: report(Failed(failures)),
    )
    try:
        lane.prepare()
    except Exception as error:  # the named boundary: whatever keeps the lake from being opened is said to the endpoint
        reason = str(error).partition("\n")[0]
        report(Refused(f"UNMOGROWP_LAKE cannot be used: no tables can be made in {settings.lake} ({reason})."))
        return 1
    lane.start(_Folder(Path(order.folder), order.writer))
    report(Ready())
    for line in sys.stdin.buffer:
        lane.enqueue(int(line))
    lane.stop(_FOREVER)
    return 0


def _reporter() -> Callable[[msgspec.Struct], None]:
    """Writes reports to what is standard output now; what a library prints goes to the log from here on."""
    stream = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def report(said: msgspec.Struct) -> None:
        stream.write(msgspec.json.encode(said) + b"\n")
        stream.flush()

    return report


if __name__ == "__main__":
    sys.exit(main())
