"""The writing routes by name: which path means which route, what a key must be allowed, and who needs none.

What a route does with a body is `ingestion.intake`; how it is answered is `ingestion.endpoint`.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote

from ingestion.bodies import KEYLESS_BYTES
from ingestion.segment import CALLS

EVENTS: Final = "/v1/events"
COSTS: Final = "/v1/costs"
CONSENTS: Final = "/v1/consents"
# Route that takes records of one type -> the type.
ONLY: Final[dict[str, str]] = {COSTS: "cost", CONSENTS: "consent"}
SEGMENT_BATCHES: Final = ("/v1/batch", "/v1/import")
SEGMENT_ROUTES: Final = (*SEGMENT_BATCHES, *(f"/v1/{call}" for call in CALLS))
SKAN: Final = "/v1/skan"
ADATTRIBUTIONKIT: Final = "/v1/adattributionkit"
# Apple's devices send here, without a key: the signature says who speaks.
APPLE_ROUTES: Final = (SKAN, ADATTRIBUTIONKIT)
# A postback has about 1 KB; anybody may send to these routes, so nobody may send much.
POSTBACK_BYTES: Final = 64 * 1024
APPSFLYER: Final = "/inappevent"
CLICK: Final = "/v1/click"
IMPRESSION: Final = "/v1/impression"
LINKS: Final[dict[str, str]] = {CLICK: "click", IMPRESSION: "impression"}
WITH_APP: Final = (CLICK, IMPRESSION, APPSFLYER)
POST_ROUTES: Final = (EVENTS, COSTS, CONSENTS, *SEGMENT_ROUTES, *APPLE_ROUTES, APPSFLYER)

# Other paths of the same routes: those that Apple's devices call on the domain in the app's property list, and the
# short names of Segment's browser and mobile clients.
ALIASES: Final[dict[str, str]] = {
    "/.well-known/skadnetwork/report-attribution": SKAN,
    "/.well-known/appattribution/report-attribution": ADATTRIBUTIONKIT,
    "/v1/b": "/v1/batch",
} | {f"/v1/{call[0]}": f"/v1/{call}" for call in CALLS}

_SCOPES: Final[dict[str, str]] = {COSTS: "cost", CONSENTS: "consent"} | dict.fromkeys(SEGMENT_ROUTES, "segment")
_PLAIN: Final = frozenset(POST_ROUTES) - {APPSFLYER}


def resolve(path: str) -> tuple[str, str] | None:
    """The writing route of a path and the app it names ("" if it names none); None if there is no such route."""
    if path in _PLAIN:
        return path, ""
    if route := ALIASES.get(path.removesuffix("/")):
        return route, ""
    head, _, app_id = path.rpartition("/")
    return (head, unquote(app_id)) if head in WITH_APP and app_id else None


def scope_of(route: str) -> str:
    """The scope that a key needs for the route."""
    return _SCOPES.get(route, "events")


def body_limit(route: str, limit: int, *, is_keyless: bool) -> int:
    """The largest body of the route, after decompression, where `limit` is that of the endpoint."""
    if route in APPLE_ROUTES:
        return min(limit, POSTBACK_BYTES)
    return min(limit, KEYLESS_BYTES) if is_keyless else limit
