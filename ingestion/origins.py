"""Cross-origin requests of browsers: which web pages may send for which app (`origins` in apps.toml; none by default).

A preflight carries no key, so it is answered for an origin of any app; the request itself must be of its app's origins.
"""

from __future__ import annotations

from typing import Final

from ingestion.answers import Answer
from lakehouse.apps import AppRegistry

_ALLOWED_HEADERS: Final = "authorization, content-encoding, content-type, x-event-source, x-request-id, x-write-key"
_PREFLIGHT_SECONDS: Final = 600


def is_known(origin: str, registry: AppRegistry) -> bool:
    """Whether some app of the home takes requests from pages of this origin."""
    return origin in registry.origins


def preflight_answer(origin: str) -> Answer:
    """204 to a browser that asks whether it may send."""
    headers = [
        *answer_headers(origin),
        ("access-control-allow-methods", "POST"),
        ("access-control-allow-headers", _ALLOWED_HEADERS),
        ("access-control-max-age", str(_PREFLIGHT_SECONDS)),
    ]
    return Answer(204, headers, b"")


def answer_headers(origin: str) -> list[tuple[str, str]]:
    """Headers with which a browser lets its page read the answer. No cookies are ever asked for."""
    return [
        ("access-control-allow-origin", origin),
        ("access-control-expose-headers", "retry-after, x-request-id"),
        ("vary", "origin"),
    ]
