"""Where a click leads: the store that fits the device, a web page, or a deep link that the app declares.

Refusal is the default: a link can lead to nothing but what `apps.toml` names for its app, so it is no open redirect.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from ingestion.user_agents import parse_user_agent
from lakehouse.apps import App

APP_STORE: Final = "https://apps.apple.com/app/id{}"
PLAY_STORE: Final = "https://play.google.com/store/apps/details?id={}"
_APPLE: Final = frozenset({"iOS", "iPadOS"})
# What browsers read in more than one way (spaces, controls, backslashes, letters beyond ASCII) is no deep link of ours.
_PLAIN: Final = re.compile(r"[!-\[\]-~]{1,2048}")
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
# Field of the touch -> its name in the Play referrer.
_REFERRER: Final = (
    ("partner", "utm_source"),
    ("channel", "utm_medium"),
    ("campaign_name", "utm_campaign"),
    ("keyword", "utm_term"),
    ("creative_name", "utm_content"),
    ("campaign_id", "campaign_id"),
)


def destination(app: App, values: Mapping[str, Any], click_id: str, user_agent: str | None) -> str | None:
    """The address a click is answered with; None if the app names none. `values` are the fields of the touch."""
    deep_link = allowed_deep_link(app, values.get("deeplink_url"))
    if deep_link and values.get("is_retargeting") is True:
        return _with(deep_link, [("click_id", click_id)])
    handed_on = [("click_id", click_id)]
    if deep_link:
        handed_on.append(("deep_link", deep_link))
    store = _store(app, user_agent)
    if store == "play":
        referrer = urlencode(_referrer(values, handed_on), quote_via=quote, safe="")
        return _with(PLAY_STORE.format(app.play_store_id), [("referrer", referrer), *handed_on])
    if store == "app_store":
        return _with(APP_STORE.format(app.app_store_id), handed_on)
    return _with(app.web_url, [*_referrer(values, handed_on)]) if store == "web" else None


def allowed_deep_link(app: App, url: object) -> str | None:
    """The deep link if the app declares its scheme, or its host for https; None otherwise."""
    if not isinstance(url, str) or not _PLAIN.fullmatch(url) or not (found := _SCHEME.match(url)):
        return None
    scheme = found[1].lower()
    if scheme != "https":
        return url if f"{scheme}://" in app.deep_links else None
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return None
    is_plain = "@" not in parts.netloc and port in (None, 443)
    return url if is_plain and host in app.deep_links else None


def _store(app: App, user_agent: str | None) -> str | None:
    """`play`, `app_store` or `web`: by the device; a device of neither kind goes to the web page if there is one."""
    stores = {"play": bool(app.play_store_id), "app_store": bool(app.app_store_id), "web": bool(app.web_url)}
    system = parse_user_agent(user_agent or "").os_name
    fits = "app_store" if system in _APPLE else "play" if system == "Android" else "web"
    own = "app_store" if app.platform == "ios" else "play"
    return next((store for store in (fits, "web", own, "play", "app_store") if stores[store]), None)


def _referrer(values: Mapping[str, Any], handed_on: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Parameters of the install referrer. The click id comes first, so that no text behind it can pass for it."""
    named = [(name, str(values[field])) for field, name in _REFERRER if values.get(field)]
    return [*handed_on, *named]


def _with(url: str, pairs: list[tuple[str, str]]) -> str:
    head, mark, fragment = url.partition("#")
    return f"{head}{'&' if '?' in head else '?'}{urlencode(pairs, quote_via=quote, safe='')}{mark}{fragment}"
