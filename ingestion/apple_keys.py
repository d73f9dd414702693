"""Apple's public keys for postbacks, and the check of a P-256 signature with them.

The keys are published in "Verifying an install-validation postback" (SKAdNetwork 2.1 and later) and in "Verifying a
postback" (AdAttributionKit) of Apple's developer documentation; the production keys of both are the same. What exactly
is signed is `ingestion.skan` and `ingestion.adattributionkit`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

_PRODUCTION: Final = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEWdp8GPcGqmhgzEFj9Z2nSpQVddayaPe4FMzqM9wib1+aHaaIzoHoLN9zW4K8y4SPykE3YVK3sVqW"
    "6Af0lfx3gg=="
)
# Key id of AdAttributionKit -> key.
_BY_ID: Final = {
    "apple-cas-identifier/0": _PRODUCTION,
    "apple-development-identifier/0": (
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAELeEDzpJEP+/qRSE5hJVC1p1J0ssUnQGMzBBbvnACBok8OVGGLgxL0myrKiy6lvRtSlLRsWit"
        "87i+vftD8AEqeQ=="
    ),
    "apple-development-identifier/1": (
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE8YzdO7eM97s/IJ25kdW5CZ3A14USE5IJ5Ha/vhWaxI6UBI1ZxCEvjrKxVluVGe6qWwF1BDFq"
        "+QHqKfH5u+wxHQ=="
    ),
}
DEVELOPMENT: Final = "apple-development-identifier/"


@dataclass(frozen=True)
class AppleKeys:
    """The keys postbacks are checked with: one for SKAdNetwork, and those of AdAttributionKit by key id."""

    skadnetwork: ec.EllipticCurvePublicKey
    by_id: Mapping[str, ec.EllipticCurvePublicKey]


def public_key(text: str) -> ec.EllipticCurvePublicKey:
    """A P-256 public key from its X.509 form in Base64; ValueError if it is none."""
    key = load_der_public_key(base64.b64decode(text, validate=True))
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("not a P-256 public key")
    return key


PUBLISHED: Final = AppleKeys(public_key(_PRODUCTION), {name: public_key(text) for name, text in _BY_ID.items()})


def verifies(key: ec.EllipticCurvePublicKey, signature: bytes, message: bytes) -> bool:
    """True if the DER signature (ECDSA with SHA-256) of the message was made with this key."""
    try:
        key.verify(signature, message, ec.ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


def verifies_raw(key: ec.EllipticCurvePublicKey, signature: bytes, message: bytes) -> bool:
    """The same for a signature as JWS has it (RFC 7518 §3.4): R and S of 32 bytes each."""
    if len(signature) != 64:
        return False
    halves = (int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    return verifies(key, encode_dss_signature(*halves), message)
