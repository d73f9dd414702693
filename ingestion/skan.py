"""SKAdNetwork postbacks (versions 2.1 to 4.0): field names, what Apple signed, and whether the signature is Apple's.

Conversion values are never signed: a valid signature says that the postback is Apple's, not that its values are.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

from ingestion import exact
from ingestion.apple_keys import AppleKeys, verifies
from ingestion.postbacks import INVALID, UNVERIFIABLE, VALID, Postback, make_postback, members
from ingestion.reasons import Rejected
from lakehouse.apps import AppRegistry

SEPARATOR: Final = "\u2063"
_BASE: Final = ("app-id", "transaction-id", "redownload")
_SOURCE: Final = "source-app-id or source-domain"
# Version -> what is signed, in this order; a source is signed only if it is there.
SIGNED_FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "2.1": ("version", "ad-network-id", "campaign-id", *_BASE, "source-app-id"),
    "2.2": ("version", "ad-network-id", "campaign-id", *_BASE, "source-app-id", "fidelity-type"),
    "3.0": ("version", "ad-network-id", "campaign-id", *_BASE, "source-app-id", "fidelity-type", "did-win"),
    "4.0": (
        *("version", "ad-network-id", "source-identifier", *_BASE),
        *(_SOURCE, "fidelity-type", "did-win", "postback-sequence-index"),
    ),
}
# Apple's name -> contract field.
NAMES: Final[dict[str, str]] = {
    "version": "skan_version",
    "ad-network-id": "ad_network_id",
    "transaction-id": "transaction_id",
    "campaign-id": "campaign_id",
    "source-identifier": "source_identifier",
    "source-app-id": "source_app_id",
    "source-domain": "source_domain",
    "redownload": "is_redownload",
    "fidelity-type": "fidelity_type",
    "did-win": "did_win",
    "conversion-value": "conversion_value",
    "coarse-conversion-value": "coarse_conversion_value",
    "postback-sequence-index": "postback_sequence_index",
    "country-code": "country",
    "attribution-signature": "attribution_signature",
}


def read_postback(body: bytes, apps: AppRegistry, keys: AppleKeys) -> Postback:
    """The postback of a body; Rejected if it is none, or none of a registered app."""
    given = exact.parse(body)
    app_store_id = given.get("app-id")
    if app_store_id is None:
        raise Rejected("missing_field", "app-id is required", "app-id")
    app = apps.of_app_store(str(app_store_id))
    if app is None:
        raise Rejected("unknown_app", f"no app has the app_store_id {str(app_store_id)[:32]} in apps.toml", "app-id")
    values = {field: given.get(name) for name, field in NAMES.items()}
    rest = {name: value for name, value in members(body).items() if name not in NAMES and name != "app-id"}
    return make_postback(app, values, signature_state(given, keys), rest, body)


def signature_state(given: Mapping[str, Any], keys: AppleKeys) -> str:
    """Whether Apple signed the postback; unverifiable in versions this knows no key or order for."""
    signed = SIGNED_FIELDS.get(str(given.get("version")))
    if signed is None:
        return UNVERIFIABLE
    message = signed_text(given, signed)
    try:
        signature = base64.b64decode(str(given.get("attribution-signature")), validate=True)
    except (binascii.Error, ValueError):
        return INVALID
    return VALID if message is not None and verifies(keys.skadnetwork, signature, message.encode()) else INVALID


def signed_text(given: Mapping[str, Any], signed: tuple[str, ...]) -> str | None:
    """The text Apple signed; None if a part of it is missing."""
    parts = []
    for name in signed:
        if name == _SOURCE:
            name = "source-app-id" if given.get("source-app-id") is not None else "source-domain"
        value = given.get(name)
        if value is None and name in ("source-app-id", "source-domain"):
            continue
        if not isinstance(value, (str, bool)):
            return None
        parts.append(str(value).lower() if isinstance(value, bool) else value)
    return SEPARATOR.join(parts)
