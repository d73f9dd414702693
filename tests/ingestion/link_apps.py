"""Apps with links, as the tests of clicks and impressions hit them; the fixture `link_endpoint` is in conftest."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

from ingestion import links
from lakehouse.apps import App, save_apps
from lakehouse.link_secrets import make_link_secret
from lakehouse.settings import Settings
from tests.ingestion.rig import Reply, Running

IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15"
PIXEL = "Mozilla/5.0 (Linux; Android 14; Pixel 8 Build/UD1A) AppleWebKit"
WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"
SECRET = "a link secret that is long enough for the tests"
BOTH = App(
    app_id="game",
    platform="android",
    play_store_id="com.example.game",
    app_store_id="525463029",
    web_url="https://game.example/get?from=ad#top",
    deep_links=("mygame://", "go.game.example"),
)
PLAY_ONLY = App(app_id="play.only", platform="android", play_store_id="com.example.play")
NOWHERE = App(app_id="nowhere", platform="other")
STRICT = App(app_id="strict", platform="ios", app_store_id="99", requires_signed_links=True)


def register(settings: Settings) -> dict[str, str]:
    save_apps(settings, (BOTH, PLAY_ONLY, NOWHERE, STRICT))
    for app in (BOTH, STRICT):
        make_link_secret(settings, app.app_id)
    return {}


def hit(endpoint: Running, path: str, agent: str = PIXEL, method: str = "GET", **headers: str) -> Reply:
    return endpoint.request(method, path, key=None, user_agent=agent, **headers)


def landed(endpoint: Running, replies: list[Reply], table: str = "bronze_touchpoints") -> list[dict[str, Any]]:
    """The row of each hit, in the order of the hits."""
    ids = [reply.headers["x-request-id"] for reply in replies]
    listed = ", ".join(f"'{request_id}'" for request_id in ids)
    rows = endpoint.wait_landed(table, f"request_id in ({listed})", len(ids))
    assert len(rows) == len(ids)
    return sorted(rows, key=lambda row: ids.index(row["request_id"]))


def touch(endpoint: Running, reply: Reply) -> dict[str, Any]:
    return landed(endpoint, [reply])[0]


def parameters(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def pairs_of(query: str) -> links.Pairs:
    return links.read_parameters(query)
