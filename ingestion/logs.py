"""What the endpoint writes to stderr: lines or JSON objects, and never a secret.

Senders' data (keys, addresses, queries, records) is not logged in the first place. Secrets of the settings, which a
library may quote in an error, are replaced here.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from datetime import UTC, datetime
from typing import Final

from pydantic import SecretStr

from lakehouse.settings import Settings

_HIDDEN: Final = "[secret]"
_AUTHORIZATION: Final = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9+/=._~-]{8,}")
_IN_URLS: Final = re.compile(r"(?<=//)[^/\s:@]+:[^/\s@]+(?=@)|(?<=\?)[^\s\"']+")
# What a log call may add to its line with `extra`.
_EXTRAS: Final = ("request_id", "route", "method", "status", "milliseconds", "batch", "table", "fault")


def configure_logs(settings: Settings) -> None:
    """Send the log of this process to stderr in the form the settings ask for."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter(settings))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


class Formatter(logging.Formatter):
    """One line per record, secrets replaced."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._is_json = settings.ingest_log_format == "json"
        secrets = [v.get_secret_value() for v in dict(settings).values() if isinstance(v, SecretStr)]
        # All options of the store: which of them are secret differs by store, and none helps in a log.
        secrets += [v for v in settings.storage_options.values() if len(v) >= 8]
        self._secrets = sorted(secrets, key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": self._clean(record.getMessage()),
        }
        told |= {name: getattr(record, name) for name in _EXTRAS if hasattr(record, name)}
        if record.exc_info:
            told["error"] = self._clean("".join(traceback.format_exception(*record.exc_info)).strip())
        if self._is_json:
            return json.dumps(told, ensure_ascii=False, default=str)
        head = " ".join(str(told.pop(name)) for name in ("time", "level", "logger", "message"))
        error = told.pop("error", None)
        line = " ".join([head, *(f"{name}={value}" for name, value in told.items())])
        return f"{line}\n{error}" if error else line

    def _clean(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, _HIDDEN)
        return _IN_URLS.sub(_HIDDEN, _AUTHORIZATION.sub(rf"\1 {_HIDDEN}", text))


def place_of(error: BaseException) -> str:
    """Kind of an error and where it was raised, without its message, which may quote what somebody sent."""
    frames = traceback.extract_tb(error.__traceback__)
    places = " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames))
    return f"{type(error).__name__} in {places}"
