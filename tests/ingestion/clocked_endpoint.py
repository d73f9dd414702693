"""`python -m tests.ingestion.clocked_endpoint`: the endpoint with a wall clock that jumps as its home says.

The file `clock` of the home holds the seconds by which it is wrong; `move_clock` changes them at once.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from ingestion.logs import configure_logs
from ingestion.server import serve
from lakehouse.settings import load_settings


def move_clock(home: Path, seconds: float) -> None:
    """Set how far the clock of a home's endpoint is wrong."""
    new = home / "clock.new"
    new.write_text(str(seconds), encoding="utf-8")
    new.replace(home / "clock")


def main() -> None:
    """Serve as `python -m ingestion` does."""
    settings = load_settings()
    configure_logs(settings)
    file = settings.home / "clock"
    serve(settings, clock=lambda: datetime.now(UTC) + timedelta(seconds=float(file.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()
