"""Apple's postbacks: Apple's own examples verify, nothing else does, and every postback is found once."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest

from ingestion import adattributionkit, skan
from ingestion.apple_keys import PUBLISHED, verifies_raw
from ingestion.reasons import Rejected
from lakehouse.apps import App, AppRegistry, save_apps
from lakehouse.settings import Settings
from tests.ingestion import apple
from tests.ingestion.rig import NOW, Reply, Running, make_settings, start_thread

GAME = App(app_id="game.ios", platform="ios", app_store_id=apple.APP_STORE_ID)
TESTER = App(app_id="tester.ios", platform="ios", app_store_id=apple.PUBLISHED_JWS_APP, allows_sandbox_postbacks=True)
APPS = AppRegistry((GAME, TESTER))


def register(settings: Settings) -> dict[str, str]:
    save_apps(settings, (GAME, TESTER))
    return {}


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    settings = make_settings(tmp_path_factory.mktemp("postbacks"), ingest_commit_seconds=0.2)
    with start_thread(settings, clock=lambda: NOW, register=register, apple_keys=apple.TEST_KEYS) as running:
        yield running


def read_skan(postback: dict[str, Any], keys: Any = PUBLISHED) -> tuple[str, dict[str, Any]]:
    found = skan.read_postback(json.dumps(postback).encode(), APPS, keys)
    return found.signature_state, json.loads(found.record)


def read_kit(postback: dict[str, Any], keys: Any = PUBLISHED) -> tuple[str, dict[str, Any]]:
    found = adattributionkit.read_postback(json.dumps(postback).encode(), APPS, keys)
    return found.signature_state, json.loads(found.record)


# ---- SKAdNetwork signatures


@pytest.mark.parametrize("name", apple.PUBLISHED)
def test_apples_own_examples_are_valid(name: str) -> None:
    state, record = read_skan(apple.PUBLISHED[name])
    assert state == "valid"
    assert record["app_id"] == "game.ios"


SIGNED_CHANGES: dict[str, Any] = {
    "version": "2.2", "ad-network-id": "other", "campaign-id": 43, "source-identifier": "5230", "did-win": False,
    "transaction-id": "x", "redownload": False, "source-app-id": 5, "source-domain": "evil.example", "fidelity-type": 0,
    "postback-sequence-index": 1,
}  # fmt: skip


@pytest.mark.parametrize("name", ["4.0 fine", "3.0 winner", "2.1"])
def test_a_change_of_anything_signed_makes_it_invalid(name: str) -> None:
    postback = apple.PUBLISHED[name]
    changes = {field: value for field, value in SIGNED_CHANGES.items() if postback.get(field) not in (None, value)}
    if name == "4.0 fine":
        changes["redownload"] = True
    assert len(changes) >= 5
    for field, value in changes.items():
        assert read_skan(postback | {field: value})[0] == "invalid", field
        assert read_skan({k: v for k, v in postback.items() if k != field})[0] in {"invalid", "unverifiable"}, field


def test_a_conversion_value_is_not_signed() -> None:
    state, record = read_skan(apple.PUBLISHED["4.0 fine"] | {"conversion-value": 1})
    assert (state, record["conversion_value"]) == ("valid", 1)


@pytest.mark.parametrize("signature", [None, "", "no base64!", "AAAA", "MEUC", "\u00e9", 5])
def test_a_signature_that_is_none_is_invalid(signature: Any) -> None:
    postback = apple.PUBLISHED["3.0 loser"] | {"attribution-signature": signature}
    found = skan.signature_state({k: str(v) if k == "app-id" else v for k, v in postback.items()}, PUBLISHED)
    assert found == "invalid"


@pytest.mark.parametrize("version", ["1.0", "2.0", "5.0", "", None])
def test_a_version_without_a_known_key_is_unverifiable(version: str | None) -> None:
    assert skan.signature_state(apple.PUBLISHED["2.1"] | {"version": version}, PUBLISHED) == "unverifiable"


def test_a_forged_copy_never_takes_the_place_of_the_true_one() -> None:
    true = apple.PUBLISHED["4.0 fine"]
    ids = [read_skan(true | change)[1]["record_id"] for change in ({}, {"conversion-value": 1}, {"did-win": False})]
    assert ids[0] == ids[1] == "apple-6aafb7a5-0170-41b5-bbe4-fe71dedf1e30-0"
    assert ids[2].startswith(f"{ids[0]}-")


def test_fields_get_their_contract_names_and_others_are_kept() -> None:
    _, record = read_skan(apple.PUBLISHED["3.0 winner"] | {"new-field": 1.50})
    del record["attribution_signature"]
    assert record == {
        "app_id": "game.ios", "record_type": "skan_postback", "platform": "ios", "skan_version": "3.0",
        "record_id": "apple-6aafb7a5-0170-41b5-bbe4-fe71dedf1e28-0", "ad_network_id": "example123.skadnetwork",
        "transaction_id": "6aafb7a5-0170-41b5-bbe4-fe71dedf1e28", "campaign_id": "42", "source_app_id": "1234567891",
        "is_redownload": True, "fidelity_type": 1, "did_win": True, "conversion_value": 20,
        "properties": {"new-field": 1.5},
    }  # fmt: skip


# ---- AdAttributionKit signatures


KIT = {
    "postback-identifier": "3f50fe57-29ae-4861-8c0b-ac6adddff72c",
    "advertised-item-identifier": int(apple.APP_STORE_ID),
    "ad-network-identifier": "test.adattributionkit",
    "publisher-item-identifier": 5838492,
    "marketplace-identifier": "com.apple.AppStore",
    "impression-type": "app-impression",
    "conversion-type": "redownload",
    "source-identifier": "8344",
    "did-win": True,
    "postback-sequence-index": 1,
}
OUTER = {"conversion-value": 24, "ad-interaction-type": "view", "country-code": "us"}


def test_apples_example_of_a_development_key_is_valid_sandbox() -> None:
    state, record = read_kit({"jws-string": apple.PUBLISHED_JWS} | OUTER)
    assert (state, record["app_id"], record["environment"]) == ("valid", "tester.ios", "sandbox")
    assert (record["conversion_type"], record["source_identifier"]) == ("re-engagement", "1234")


def test_a_development_key_is_refused_unless_the_app_takes_it() -> None:
    with pytest.raises(Rejected) as refused:
        read_kit({"jws-string": apple.jws(KIT, apple.DEVELOPMENT_ID)}, apple.TEST_KEYS)
    assert refused.value.code == "sandbox_refused"


def test_a_production_postback() -> None:
    state, record = read_kit({"jws-string": apple.jws(KIT)} | OUTER, apple.TEST_KEYS)
    assert state == "valid"
    assert len(base64.b64decode(record.pop("attribution_signature"))) == 64
    assert record == {
        "app_id": "game.ios", "record_type": "skan_postback", "platform": "ios", "skan_version": "AdAttributionKit",
        "record_id": "apple-3f50fe57-29ae-4861-8c0b-ac6adddff72c-1", "ad_network_id": "test.adattributionkit",
        "transaction_id": "3f50fe57-29ae-4861-8c0b-ac6adddff72c", "source_identifier": "8344", "did_win": True,
        "source_app_id": "5838492", "is_redownload": True, "conversion_type": "redownload", "fidelity_type": 0,
        "conversion_value": 24, "country": "us", "postback_sequence_index": 1,
        "properties": {
            "ad-interaction-type": "view", "marketplace-identifier": "com.apple.AppStore",
            "impression-type": "app-impression", "kid": apple.PRODUCTION_ID,
        },
    }  # fmt: skip


def test_forged_jws_are_not_valid() -> None:
    header, payload, signature = apple.jws(KIT).split(".")
    other = apple.jws(KIT | {"source-identifier": "9999"}).split(".")[1]
    _, dev_payload, dev_signature = apple.PUBLISHED_JWS.split(".")
    assert read_kit({"jws-string": f"{header}.{other}.{signature}"}, apple.TEST_KEYS)[0] == "invalid"
    assert read_kit({"jws-string": f"{header}.{payload}.{signature[:-4]}"}, apple.TEST_KEYS)[0] == "invalid"
    assert read_kit({"jws-string": f"{header}.{payload}."}, apple.TEST_KEYS)[0] == "invalid"
    assert read_kit({"jws-string": f"{header}.{payload}.{signature}"})[0] == "invalid"
    assert read_kit({"jws-string": f"{header}.{dev_payload}.{dev_signature}"})[0] == "invalid"
    assert read_kit({"jws-string": apple.jws(KIT, algorithm="none")}, apple.TEST_KEYS)[0] == "invalid"
    assert read_kit({"jws-string": apple.jws(KIT, "someone/0")}, apple.TEST_KEYS)[0] == "unverifiable"
    assert not verifies_raw(PUBLISHED.skadnetwork, bytes(64), b"")


def test_a_jws_signature_has_64_bytes() -> None:
    """A leading zero that is left out gives the same number, and is not the form that RFC 7518 has."""
    while True:
        r, s = apple.sign_halves(b"message")
        if s < 1 << 248:
            break
    key = apple.TEST_KEYS.skadnetwork
    assert verifies_raw(key, r.to_bytes(32, "big") + s.to_bytes(32, "big"), b"message")
    assert not verifies_raw(key, r.to_bytes(32, "big") + s.to_bytes(31, "big"), b"message")


# ---- over HTTP


def post(endpoint: Running, path: str, body: Any, **headers: str) -> Reply:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return endpoint.post(data, path, key=None, **headers)


def signed_skan(**changes: Any) -> dict[str, Any]:
    postback = apple.PUBLISHED["4.0 fine"] | {"transaction-id": "t-http"} | changes
    message = skan.signed_text(
        {k: str(v) if type(v) is int else v for k, v in postback.items()}, skan.SIGNED_FIELDS["4.0"]
    )
    assert message is not None
    return postback | {"attribution-signature": apple.sign_text(message)}


def test_postbacks_land_with_the_state_of_their_signature(endpoint: Running) -> None:
    good = signed_skan()
    sent = [
        ("/v1/skan", good),
        ("/.well-known/skadnetwork/report-attribution/", good | {"conversion-value": 5}),
        ("/v1/skan", good | {"did-win": False}),
        ("/v1/skan", good | {"version": "2.0"}),
        ("/v1/adattributionkit", {"jws-string": apple.jws(KIT)} | OUTER),
        ("/.well-known/appattribution/report-attribution/", {"jws-string": apple.jws(KIT, "x/0")} | OUTER),
    ]
    replies = [post(endpoint, path, body) for path, body in sent]
    assert [(reply.status, reply.json["accepted"]) for reply in replies] == [(200, 1)] * len(sent)
    rows = endpoint.wait_landed("bronze_skan_postbacks", "true", len(sent))
    by_request = {row["request_id"]: row for row in rows}
    found = [by_request[reply.json["request_id"]] for reply in replies]
    states = ["valid", "valid", "invalid", "unverifiable", "valid", "unverifiable"]
    assert [row["signature_state"] for row in found] == states
    assert found[0]["record_id"] == found[1]["record_id"]
    assert len({row["record_id"] for row in found}) == 5
    assert {(row["app_id"], row["source"], row["is_event_at_missing"]) for row in found} == {
        ("game.ios", "partner", True)
    }
    assert (found[4]["country"], found[4]["conversion_type"]) == ("US", "redownload")


BAD: list[tuple[str, bytes, str]] = [
    ("/v1/skan", b"", "invalid_json"),
    ("/v1/skan", b"{", "invalid_json"),
    ("/v1/skan", b"[{}]", "not_an_object"),
    ("/v1/skan", b"{}", "missing_field"),
    ("/v1/skan", b'{"app-id": 1}', "unknown_app"),
    ("/v1/skan", b'{"app-id": {}}', "unknown_app"),
    ("/v1/skan", b'{"app-id": 525463029}', "missing_field"),
    ("/v1/skan", b'{"app-id": 525463029, "app-id": 525463029}', "duplicate_key"),
    ("/v1/skan", json.dumps(signed_skan(**{"conversion-value": 64})).encode(), "invalid_choice"),
    ("/v1/skan", json.dumps(signed_skan(**{"conversion-value": True})).encode(), "wrong_type"),
    ("/v1/skan", json.dumps(apple.PUBLISHED["4.0 fine"] | {"postback-sequence-index": 3}).encode(), "invalid_choice"),
    ("/v1/skan", json.dumps(signed_skan(**{"coarse-conversion-value": "huge"})).encode(), "invalid_choice"),
    ("/v1/skan", json.dumps(signed_skan(**{"transaction-id": ""})).encode(), "missing_field"),
    ("/v1/adattributionkit", b"{}", "missing_field"),
    ("/v1/adattributionkit", b'{"jws-string": 5}', "wrong_type"),
    ("/v1/adattributionkit", b'{"jws-string": "a.b"}', "wrong_type"),
    ("/v1/adattributionkit", b'{"jws-string": "a.b.c"}', "wrong_type"),
    ("/v1/adattributionkit", b'{"jws-string": "e30.e30.AA"}', "missing_field"),
    ("/v1/adattributionkit", b'{"jws-string": "W10.e30.AA"}', "not_an_object"),
    ("/v1/adattributionkit", json.dumps({"jws-string": apple.PUBLISHED_JWS[:-1] + "\u00e9"}).encode(), "wrong_type"),
    (
        "/v1/adattributionkit",
        json.dumps({"jws-string": apple.jws(KIT, apple.DEVELOPMENT_ID)}).encode(),
        "sandbox_refused",
    ),
]


def test_a_body_that_is_no_postback_is_one_reject(endpoint: Running) -> None:
    codes, ids = [], []
    for path, body, _ in BAD:
        reply = post(endpoint, path, body)
        assert (reply.status, reply.json["accepted"], reply.json["rejected"]) == (422, 0, 1), body
        codes.append(reply.json["errors"][0]["code"])
        ids.append(f"'{reply.json['request_id']}'")
    assert codes == [code for *_, code in BAD]
    rows = endpoint.wait_landed("bronze_rejects", f"request_id in ({', '.join(ids)})", len(BAD))
    assert sorted(row["reason_code"] for row in rows) == sorted(codes)
    receipts = endpoint.wait_landed("bronze_receipts", "app_id is null", 1)
    assert sum(row["rejected"] for row in receipts) > 0


def test_a_cut_off_body_is_one_reject(endpoint: Running) -> None:
    reply = post(endpoint, "/v1/skan", b"\x1f\x8b\x08", content_encoding="gzip")
    assert (reply.status, reply.json["errors"][0]["code"]) == (400, "unreadable_body")


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_a_large_body_is_no_postback(endpoint: Running, encoding: str) -> None:
    body = b'{"a": "' + b"x" * 70_000 + b'"}'
    sent = gzip.compress(body) if encoding == "gzip" else body
    reply = post(endpoint, "/v1/skan", sent, content_encoding=encoding)
    assert (reply.status, reply.json["error"]["code"]) == (413, "body_too_large")


def test_methods_and_media_types(endpoint: Running) -> None:
    assert endpoint.request("GET", "/v1/skan", key=None).status == 405
    assert post(endpoint, "/v1/adattributionkit", b"{}", content_type="text/html").status == 415
