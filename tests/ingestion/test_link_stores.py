"""Where a link leads: the store of the device, the page of the app, a declared deep link, and nowhere else."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import duckdb
import hypothesis
import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.stores import allowed_deep_link, destination
from lakehouse.apps import App
from tests.ingestion.link_apps import BOTH, IPHONE, NOWHERE, PIXEL, PLAY_ONLY, STRICT, WINDOWS, parameters


@pytest.mark.parametrize(
    ("app", "agent", "start"),
    [
        (BOTH, PIXEL, "https://play.google.com/store/apps/details?id=com.example.game&referrer="),
        (BOTH, IPHONE, "https://apps.apple.com/app/id525463029?click_id=c1"),
        (BOTH, WINDOWS, "https://game.example/get?from=ad&click_id=c1&utm_source=meta#top"),
        (BOTH, None, "https://game.example/get?from=ad&click_id=c1"),
        (PLAY_ONLY, IPHONE, "https://play.google.com/store/apps/details?id=com.example.play&referrer="),
        (PLAY_ONLY, WINDOWS, "https://play.google.com/"),
        (STRICT, PIXEL, "https://apps.apple.com/app/id99?click_id=c1"),
    ],
)
def test_the_store_fits_the_device(app: App, agent: str | None, start: str) -> None:
    found = destination(app, {"partner": "meta"}, "c1", agent)
    assert found is not None
    assert found.startswith(start)


def test_an_app_without_a_store_leads_nowhere() -> None:
    assert destination(NOWHERE, {}, "c1", PIXEL) is None


def referrer_click_id(referrer: str) -> str | None:
    """What the staging model of installs takes out of an install referrer, by its own macro."""
    text = Path("dbt_project/macros/dialect.sql").read_text(encoding="utf-8")
    text = text[text.index("{% macro default__query_parameter") :]
    source = text[: text.index("{% endmacro %}") + len("{% endmacro %}")]
    environment = jinja2.Environment(autoescape=False)  # noqa: S701 - SQL
    template = environment.from_string(source, globals={"return": lambda value: value})
    expression = str(template.module.default__query_parameter("$1", ["click_id", "clickid"]))  # type: ignore[attr-defined]
    row = duckdb.execute(f"select {expression}", [referrer]).fetchone()
    return None if row is None else row[0]


@pytest.mark.parametrize("name", ["Spring", "50% off & more = fun", "x&click_id=forged", "\u00fcber+alles/ä?#"])
@pytest.mark.parametrize("click_id", ["c-1_2.3~4", "Cj0KCQ+ab/cd==", "a%20b"])
def test_the_click_id_comes_back_out_of_the_install_referrer(name: str, click_id: str) -> None:
    found = destination(BOTH, {"partner": "meta", "campaign_name": name}, click_id, PIXEL)
    assert found is not None
    given = parameters(found)
    assert given["click_id"] == click_id
    # The store hands the referrer on as it stands in the address, decoded once.
    assert parse_qs(given["referrer"])["utm_source"] == ["meta"]
    assert parse_qs(given["referrer"])["utm_campaign"] == [name]
    assert referrer_click_id(given["referrer"]) == click_id


@pytest.mark.parametrize(
    ("link", "is_allowed"),
    [
        ("mygame://level/7?x=1", True),
        ("MyGame://level", True),
        ("https://go.game.example/level/7", True),
        ("https://GO.game.example:443/level", True),
        ("https://go.game.example.evil.example/", False),
        ("https://evil.example/go.game.example", False),
        ("https://go.game.example@evil.example/", False),
        ("https://evil.example#@go.game.example/", False),
        ("https://evil.example\\@go.game.example/", False),
        ("https://go.game.example:8443/", False),
        ("https://go.game.example:port/", False),
        ("http://go.game.example/", False),
        ("//go.game.example/", False),
        ("javascript://go.game.example/%0aalert(1)", False),
        ("intent://x#Intent;scheme=https;end", False),
        ("othergame://level", False),
        ("mygame:level", False),
        (" mygame://level", False),
        ("mygame://a\r\nset-cookie: b", False),
        ("https://go.g\u0430me.example/", False),
        ("mygame://" + "x" * 3_000, False),
        ("", False),
        (None, False),
    ],
)
def test_a_deep_link_is_handed_on_only_if_the_app_declares_it(link: str | None, is_allowed: bool) -> None:
    assert (allowed_deep_link(BOTH, link) is not None) is is_allowed
    assert allowed_deep_link(PLAY_ONLY, link) is None


def test_an_allowed_deep_link_travels_to_the_store_and_retargeting_opens_it() -> None:
    values = {"partner": "meta", "deeplink_url": "mygame://level/7?x=1"}
    store = destination(BOTH, values, "c1", PIXEL)
    assert store is not None
    assert parse_qs(parameters(store)["referrer"])["deep_link"] == ["mygame://level/7?x=1"]
    again = destination(BOTH, values | {"is_retargeting": True}, "c1", PIXEL)
    assert again == "mygame://level/7?x=1&click_id=c1"
    refused = destination(BOTH, {"deeplink_url": "https://evil.example/", "is_retargeting": True}, "c1", PIXEL)
    assert refused is not None
    assert "evil" not in refused


STARTS = ["", "mygame://", "https://go.game.example", "https://go.game.example/", "https://", "javascript://"]


@hypothesis.settings(deadline=None)
@given(st.builds(str.__add__, st.sampled_from(STARTS), st.text()), st.text(), st.sampled_from([PIXEL, IPHONE, WINDOWS]))
def test_no_link_leads_elsewhere(link: str, name: str, agent: str) -> None:
    values = {"deeplink_url": link, "is_retargeting": True, "campaign_name": name}
    found = destination(BOTH, values, name, agent)
    assert found is not None
    scheme, host = urlsplit(found).scheme, urlsplit(found).hostname
    stores = {"play.google.com", "apps.apple.com", "game.example", "go.game.example"}
    assert scheme == "mygame" or (scheme, host in stores) == ("https", True)
    assert re.fullmatch(r"[!-~]+", found)
