"""AdAttributionKit postbacks: what Apple signed (a JWS, ES256), what stands beside it unsigned, and the key it names.

Postbacks of Apple's development keys are refused, unless the app takes them; then they are sandbox records.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final

from ingestion import exact
from ingestion.apple_keys import DEVELOPMENT, AppleKeys, verifies_raw
from ingestion.postbacks import INVALID, UNVERIFIABLE, VALID, Postback, make_postback, members
from ingestion.reasons import Rejected
from lakehouse.apps import AppRegistry

VERSION: Final = "AdAttributionKit"
JWS: Final = "jws-string"
_APP: Final = "advertised-item-identifier"
# Signed name -> contract field.
SIGNED_NAMES: Final[dict[str, str]] = {
    "postback-identifier": "transaction_id",
    "ad-network-identifier": "ad_network_id",
    "source-identifier": "source_identifier",
    "publisher-item-identifier": "source_app_id",
    "did-win": "did_win",
    "postback-sequence-index": "postback_sequence_index",
    "conversion-type": "conversion_type",
}
# Unsigned name -> contract field.
UNSIGNED_NAMES: Final[dict[str, str]] = {
    "conversion-value": "conversion_value",
    "coarse-conversion-value": "coarse_conversion_value",
    "country-code": "country",
}
# The fidelity type that SKAdNetwork has for it.
_FIDELITY: Final = {"click": "1", "view": "0"}


def read_postback(body: bytes, apps: AppRegistry, keys: AppleKeys) -> Postback:
    """The postback of a body; Rejected if it is none, none of a registered app, or a refused development one."""
    outer = exact.parse(body)
    header, payload, signature, message = _parts(outer.get(JWS))
    inner = exact.parse(payload)
    app_store_id = inner.get(_APP)
    if app_store_id is None:
        raise Rejected("missing_field", f"{_APP} is required", _APP)
    app = apps.of_app_store(str(app_store_id))
    if app is None:
        raise Rejected("unknown_app", f"no app has the app_store_id {str(app_store_id)[:32]} in apps.toml", _APP)
    key_id = str(header.get("kid"))
    is_development = key_id.startswith(DEVELOPMENT)
    if is_development and not app.allows_sandbox_postbacks:
        raise Rejected("sandbox_refused", f"{app.app_id} does not take postbacks of development keys", JWS)
    key = keys.by_id.get(key_id)
    if key is None:
        state = UNVERIFIABLE
    else:
        state = VALID if header.get("alg") == "ES256" and verifies_raw(key, signature, message) else INVALID
    values: dict[str, Any] = {field: inner.get(name) for name, field in SIGNED_NAMES.items()}
    values |= {field: outer.get(name) for name, field in UNSIGNED_NAMES.items()}
    values["skan_version"] = VERSION
    values["fidelity_type"] = _FIDELITY.get(str(outer.get("ad-interaction-type")))
    values["is_redownload"] = {"download": False, "redownload": True}.get(str(inner.get("conversion-type")))
    values["attribution_signature"] = base64.b64encode(signature).decode()
    values["environment"] = "sandbox" if is_development else None
    rest: dict[str, Any] = {n: value for n, value in members(body).items() if n not in UNSIGNED_NAMES and n != JWS}
    rest |= {n: value for n, value in members(payload).items() if n not in SIGNED_NAMES and n != _APP}
    rest["kid"] = key_id
    return make_postback(app, values, state, rest, body)


def _parts(jws: Any) -> tuple[dict[str, Any], bytes, bytes, bytes]:
    """Header, payload and signature of a compact JWS, and the bytes that are signed."""
    if jws is None:
        raise Rejected("missing_field", f"{JWS} is required", JWS)
    pieces = jws.split(".") if isinstance(jws, str) and jws.isascii() else []
    if len(pieces) != 3:
        raise Rejected("wrong_type", f"{JWS} is a compact JWS of three parts", JWS)
    try:
        header, payload, signature = (_decoded(piece) for piece in pieces)
    except (binascii.Error, ValueError):
        raise Rejected("wrong_type", f"{JWS} is not Base64url", JWS) from None
    return exact.parse(header), payload, signature, f"{pieces[0]}.{pieces[1]}".encode()


def _decoded(piece: str) -> bytes:
    return base64.b64decode(piece + "=" * (-len(piece) % 4), altchars=b"-_", validate=True)
