"""Segment's API: what a call becomes, and an unmodified Segment client against a real endpoint."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from segment.analytics.client import Client

from ingestion import segment
from lakehouse.apps import App
from tests.ingestion.rig import APP, OTHER_APP, Running, bronze, make_settings, register_apps, start_process

GAME = App(app_id=APP, platform="ios")
SHOP = App(app_id=OTHER_APP, platform="web", currency="EUR")


def mapped(call: dict[str, Any], app: App = SHOP, route: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        segment.to_record(json.dumps(call).encode(), app, route_type=route, envelope=None)
    )
    return found


def track(event: str, properties: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "type": "track",
        "event": event,
        "messageId": "m1",
        "anonymousId": "a1",
        "properties": properties or {},
        "timestamp": "2026-03-01T10:00:00.000Z",
    } | more


@pytest.mark.parametrize(
    ("event", "record_type"),
    [
        ("Application Installed", "install"),
        ("Application Opened", "session"),
        ("Application Uninstalled", "uninstall"),
        ("Application Updated", "event"),
        ("Order Completed", "event"),
        ("Anything Else", "event"),
    ],
)
def test_events_become_record_types(event: str, record_type: str) -> None:
    record = mapped(track(event))
    assert (record["record_type"], record["event_name"]) == (record_type, event)


@pytest.mark.parametrize("call", ["identify", "group", "alias", "page", "screen"])
def test_other_calls_are_kept_as_events(call: str) -> None:
    more = {"type": call, "traits": {"plan": "pro"}, "name": "Home", "groupId": "g1", "previousId": "p1"}
    record = mapped({"messageId": "m1", "userId": 42} | more)
    assert (record["record_type"], record["event_name"]) == ("event", f"${call}")
    assert (record["user_id"], record["install_id"]) == ("42", "42")
    properties = record["properties"]
    assert properties["$segment"]["traits"] == {"plan": "pro"}
    assert (properties["name"], properties["group_id"], properties["previous_id"]) == ("Home", "g1", "p1")


@pytest.mark.parametrize(
    ("event", "properties", "revenue", "currency"),
    [
        ("Order Completed", {"revenue": 19.99, "currency": "usd"}, 19.99, "USD"),
        ("Order Completed", {"total": 30}, 30, "EUR"),
        ("Order Completed", {"revenue": None, "value": "12.50"}, "12.50", "EUR"),
        ("Song Played", {"total": 30}, None, None),
        ("Coins Bought", {"revenue": 1, "currency": "JPY"}, 1, "JPY"),
        ("Order Refunded", {"revenue": 19.99, "currency": "USD"}, "-19.99", "USD"),
        ("Order Refunded", {"total": "-5"}, "-5", "EUR"),
    ],
)
def test_revenue(event: str, properties: dict[str, Any], revenue: Any, currency: str | None) -> None:
    record = mapped(track(event, properties))
    assert (record.get("revenue"), record.get("currency")) == (revenue, currency)


def test_no_digit_of_an_amount_is_lost() -> None:
    call = json.dumps(track("Order Completed")).replace(
        '"properties": {}', '"properties": {"revenue": 0.1234567890123456789}'
    )
    text = segment.to_record(call.encode(), SHOP, route_type=None, envelope=None)
    assert b'"revenue":0.1234567890123456789' in text


def test_context_becomes_device_fields_and_address_leaves_it() -> None:
    context = {
        "app": {"version": "3.1", "build": "77"},
        "device": {
            "id": "IDFV-1",
            "advertisingId": "IDFA-1",
            "adTrackingEnabled": False,
            "model": "iPhone15,2",
            "type": "ios",
        },
        "os": {"name": "iOS", "version": "17.4"},
        "locale": "de-DE",
        "timezone": "Europe/Berlin",
        "ip": "203.0.113.7",
        "userAgent": "Mozilla/5.0",
        "network": {"carrier": "T"},
        "location": {"country": "de"},
    }
    record = mapped(track("x", context=context, sentAt="2026-03-01T10:00:05Z"), GAME)
    expected = {
        "app_version": "3.1", "device_model": "iPhone15,2", "os_name": "iOS", "os_version": "17.4", "locale": "de-DE",
        "time_zone": "Europe/Berlin", "ip": "203.0.113.7", "user_agent": "Mozilla/5.0", "country": "DE",
        "idfa": "IDFA-1", "idfv": "IDFV-1", "is_limit_ad_tracking": True, "platform": "ios",
        "event_at": "2026-03-01T10:00:00.000Z", "sent_at": "2026-03-01T10:00:05Z",
    }  # fmt: skip
    assert {name: record.get(name) for name in expected} == expected
    kept = record["properties"]["$segment"]["context"]
    assert kept["network"] == {"carrier": "T"}
    assert not {"ip", "userAgent"} & set(kept)


def test_the_original_timestamp_is_the_time_of_the_event() -> None:
    record = mapped(track("x", originalTimestamp="2026-02-28T10:00:00Z"))
    assert record["event_at"] == "2026-02-28T10:00:00Z"


def test_a_call_without_id_gets_the_same_one_when_it_is_sent_again() -> None:
    call = track("x")
    del call["messageId"]
    assert mapped(call)["record_id"] == mapped(call)["record_id"]
    del call["timestamp"]
    assert mapped(call)["record_id"] != mapped(call)["record_id"]


def test_android_and_web() -> None:
    android = mapped(track("x", context={"device": {"type": "android", "id": "d", "advertisingId": "g"}}), GAME)
    assert (android["platform"], android["gaid"], android["android_id"]) == ("android", "g", "d")
    assert mapped(track("x", context={"library": {"name": "analytics.js"}}), GAME)["platform"] == "web"


# ---- over HTTP


def post(endpoint: Running, path: str, body: Any, **headers: Any) -> Any:
    return endpoint.post(json.dumps(body).encode(), path, **({"key": "shop"} | headers))


def test_a_batch_is_taken_and_its_rejects_are_named(endpoint: Running) -> None:
    calls = [
        track("A", messageId="batch-a"),
        track("B", messageId="batch-b", timestamp="no time"),
        {"type": "dance", "messageId": "batch-c"},
        {"type": "track", "event": "D", "messageId": "batch-d"},
    ]
    body = {"batch": calls, "sentAt": "2026-03-01T10:00:09Z", "context": {"locale": "fr-FR"}}
    reply = post(endpoint, "/v1/batch", body)
    assert reply.status == 200
    assert reply.json["success"] is True
    assert (reply.json["accepted"], reply.json["rejected"]) == (1, 3)
    expected = [(1, "invalid_timestamp"), (2, "unknown_call"), (3, "missing_field")]
    assert [(e["position"], e["code"]) for e in reply.json["errors"]] == expected
    (row,) = endpoint.wait_landed("bronze_app_events", "record_id = 'batch-a'", 1)
    assert (row["source"], row["locale"], row["app_id"]) == ("segment", "fr-FR", OTHER_APP)
    assert row["sent_at"] == datetime(2026, 3, 1, 10, 0, 9, tzinfo=UTC)
    rejects = endpoint.wait_landed("bronze_rejects", f"request_id = '{reply.json['request_id']}'", 3)
    assert sorted(r["reason_code"] for r in rejects) == ["invalid_timestamp", "missing_field", "unknown_call"]
    assert json.loads(min(rejects, key=lambda r: r["position"])["raw"]) == calls[1]


@pytest.mark.parametrize("call", ["track", "identify", "screen", "page", "alias", "group"])
def test_single_calls(endpoint: Running, call: str) -> None:
    body = {"messageId": f"single-{call}", "userId": "u", "event": "E", "timestamp": "2026-03-01T10:00:00Z"}
    assert post(endpoint, f"/v1/{call}", body).json["success"] is True
    (row,) = endpoint.wait_landed("bronze_app_events", f"record_id = 'single-{call}'", 1)
    assert row["event_name"] == ("E" if call == "track" else f"${call}")


@pytest.mark.parametrize(("path", "event_name"), [("/v1/t", "E"), ("/v1/a", "$alias"), ("/v1/g", "$group")])
def test_short_paths_of_browser_clients(endpoint: Running, path: str, event_name: str) -> None:
    call = {"messageId": f"short-{path[-1]}", "userId": "u", "event": "E", "timestamp": "2026-03-01T10:00:00Z"}
    body = json.dumps(call | {"writeKey": endpoint.keys["shop"], "groupId": "g1", "previousId": "p1"}).encode()
    assert endpoint.post(body, path, key=None, content_type="text/plain").json["accepted"] == 1
    (row,) = endpoint.wait_landed("bronze_app_events", f"record_id = 'short-{path[-1]}'", 1)
    assert row["event_name"] == event_name


def test_the_write_key_may_stand_in_the_body(endpoint: Running) -> None:
    key = endpoint.keys["shop"]
    assert post(endpoint, "/v1/track", track("x") | {"writeKey": key}, key=None).status == 200
    assert post(endpoint, "/v1/batch", {"batch": [track("x")], "writeKey": key}, key=None).status == 200
    assert post(endpoint, "/v1/import", {"batch": [], "writeKey": "wrong"}, key=None).status == 401
    assert endpoint.post(b"{", "/v1/batch", key=None).status == 401


def test_an_unreadable_batch_is_one_reject(endpoint: Running) -> None:
    reply = endpoint.post(b'{"batch": 5}', "/v1/batch", key="shop")
    assert (reply.status, reply.json["success"], reply.json["rejected"]) == (400, False, 1)
    assert len(endpoint.wait_landed("bronze_rejects", f"request_id = '{reply.json['request_id']}'", 1)) == 1


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    settings = make_settings(tmp_path_factory.mktemp("server"), ingest_commit_seconds=0.2)
    running = start_process(settings, register_apps(settings))
    yield running
    if running.process is not None and running.process.poll() is None:
        running.stop()


def test_an_unmodified_segment_client_is_found_once_each(server: Running, tmp_path: Path) -> None:
    problems: list[Any] = []
    client = Client(
        server.keys["shop"], host=server.address.url, gzip=True, on_error=lambda error, items: problems.append(error)
    )
    at = datetime(2026, 2, 1, 9, tzinfo=UTC)
    for i in range(250):
        client.track(
            anonymous_id=f"person-{i % 7}",
            event="Order Completed",
            properties={"revenue": 9.99, "order_id": f"o{i}", "tags": ["a", "\u00e9"]},
            timestamp=at,
            message_id=f"order-{i}",
        )
    client.identify(user_id="u1", anonymous_id="person-1", traits={"email": "a@example.org"}, message_id="who")
    client.screen(user_id="u1", name="Home", message_id="where")
    client.group(user_id="u1", group_id="g", message_id="with")
    client.alias(previous_id="person-1", user_id="u1", message_id="as")
    client.page(user_id="u1", name="Home", message_id="there")
    client.shutdown()
    assert not problems
    server.stop()
    rows = bronze(server.settings, "bronze_app_events")
    assert sorted(r["record_id"] for r in rows) == sorted(
        [f"order-{i}" for i in range(250)] + ["who", "where", "with", "as", "there"]
    )
    assert sum(r["revenue_micros"] or 0 for r in rows) == 250 * 9_990_000
    assert {(r["currency"], r["app_id"]) for r in rows if r["revenue_micros"]} == {("EUR", OTHER_APP)}
    assert bronze(server.settings, "bronze_rejects") == []
