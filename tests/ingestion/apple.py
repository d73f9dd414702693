"""Apple's postbacks for tests: the examples Apple publishes with valid signatures, and a key to sign others with."""

from __future__ import annotations

import base64
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from ingestion.apple_keys import AppleKeys

APP_STORE_ID = "525463029"
_V4 = {"version": "4.0", "ad-network-id": "com.example", "app-id": 525463029, "redownload": False}
_V4 |= {"source-domain": "example.com", "fidelity-type": 1, "did-win": True, "postback-sequence-index": 0}
_V2 = {"ad-network-id": "com.example", "campaign-id": 42, "app-id": 525463029, "redownload": True}
_V2 |= {"transaction-id": "6aafb7a5-0170-41b5-bbe4-fe71dedf1e28", "source-app-id": 1234567891, "conversion-value": 20}

# From "Verifying an install-validation postback" and its neighbours in Apple's developer documentation.
PUBLISHED: dict[str, dict[str, Any]] = {
    "4.0 fine": _V4
    | {
        "source-identifier": "5239",
        "transaction-id": "6aafb7a5-0170-41b5-bbe4-fe71dedf1e30",
        "conversion-value": 63,
        "attribution-signature": "MEUCIGRmSMrqedNu6uaHyhVcifs118R5z/AB6cvRaKrRRHWR"
        "AiEAv96ne3dKQ5kJpbsfk4eYiePmrZUU6sQmo+7zfP/1Bxo=",
    },
    "4.0 coarse": _V4
    | {
        "source-identifier": "39",
        "transaction-id": "6aafb7a5-0170-41b5-bbe4-fe71dedf1e31",
        "coarse-conversion-value": "high",
        "attribution-signature": "MEUCIQD4rX6eh38qEhuUKHdap345UbmlzA7KEZ1bhWZuYM8M"
        "JwIgMnyiiZe6heabDkGwOaKBYrUXQhKtF3P/ERHqkR/XpuA=",
    },
    "3.0 winner": _V2
    | {
        "version": "3.0",
        "ad-network-id": "example123.skadnetwork",
        "fidelity-type": 1,
        "did-win": True,
        "attribution-signature": "MEYCIQD5eq3AUlamORiGovqFiHWI4RZT/PrM3VEiXUrsC+M5"
        "1wIhAPMANZA9c07raZJ64gVaXhB9+9yZj/X6DcNxONdccQij",
    },
    "3.0 loser": {
        "version": "3.0",
        "ad-network-id": "example123.skadnetwork",
        "campaign-id": 42,
        "transaction-id": "f9ac267a-a889-44ce-b5f7-0166d11461f0",
        "app-id": 525463029,
        "attribution-signature": "MEUCIQDDetUtkyc/MiQvVJ5I6HIO1E7l598572Wljot2Onzd"
        "4wIgVJLzVcyAV+TXksGNoa0DTMXEPgNPeHCmD4fw1ABXX0g=",
        "redownload": True,
        "fidelity-type": 1,
        "did-win": False,
    },
    "2.2": _V2
    | {
        "version": "2.2",
        "fidelity-type": 1,
        "attribution-signature": "MEYCIQDTuQ1Z4Tpy9D3aEKbxLl5J5iKiTumcqZikuY/AOD2U"
        "7QIhAJAaiAv89AoquHXJffcieEQXdWHpcV8ZgbKN0EwV9/sY",
    },
    "2.1": _V2
    | {
        "version": "2.1",
        "attribution-signature": "MEUCID6rbq3qt4GvFaAaynh5/LAcvn1d8CQTRhrZhLIxLKnt"
        "AiEAo7IrvoMw6u2qDg6Tr5vIsEHXjlLkPlCOL0ojJcEh3Qw=",
    },
}
# From "Identifying the parameters in a postback": signed by apple-development-identifier/1.
PUBLISHED_JWS = (
    "eyJraWQiOiJhcHBsZS1kZXZlbG9wbWVudC1pZGVudGlmaWVyXC8xIiwiYWxnIjoiRVMyNTYifQ."
    "eyJwb3N0YmFjay1pZGVudGlmaWVyIjoiODU1NDZFQjctRkQzOS00NEJDLTg5OTAtQzk4QTRBQzM2QTQ5IiwicHVibGlzaGVyLWl0ZW0taWRlbnRpZm"
    "llciI6MCwibWFya2V0cGxhY2UtaWRlbnRpZmllciI6ImNvbS5hcHBsZS5BcHBTdG9yZSIsImltcHJlc3Npb24tdHlwZSI6ImFwcC1pbXByZXNzaW9u"
    "IiwiYWQtbmV0d29yay1pZGVudGlmaWVyIjoiZGV2ZWxvcG1lbnQuYWRhdHRyaWJ1dGlvbmtpdCIsImRpZC13aW4iOnRydWUsInBvc3RiYWNrLXNlcX"
    "VlbmNlLWluZGV4IjowLCJjb252ZXJzaW9uLXR5cGUiOiJyZS1lbmdhZ2VtZW50Iiwic291cmNlLWlkZW50aWZpZXIiOiIxMjM0IiwiYWR2ZXJ0aXNl"
    "ZC1pdGVtLWlkZW50aWZpZXIiOjEwNzM4MDI3NzU2fQ."
    "bAdNwKd6OfHK9tofvjjua4X_JPcFTxXPQSspD9gZkinw97pY7R1aI-LSjl-oxZZF3_K2H5JK5TSEBee4_1U4oQ"
)
PUBLISHED_JWS_APP = "10738027756"

_KEY = ec.generate_private_key(ec.SECP256R1())
PRODUCTION_ID, DEVELOPMENT_ID = "apple-cas-identifier/0", "apple-development-identifier/0"
# Keys of a test that can sign; the endpoint is given them in place of Apple's.
TEST_KEYS = AppleKeys(_KEY.public_key(), {PRODUCTION_ID: _KEY.public_key(), DEVELOPMENT_ID: _KEY.public_key()})


def sign_text(text: str) -> str:
    """A signature as SKAdNetwork has it: DER in Base64."""
    return base64.b64encode(_KEY.sign(text.encode(), ec.ECDSA(SHA256()))).decode()


def jws(payload: dict[str, Any], key_id: str = PRODUCTION_ID, algorithm: str = "ES256") -> str:
    """A compact JWS (ES256) of a payload."""
    message = ".".join(_encoded(json.dumps(part).encode()) for part in ({"kid": key_id, "alg": algorithm}, payload))
    r, s = sign_halves(message.encode())
    return f"{message}.{_encoded(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def sign_halves(message: bytes) -> tuple[int, int]:
    """R and S of a signature."""
    return decode_dss_signature(_KEY.sign(message, ec.ECDSA(SHA256())))


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
