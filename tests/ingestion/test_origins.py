"""Browsers: pages of registered origins may send and read answers; all others are refused."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lakehouse.apps import load_apps, save_apps
from lakehouse.settings import Settings
from tests.ingestion.rig import OTHER_APP, Running, line, make_settings, start_thread

PAGE = "https://shop.example"


def allow(settings: Settings) -> None:
    apps = load_apps(settings).apps
    save_apps(
        settings,
        (*(a for a in apps.values() if a.app_id != OTHER_APP), apps[OTHER_APP].model_copy(update={"origins": (PAGE,)})),
    )


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    settings = make_settings(tmp_path_factory.mktemp("origins"))
    with start_thread(settings) as endpoint:
        allow(settings)
        deadline = time.monotonic() + 10
        while endpoint.request("OPTIONS", "/v1/events", origin=PAGE).status != 204 and time.monotonic() < deadline:
            time.sleep(0.1)
        yield endpoint


@pytest.mark.parametrize("path", ["/v1/events", "/v1/track", "/v1/batch"])
def test_a_preflight_of_a_registered_page_is_answered(running: Running, path: str) -> None:
    reply = running.request(
        "OPTIONS",
        path,
        key=None,
        origin=PAGE,
        access_control_request_method="POST",
        access_control_request_headers="authorization,content-type",
    )
    assert (reply.status, reply.headers["access-control-allow-origin"]) == (204, PAGE)
    assert reply.headers["access-control-allow-methods"] == "POST"
    assert {"authorization", "content-type"} <= set(reply.headers["access-control-allow-headers"].split(", "))
    assert reply.headers["vary"] == "origin"
    assert "access-control-allow-credentials" not in reply.headers


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "https://shop.example.evil.example",
        "http://shop.example",
        "https://shop.example:444",
        "null",
        "*",
        "",
    ],
)
def test_any_other_page_is_refused(running: Running, origin: str) -> None:
    preflight = running.request("OPTIONS", "/v1/events", key=None, origin=origin)
    sent = running.post(line(app_id=OTHER_APP), key="shop", origin=origin)
    for reply in (preflight, sent):
        assert (reply.status, reply.json["error"]["code"]) == (403, "origin_forbidden")
        assert "access-control-allow-origin" not in reply.headers


def test_the_page_of_one_app_may_not_send_for_another(running: Running) -> None:
    assert running.post(line(app_id=OTHER_APP), key="shop", origin=PAGE).status == 200
    reply = running.post(line(), key="game", origin=PAGE)
    assert (reply.status, reply.json["error"]["code"]) == (403, "origin_forbidden")
    in_body = b'{"type": "track", "event": "x", "userId": "u", "writeKey": "%s"}'
    for key, status in (("shop", 200), ("game", 403)):
        body = in_body % running.keys[key].encode()
        assert running.post(body, "/v1/track", key=None, origin=PAGE, content_type="text/plain").status == status


def test_a_page_can_read_refusals_too(running: Running) -> None:
    for reply in (
        running.post(b"[", key="shop", origin=PAGE),
        running.post(b"", key="wrong", origin=PAGE),
        running.post(b"", key="shop", origin=PAGE, content_type="text/csv"),
    ):
        assert reply.status >= 400
        assert reply.headers["access-control-allow-origin"] == PAGE
        assert "x-request-id" in reply.headers["access-control-expose-headers"]


def test_without_an_origin_nothing_changes(running: Running) -> None:
    reply = running.post(line())
    assert (reply.status, "access-control-allow-origin" in reply.headers) == (200, False)
    assert running.request("OPTIONS", "/v1/events").status == 405


def test_no_origin_is_allowed_by_default(tmp_path: Path) -> None:
    with start_thread(make_settings(tmp_path)) as endpoint:
        assert endpoint.request("OPTIONS", "/v1/events", origin=PAGE).status == 403
        assert endpoint.post(line(), origin=PAGE).status == 403
