"""Click and impression links: what is recorded of a hit, and what bad links do."""

from __future__ import annotations

import uuid
from urllib.parse import quote

import pytest

from ingestion import links
from tests.ingestion.link_apps import PIXEL, hit, landed, parameters, touch
from tests.ingestion.rig import NOW, Running, bronze


@pytest.mark.parametrize(
    "macro",
    [
        "{gaid}", "{{gaid}}", "%7Bgaid%7D", "%7bgaid%7d", "%7B%7Bgaid%7D%7D", "__GAID__", "[GAID]", "%5BGAID%5D",
        "${GAID}", "%24%7BGAID%7D", "%%GAID%%", "<gaid>", " {gaid} ",
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_encoded", [False, True])
def test_an_unexpanded_macro_is_no_value(macro: str, is_encoded: bool) -> None:
    query = "&".join(f"{name}={quote(macro) if is_encoded else macro}" for name in ("gaid", "click_id", "sub1"))
    hit = links.read_hit("click", "game", links.read_parameters(query), PIXEL, NOW)
    assert "gaid" not in hit.values
    assert uuid.UUID(hit.click_id)
    assert b'"sub1":null' in hit.record


@pytest.mark.parametrize("value", ["a{b}", "_x_", "38400000-8cf0-11bd-b23e-10b96e40000d", "[draft] spring", "50%"])
def test_a_value_is_no_macro(value: str) -> None:
    assert not links.is_macro(value)


def test_bytes_that_are_no_text_cost_a_letter_and_not_the_touch() -> None:
    assert links.read_parameters("partner=n&site_id=a%FFb") == [("partner", "n"), ("site_id", "a\ufffdb")]


def test_the_fields_own_name_wins_over_another() -> None:
    pairs = links.read_parameters("pid=second&partner=first&af_siteid=&publisher_id=p7&clickid=c7")
    values = links.read_hit("click", "game", pairs, None, NOW).values
    assert values == {"partner": "first", "site_id": "p7", "click_id": "c7"}


def test_a_click_is_recorded_with_all_it_says(link_endpoint: Running) -> None:
    query = (
        "pid=Meta&c=Spring%20Sale&campaign_id=c9&gaid=38400000-8CF0-11BD-B23E-10B96E40000D&click_id=k1&cost=0.25"
        "&currency=EUR&is_retargeting=false&af_siteid=s1&sub1=a&sub1=b&odd=%F0%9F%98%80&ip=198.51.100.9&ua=fake"
        "&deep_link=https%3A%2F%2Fevil.example&idfa={idfa}"
    )
    reply = hit(link_endpoint, f"/v1/click/game?{query}")
    assert reply.status == 302
    assert reply.headers["cache-control"] == "no-store"
    location = parameters(reply.headers["location"])
    assert (location["id"], location["click_id"]) == ("com.example.game", "k1")
    row = touch(link_endpoint, reply)
    expected = {
        "app_id": "game", "record_type": "click", "partner": "meta", "campaign_name": "Spring Sale", "source": "link",
        "campaign_id": "c9", "gaid": "38400000-8cf0-11bd-b23e-10b96e40000d", "click_id": "k1", "cost_micros": 250_000,
        "currency": "EUR", "is_retargeting": False, "site_id": "s1", "idfa": None, "is_signature_valid": None,
        "os_name": "Android", "device_model": "Pixel 8", "platform": "android", "ip_prefix": "127.0.0.0/24",
        "deeplink_url": "https://evil.example", "event_at": NOW, "is_event_at_missing": False,
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    assert row["properties"] == '{"sub1":["a","b"],"odd":"\U0001f600"}'
    assert row["raw_url"].startswith("/v1/click/game?pid=Meta&c=Spring%20Sale&")
    assert "198.51.100.9" not in str(row)
    assert "fake" not in str(row)
    assert uuid.UUID(row["record_id"])
    (network,) = link_endpoint.wait_landed("bronze_network", f"record_id = '{row['record_id']}'", 1)
    assert (network["ip"], network["user_agent"]) == ("127.0.0.1", PIXEL)


def test_every_hit_is_a_touch_of_its_own_and_a_look_is_none(link_endpoint: Running) -> None:
    path = "/v1/click/game?partner=twice&campaign_id=same"
    first, second = hit(link_endpoint, path), hit(link_endpoint, path)
    look = hit(link_endpoint, path, method="HEAD")
    assert look.status == 302
    rows = landed(link_endpoint, [first, second])
    assert len({row["record_id"] for row in rows}) == len({row["click_id"] for row in rows}) == 2
    assert parameters(first.headers["location"])["click_id"] == rows[0]["click_id"]
    assert len(bronze(link_endpoint.settings, "bronze_touchpoints", "partner = 'twice'")) == 2


@pytest.mark.parametrize(
    ("query", "accept", "is_image"),
    [
        ("", "image/avif,image/*;q=0.8", True),
        ("", "*/*", True),
        ("", "application/json", False),
        ("&format=204", "image/gif", False),
        ("&format=gif", "application/json", True),
    ],
)
def test_an_impression_is_answered_by_a_pixel_or_nothing(
    link_endpoint: Running, query: str, accept: str, is_image: bool
) -> None:
    reply = hit(link_endpoint, f"/v1/impression/nowhere?partner=net{query}", accept=accept)
    assert reply.status == (200 if is_image else 204)
    assert (reply.headers.get("content-type") == "image/gif") is is_image
    assert reply.body[:6] + reply.body[-1:] == (b"GIF89a;" if is_image else b"")


def test_an_impression_is_recorded(link_endpoint: Running) -> None:
    row = touch(link_endpoint, hit(link_endpoint, "/v1/impression/nowhere?partner=net&format=gif"))
    assert (row["record_type"], row["partner"], row["properties"]) == ("impression", "net", None)


def test_a_wrong_touch_is_a_reject_and_the_person_goes_on(link_endpoint: Running) -> None:
    cases = {
        "": "missing_field",
        "partner={network}": "missing_field",
        "partner=net&cost=free&currency=EUR": "wrong_type",
        "partner=net&cost=1": "currency_missing",
        "partner=net&currency=eur": "unknown_currency",
        "partner=net&is_retargeting=perhaps": "wrong_type",
        "partner=net&country=Germany": "too_long",
        "partner=net&click_id=" + "x" * 300: "too_long",
        "partner=net&platform=amiga": "invalid_choice",
        "partner=net&" + "&".join(f"p{i}=1" for i in range(300)): "too_long",
    }
    replies = [hit(link_endpoint, f"/v1/click/game?{query}") for query in cases]
    assert [reply.status for reply in replies] == [302] * len(cases)
    store = "https://play.google.com/store/apps/details?id=com.example.game"
    assert all(reply.headers["location"].startswith(store) for reply in replies)
    rows = landed(link_endpoint, replies, "bronze_rejects")
    assert [row["reason_code"] for row in rows] == list(cases.values())
    assert {(row["app_id"], row["route"]) for row in rows} == {("game", "/v1/click")}
    assert all(row["raw"].startswith(b"/v1/click/game") for row in rows)


@pytest.mark.parametrize(
    "query",
    ["%", "%FF%FE", "=", "&&&", "a=%00", "partner=%ED%A0%80", "partner=n&x=%C0%AF", "a" * 5_000, "partner=n;a=b", "+"],
)
def test_no_query_breaks_a_link(link_endpoint: Running, query: str) -> None:
    assert hit(link_endpoint, f"/v1/click/game?{query}").status == 302
    assert hit(link_endpoint, f"/v1/impression/game?{query}").status == 200


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/click/unknown?partner=n", 404, "no_such_app"),
        ("/v1/click/%00", 404, "no_such_app"),
        ("/v1/impression/GAME", 404, "no_such_app"),
        ("/v1/click/nowhere?partner=n", 404, "no_store"),
        ("/v1/click/", 404, "not_found"),
        ("/v1/click", 404, "not_found"),
        ("/v1/click/game/x", 404, "not_found"),
    ],
)
def test_links_that_are_none(link_endpoint: Running, path: str, status: int, code: str) -> None:
    reply = hit(link_endpoint, path)
    assert (reply.status, reply.json["error"]["code"]) == (status, code)


def test_a_link_is_not_posted_to(link_endpoint: Running) -> None:
    assert hit(link_endpoint, "/v1/click/game", method="POST").status == 405


def test_names_of_parameters_are_not_given_twice() -> None:
    aliases = [alias for names in links.ALIASES.values() for alias in names]
    assert len(set(aliases)) == len(aliases)
    assert set(links.ALIASES) <= set(links.FIELDS)
    assert not set(aliases) & set(links.FIELDS)
