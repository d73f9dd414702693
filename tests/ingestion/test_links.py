"""Click and impression links: where the person goes, what is recorded, who signed it, and what bad links do."""

from __future__ import annotations

import re
import socket
import time
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import duckdb
import hypothesis
import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion import links
from ingestion.link_signatures import is_valid, sign
from ingestion.stores import allowed_deep_link, destination
from lakehouse.apps import App, save_apps
from lakehouse.link_secrets import LINK_SECRETS_FILE, load_link_secrets, make_link_secret
from lakehouse.settings import SettingError, Settings
from tests.ingestion.rig import NOW, Reply, Running, bronze, make_settings, start_process, start_thread

IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15"
PIXEL = "Mozilla/5.0 (Linux; Android 14; Pixel 8 Build/UD1A) AppleWebKit"
WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"
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


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    settings = make_settings(tmp_path_factory.mktemp("links"), ingest_commit_seconds=0.2)
    with start_thread(settings, clock=lambda: NOW, register=register) as running:
        yield running


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


# ---- where the person goes


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


# ---- what is recorded


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


def test_a_click_is_recorded_with_all_it_says(endpoint: Running) -> None:
    query = (
        "pid=Meta&c=Spring%20Sale&campaign_id=c9&gaid=38400000-8CF0-11BD-B23E-10B96E40000D&click_id=k1&cost=0.25"
        "&currency=EUR&is_retargeting=false&af_siteid=s1&sub1=a&sub1=b&odd=%F0%9F%98%80&ip=198.51.100.9&ua=fake"
        "&deep_link=https%3A%2F%2Fevil.example&idfa={idfa}"
    )
    reply = hit(endpoint, f"/v1/click/game?{query}")
    assert reply.status == 302
    assert reply.headers["cache-control"] == "no-store"
    location = parameters(reply.headers["location"])
    assert (location["id"], location["click_id"]) == ("com.example.game", "k1")
    row = touch(endpoint, reply)
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
    (network,) = endpoint.wait_landed("bronze_network", f"record_id = '{row['record_id']}'", 1)
    assert (network["ip"], network["user_agent"]) == ("127.0.0.1", PIXEL)


def test_every_hit_is_a_touch_of_its_own_and_a_look_is_none(endpoint: Running) -> None:
    path = "/v1/click/game?partner=twice&campaign_id=same"
    first, second = hit(endpoint, path), hit(endpoint, path)
    look = hit(endpoint, path, method="HEAD")
    assert look.status == 302
    rows = landed(endpoint, [first, second])
    assert len({row["record_id"] for row in rows}) == len({row["click_id"] for row in rows}) == 2
    assert parameters(first.headers["location"])["click_id"] == rows[0]["click_id"]
    assert len(bronze(endpoint.settings, "bronze_touchpoints", "partner = 'twice'")) == 2


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
    endpoint: Running, query: str, accept: str, is_image: bool
) -> None:
    reply = hit(endpoint, f"/v1/impression/nowhere?partner=net{query}", accept=accept)
    assert reply.status == (200 if is_image else 204)
    assert (reply.headers.get("content-type") == "image/gif") is is_image
    assert reply.body[:6] + reply.body[-1:] == (b"GIF89a;" if is_image else b"")


def test_an_impression_is_recorded(endpoint: Running) -> None:
    row = touch(endpoint, hit(endpoint, "/v1/impression/nowhere?partner=net&format=gif"))
    assert (row["record_type"], row["partner"], row["properties"]) == ("impression", "net", None)


# ---- bad links


def test_a_wrong_touch_is_a_reject_and_the_person_goes_on(endpoint: Running) -> None:
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
    replies = [hit(endpoint, f"/v1/click/game?{query}") for query in cases]
    assert [reply.status for reply in replies] == [302] * len(cases)
    store = "https://play.google.com/store/apps/details?id=com.example.game"
    assert all(reply.headers["location"].startswith(store) for reply in replies)
    rows = landed(endpoint, replies, "bronze_rejects")
    assert [row["reason_code"] for row in rows] == list(cases.values())
    assert {(row["app_id"], row["route"]) for row in rows} == {("game", "/v1/click")}
    assert all(row["raw"].startswith(b"/v1/click/game") for row in rows)


@pytest.mark.parametrize(
    "query",
    ["%", "%FF%FE", "=", "&&&", "a=%00", "partner=%ED%A0%80", "partner=n&x=%C0%AF", "a" * 5_000, "partner=n;a=b", "+"],
)
def test_no_query_breaks_a_link(endpoint: Running, query: str) -> None:
    assert hit(endpoint, f"/v1/click/game?{query}").status == 302
    assert hit(endpoint, f"/v1/impression/game?{query}").status == 200


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
def test_links_that_are_none(endpoint: Running, path: str, status: int, code: str) -> None:
    reply = hit(endpoint, path)
    assert (reply.status, reply.json["error"]["code"]) == (status, code)


def test_a_link_is_not_posted_to(endpoint: Running) -> None:
    assert hit(endpoint, "/v1/click/game", method="POST").status == 405


# ---- a spool that refuses


def test_a_person_behind_a_busy_address_reaches_the_store(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, ingest_limit_loopback=True, ingest_address_rate=0.1)
    with start_thread(settings, register=register) as running:
        replies = [hit(running, f"/v1/click/game?partner=n&click_id=c{i}") for i in range(3)]
        assert [reply.status for reply in replies] == [302] * 3
        assert "c2" in replies[2].headers["location"]
        assert hit(running, "/v1/impression/game?partner=n").status == 429
        running.begin_stop()
    assert [row["click_id"] for row in bronze(settings, "bronze_touchpoints")] == ["c0"]


def test_a_person_reaches_the_store_when_the_spool_is_full(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, ingest_commit_seconds=60, ingest_backlog_bytes=2_000)
    with start_thread(settings, register=register) as running:
        replies = [hit(running, f"/v1/click/game?partner=n&click_id=c{i}") for i in range(8)]
        assert [reply.status for reply in replies] == [302] * 8
        assert hit(running, "/v1/impression/game?partner=n").status == 429
        text = running.request("GET", "/metrics", key=None).body.decode()
    recorded = {row["click_id"] for row in bronze(settings, "bronze_touchpoints")}
    assert 0 < len(recorded) < 8
    assert f"unmogrowp_ingest_unrecorded_clicks_total {8 - len(recorded)}.0" in text


def test_a_person_reaches_the_store_while_the_endpoint_drains(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    with start_thread(settings, register=register) as running:
        link = socket.create_connection((running.address.host, running.address.port))
        head = "POST /v1/skan HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n"
        link.sendall(head.encode())
        time.sleep(0.2)
        running.begin_stop()
        time.sleep(0.2)
        assert hit(running, "/v1/click/game?partner=late").status == 302
        assert hit(running, "/v1/impression/game?partner=late").status == 503
        link.sendall(b"{}")
        assert link.recv(1_000).startswith(b"HTTP/1.1 422")
        link.close()
    assert bronze(settings, "bronze_touchpoints") == []


@pytest.mark.slow
def test_a_click_that_was_answered_survives_a_kill(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "home", ingest_commit_seconds=60)
    settings.home.mkdir()
    running = start_process(settings, register(settings))
    sent = {f"c{i}" for i in range(20)}
    assert [hit(running, f"/v1/click/game?partner=n&click_id={c}").status for c in sorted(sent)] == [302] * 20
    assert running.process is not None
    running.process.kill()
    running.process.wait()
    again = start_process(settings, {})
    again.stop()
    rows = bronze(settings, "bronze_touchpoints")
    assert sorted(row["click_id"] for row in rows) == sorted(sent)


# ---- signatures


SECRET = "a link secret that is long enough for the tests"


def pairs_of(query: str) -> links.Pairs:
    return links.read_parameters(query)


def signed(query: str, record_type: str = "click", app_id: str = "game", secret: str = SECRET) -> str:
    return f"{query}&sig={sign(secret, record_type, app_id, pairs_of(query))}"


def test_a_signature_is_the_documented_hmac() -> None:
    import hashlib
    import hmac

    text = "click\ngame\na%20b=%2F~&partner=meta"
    expected = hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()
    assert sign(SECRET, "click", "game", pairs_of("partner=meta&a+b=%2F~")) == expected


def check(query: str, secret: str | None = SECRET, record_type: str = "click", at: datetime = NOW) -> bool | None:
    return is_valid(secret, record_type, "game", pairs_of(query), at)


def test_who_signed_what() -> None:
    query = "partner=meta&campaign_id=7"
    assert check(query) is None
    assert check(signed(query)) is True
    assert check(signed(query).upper().replace("PARTNER=META&CAMPAIGN_ID=7&SIG", f"{query}&sig")) is True
    reordered = signed(query).replace(query, "campaign_id=7&partner=meta")
    assert check(reordered) is True
    for wrong in (
        signed(query).replace("=7", "=8"),
        signed(query) + "&site_id=added",
        signed(query)[:-1],
        signed(query, app_id="other"),
        signed(query, record_type="impression"),
        signed(query, secret="another secret"),
        signed(query) + "&sig=0",
        f"{query}&sig=",
        f"{query}&sig=%F0%9F%98%80",
    ):
        assert check(wrong) is False, wrong
    assert check(signed(query), secret=None) is False


def test_only_named_parameters_are_signed_and_under_every_name_they_have() -> None:
    link = signed("pid=meta&campaign_id=7&signed=pid,campaign_id")
    assert check(f"{link}&gaid=38400000-8cf0-11bd-b23e-10b96e40000d") is True
    for wrong in ("&partner=evil", "&pid=evil", "&utm_source=evil", "&campaign_id=8", "&signed=pid", "&expires=9"):
        assert check(link + wrong) is False, wrong


def test_a_signed_link_expires() -> None:
    link = signed(f"partner=meta&signed=partner&expires={int(NOW.timestamp())}")
    assert check(link) is True
    assert check(link, at=NOW + timedelta(seconds=1)) is False
    assert check(signed("partner=meta&expires=never")) is False


def test_the_signature_of_a_hit_lands_with_it(endpoint: Running) -> None:
    secret = load_link_secrets(endpoint.settings)["strict"]
    query = "partner=meta&campaign_id=7"
    good = sign(secret, "click", "strict", pairs_of(query))
    links_hit = (("strict", f"&sig={good}"), ("strict", "&sig=00"), ("strict", ""), ("play.only", "&sig=00"))
    replies = [hit(endpoint, f"/v1/click/{app}?{query}{extra}") for app, extra in links_hit]
    found = [row["is_signature_valid"] for row in landed(endpoint, replies)]
    assert found == [True, False, False, False]


def test_a_sender_cannot_say_that_its_link_was_signed(endpoint: Running) -> None:
    reply = hit(endpoint, "/v1/click/game?partner=n&is_signature_valid=true&raw_url=x")
    row = touch(endpoint, reply)
    assert row["is_signature_valid"] is None
    assert row["properties"] == '{"is_signature_valid":"true","raw_url":"x"}'


def test_secrets_are_private_and_a_wrong_file_is_named(settings: Settings) -> None:
    settings.home.mkdir(parents=True)
    first = make_link_secret(settings, "game")
    assert make_link_secret(settings, "game") == first
    assert make_link_secret(settings, "other") != first
    file = settings.home / LINK_SECRETS_FILE
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o640)
    with pytest.raises(SettingError, match="set its mode to 0600"):
        load_link_secrets(settings)
    file.chmod(0o600)
    for text, reason in (("[secrets", "not valid TOML"), ('secrets = "x"', "table"), ('[secrets]\na = "x"', "32")):
        file.write_text(text)
        with pytest.raises(SettingError, match=reason):
            load_link_secrets(settings)


def test_names_of_parameters_are_not_given_twice() -> None:
    aliases = [alias for names in links.ALIASES.values() for alias in names]
    assert len(set(aliases)) == len(aliases)
    assert set(links.ALIASES) <= set(links.FIELDS)
    assert not set(aliases) & set(links.FIELDS)


# ---- what the page says

PAGE = (Path(__file__).parents[2] / "docs" / "links.md").read_text(encoding="utf-8")


def test_the_table_of_parameters_is_that_of_the_code() -> None:
    table = PAGE.partition("## Parameters")[2].partition("## Signed links")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.*?) ?\| (.+) \|$", table, flags=re.MULTILINE)
    documented = {name: (tuple(re.findall(r"`(\w+)`", aliases)), doc) for name, aliases, doc in rows}
    assert documented == {name: (links.ALIASES.get(name, ()), f.doc) for name, f in links.FIELDS.items()}
    for macro in re.findall(r"`([^`]+)`", table.partition("null: ")[2].partition("\n")[0]):
        assert links.is_macro(macro), macro


def test_the_example_of_what_is_signed_is_what_is_signed() -> None:
    import hashlib
    import hmac

    example = PAGE.partition("under the secret of\n\n")[2].partition("\n\nthree lines")[0]
    text = "\n".join(row.strip() for row in example.splitlines())
    expected = hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()
    assert sign(SECRET, "click", "game", pairs_of("partner=meta&campaign_id=c9")) == expected


def test_the_example_of_the_page_is_recorded(endpoint: Running) -> None:
    path = re.search(r'curl -i "http://127\.0\.0\.1:8080(.+)"', PAGE)
    assert path is not None
    row = touch(endpoint, hit(endpoint, path[1]))
    assert (row["partner"], row["campaign_id"], row["gaid"] is None) == ("meta", "c9", False)
