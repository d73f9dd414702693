"""AppsFlyer's server-to-server events: what becomes of them, and what they are refused for instead of being lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from ingestion import appsflyer
from ingestion.reasons import Rejected
from lakehouse.apps import App, AppRegistry, new_write_key, save_apps
from lakehouse.settings import Settings
from tests.ingestion.rig import NOW, Reply, Running, make_settings, start_thread

GAME = App(app_id="game", platform="android", play_store_id="com.example.game", app_store_id="525463029")
OTHER = App(app_id="other", platform="web", currency="EUR")
APPS = AppRegistry((GAME, OTHER))


def register(settings: Settings) -> dict[str, str]:
    made = {name: new_write_key(name, scopes) for name, scopes in (("game", ("events",)), ("links", ("link",)))}
    save_apps(settings, (GAME.model_copy(update={"write_keys": tuple(stored for _, stored in made.values())}), OTHER))
    return {name: key for name, (key, _) in made.items()}


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    settings = make_settings(tmp_path_factory.mktemp("appsflyer"), ingest_commit_seconds=0.2)
    with start_thread(settings, clock=lambda: NOW, register=register) as running:
        yield running


def event(**fields: Any) -> dict[str, Any]:
    """The example of AppsFlyer's documentation, with changes; a field set to `...` is left out."""
    base = {
        "appsflyer_id": "1415211453000-6513894",
        "advertising_id": "38412345-8CF0-AA78-B23E-10B96E40000D",
        "customer_user_id": "u7",
        "eventName": "af_purchase",
        "eventValue": '{"af_revenue":"6.25","af_currency":"usd","af_content_type":"wallets","af_content_id":"15854",'
        '"af_quantity":"2","level":7}',
        "eventCurrency": "EUR",
        "ip": "203.0.113.7",
        "eventTime": "2026-03-01 12:17:00.123",
        "af_events_api": "true",
        "bundleIdentifier": "com.example.game",
        "att": 3,
    }
    return {name: value for name, value in (base | fields).items() if value is not ...}


def mapped(app: App = GAME, **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(appsflyer.to_record(json.dumps(event(**fields)).encode(), app))
    return found


def test_an_event_becomes_a_record() -> None:
    record = mapped()
    assert record.pop("record_id").startswith("af-")
    assert record == {
        "app_id": "game", "record_type": "event", "platform": "android", "event_name": "af_purchase",
        "install_id": "1415211453000-6513894", "gaid": "38412345-8CF0-AA78-B23E-10B96E40000D", "user_id": "u7",
        "ip": "203.0.113.7", "event_at": "2026-03-01T12:17:00.123000Z", "revenue": "6.25", "currency": "USD",
        "product_id": "15854", "quantity": 2, "att_status": "authorized",
        "properties": {
            "af_content_type": "wallets", "level": 7,
            "$appsflyer": {"af_events_api": "true", "bundleIdentifier": "com.example.game"},
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "more", "revenue", "currency"),
    [
        ({"af_revenue": 0.1}, {}, "0.1", "EUR"),
        ('{"af_revenue":"-3"}', {"eventCurrency": "jpy"}, "-3", "JPY"),
        ('{"af_revenue":1234567.000001}', {"eventCurrency": ...}, "1234567.000001", "USD"),
        ('{"af_revenue":""}', {}, None, None),
        ("", {}, None, None),
        (" ", {}, None, None),
        (None, {}, None, None),
        ("just text", {}, None, None),
    ],
)
def test_money(value: Any, more: dict[str, Any], revenue: str | None, currency: str | None) -> None:
    record = mapped(eventValue=value, **more)
    assert (record.get("revenue"), record.get("currency")) == (revenue, currency)
    if value == "just text":
        assert record["properties"]["eventValue"] == value


def test_an_event_sent_again_is_the_same_record_and_another_is_not() -> None:
    first = mapped()["record_id"]
    assert mapped(ip="198.51.100.1", att=0, af_events_api=..., app_version_name="9")["record_id"] == first
    for change in ({"eventTime": "2026-03-01 12:17:00.124"}, {"eventName": "x"}, {"appsflyer_id": "y"}, {"idfa": "z"}):
        assert mapped(**change)["record_id"] != first
    assert mapped(OTHER)["record_id"] != first
    assert mapped(eventTime=...)["record_id"] != mapped(eventTime=...)["record_id"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2014-05-15 12:17:00.000", "2014-05-15T12:17:00Z"),
        ("2014-05-15 12:17:00", "2014-05-15T12:17:00Z"),
        ("2014-05-15T12:17:00.5+0200", "2014-05-15T12:17:00.500000+02:00"),
    ],
)
def test_times_without_an_offset_are_utc(text: str, expected: str) -> None:
    assert mapped(eventTime=text)["event_at"] == expected


@pytest.mark.parametrize(
    ("name", "app"),
    [("game", GAME), ("id525463029", GAME), ("com.example.game", GAME), ("525463029", None), ("", None), ("id", None)],
)
def test_appsflyers_ids_of_an_app(name: str, app: App | None) -> None:
    assert appsflyer.find_app(name, APPS) is app


@pytest.mark.parametrize("value", [True, [1], '{"a":1,"a":2}', "{", '{"af_revenue":{}}', '{"af_revenue":true}'])
def test_an_event_value_that_is_none_is_refused(value: Any) -> None:
    with pytest.raises(Rejected):
        mapped(eventValue=value)


# ---- over HTTP


def post(endpoint: Running, body: Any, app: str = "id525463029", key: str | None = "game") -> Reply:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {} if key is None else {"authentication": endpoint.keys.get(key, key)}
    return endpoint.post(data, f"/inappevent/{app}", key=None, **headers)


def test_an_event_lands_once_counted(endpoint: Running) -> None:
    replies = [post(endpoint, event(appsflyer_id="lands"), app) for app in ("id525463029", "game")]
    assert [reply.status for reply in replies] == [200, 200]
    rows = endpoint.wait_landed("bronze_app_events", "install_id = 'lands'", 2)
    assert len({row["record_id"] for row in rows}) == 1
    row = rows[0]
    assert (row["source"], row["revenue_micros"], row["currency"]) == ("s2s", 6_250_000, "USD")
    assert row["event_at"] == datetime(2026, 3, 1, 12, 17, 0, 123_000, tzinfo=UTC)
    assert (row["ip_prefix"], row["gaid"]) == ("203.0.113.0/24", "38412345-8cf0-aa78-b23e-10b96e40000d")


def test_a_bearer_key_works_as_well(endpoint: Running) -> None:
    assert endpoint.post(json.dumps(event()).encode(), "/inappevent/game").status == 200


@pytest.mark.parametrize(("key", "status"), [(None, 401), ("wrong", 401), ("links", 403)])
def test_keys(endpoint: Running, key: str | None, status: int) -> None:
    assert post(endpoint, event(), key=key).status == status


BAD: list[tuple[Any, str, str]] = [
    (event(), "525463029", "wrong_app"),
    (event(), "other", "wrong_app"),
    (event(), "unknown", "wrong_app"),
    (event(eventName=...), "game", "missing_field"),
    (event(eventName=[5]), "game", "wrong_type"),
    (event(appsflyer_id=..., customer_user_id=...), "game", "missing_field"),
    (event(eventTime="yesterday"), "game", "invalid_timestamp"),
    (event(eventTime="2099-01-01 00:00:00.000"), "game", "time_out_of_bounds"),
    (event(eventTime=1394), "game", "invalid_timestamp"),
    (event(eventValue='{"af_revenue":"1,200"}'), "game", "wrong_type"),
    (event(eventValue='{"af_revenue":"1","af_currency":"XXQ"}'), "game", "unknown_currency"),
    (event(eventValue="{"), "game", "invalid_json"),
    (event(ip="no address"), "game", "invalid_address"),
    ([event()], "game", "not_an_object"),
    (b"", "game", "invalid_json"),
    (b"\xff", "game", "invalid_utf8"),
]


def test_what_appsflyer_would_lose_is_answered_400_with_the_reason(endpoint: Running) -> None:
    replies = [post(endpoint, body, app) for body, app, _ in BAD]
    assert [reply.status for reply in replies] == [400] * len(BAD)
    assert all((reply.json["accepted"], reply.json["rejected"]) == (0, 1) for reply in replies)
    assert [reply.json["errors"][0]["code"] for reply in replies] == [code for *_, code in BAD]
    ids = ", ".join(f"'{reply.json['request_id']}'" for reply in replies)
    rows = endpoint.wait_landed("bronze_rejects", f"request_id in ({ids})", len(BAD))
    assert {(row["app_id"], row["route"]) for row in rows} == {("game", "/inappevent")}
    assert len(rows) == len(BAD)


def test_the_route_names_an_app(endpoint: Running) -> None:
    assert endpoint.post(b"{}", "/inappevent/").status == 404
    assert endpoint.post(b"{}", "/inappevent").status == 404
