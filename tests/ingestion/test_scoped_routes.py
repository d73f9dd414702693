"""Routes of one record type, with keys that may do nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from ingestion.routes import ALIASES, POST_ROUTES, WITH_APP, resolve
from lakehouse.apps import SCOPES, App, new_write_key, save_apps
from lakehouse.settings import Settings
from tests.ingestion.rig import APP, NOW, Running, line, make_settings, record, start_thread

COST = {"record_type": "cost", "partner": "meta", "cost": 12.5, "currency": "USD", "cost_date": "2026-03-01"}
CONSENT = {"record_type": "consent", "is_gdpr_subject": True, "has_ad_user_data_consent": False}
ROUTES = {"/v1/costs": ("cost", "bronze_costs", COST), "/v1/consents": ("consent", "bronze_consents", CONSENT)}


def register(settings: Settings) -> dict[str, str]:
    made = {scope: new_write_key(scope, (scope,)) for scope in SCOPES}
    save_apps(settings, (App(app_id=APP, platform="ios", write_keys=tuple(stored for _, stored in made.values())),))
    return {scope: key for scope, (key, _) in made.items()}


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    settings = make_settings(tmp_path_factory.mktemp("scoped"), ingest_commit_seconds=0.2)
    with start_thread(settings, clock=lambda: NOW, register=register) as running:
        yield running


def good(route: str, record_id: str) -> dict[str, Any]:
    fields = ROUTES[route][2]
    return {k: v for k, v in record(record_id=record_id, **fields).items() if k != "event_name"}


@pytest.mark.parametrize("route", ROUTES)
def test_records_of_the_one_type_land_and_others_are_named(endpoint: Running, route: str) -> None:
    scope, table, _ = ROUTES[route]
    lines = [
        json.dumps(good(route, "one")).encode(),
        line(record_id="an event"),
        b"{broken",
        json.dumps(good(route, "two")).encode(),
        json.dumps(good(route, "bad") | {"record_type": 5}).encode(),
        json.dumps(good(route, "twice"))[:-1].encode() + b', "record_type": "event"}',
    ]
    reply = endpoint.post(b"\n".join(lines), route, key=scope, content_type="application/x-ndjson")
    assert (reply.status, reply.json["accepted"], reply.json["rejected"]) == (207, 2, 4)
    found = [(error["position"], error["code"]) for error in reply.json["errors"]]
    assert found[:3] == [(1, "wrong_route"), (2, "invalid_json"), (4, "wrong_type")]
    assert found[3][0] == 5
    rows = endpoint.wait_landed(table, f"request_id = '{reply.json['request_id']}'", 2)
    assert sorted(row["record_id"] for row in rows) == ["one", "two"]


@pytest.mark.parametrize("route", ROUTES)
def test_every_form_of_a_body(endpoint: Running, route: str) -> None:
    records = [good(route, "a"), good(route, "b")]
    for body, count in ((json.dumps(records[0]), 1), (json.dumps(records), 2), ("[]", 0)):
        assert endpoint.post(body.encode(), route, key=ROUTES[route][0]).json["accepted"] == count
    assert endpoint.post(b"", route, key=ROUTES[route][0]).status == 400


@pytest.mark.parametrize(
    ("route", "asked"),
    [
        ("/v1/costs", "cost"),
        ("/v1/consents", "consent"),
        ("/v1/events", "events"),
        ("/v1/batch", "segment"),
        ("/inappevent/game.ios", "events"),
    ],
)
@pytest.mark.parametrize("scope", SCOPES)
def test_a_key_opens_the_routes_of_its_scope_only(endpoint: Running, route: str, asked: str, scope: str) -> None:
    status = endpoint.post(b'{"batch": []}', route, key=scope).status
    assert (status == 403) is (scope != asked)


def test_paths_and_their_other_names() -> None:
    assert resolve("/v1/events") == ("/v1/events", "")
    assert resolve("/inappevent/id%31") == ("/inappevent", "id1")
    assert resolve("/v1/click/a/b") is None
    assert {resolve(path) for path in ALIASES} <= {(route, "") for route in POST_ROUTES}
    assert [resolve(path) for path in WITH_APP] == [None] * 3
    short = {"t": "track", "i": "identify", "s": "screen", "p": "page", "a": "alias", "g": "group", "b": "batch"}
    assert {resolve(f"/v1/{name}") for name in short} == {(f"/v1/{name}", "") for name in short.values()}
