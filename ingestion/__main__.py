"""`python -m ingestion`: the endpoint without the rest of the platform."""

from __future__ import annotations

import sys

from ingestion.logs import configure_logs
from ingestion.server import serve
from lakehouse.settings import SettingError, load_settings


def main() -> int:
    """Serve; 2 if a setting is wrong."""
    try:
        settings = load_settings()
        configure_logs(settings)
        serve(settings)
    except SettingError as error:
        sys.stderr.write(f"unmogrowp: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
