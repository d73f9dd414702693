"""`python -m ingestion`: the endpoint without the rest of the platform."""

from __future__ import annotations

import logging
import sys

from ingestion.server import serve
from lakehouse.settings import SettingError, load_settings


def main() -> int:
    """Serve; 2 if a setting is wrong."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        serve(load_settings())
    except SettingError as error:
        sys.stderr.write(f"unmogrowp: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
