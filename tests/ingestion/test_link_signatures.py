"""Signed links: who signed what, until when, and where the secrets lie."""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime, timedelta

import pytest

from ingestion.link_signatures import is_valid, sign
from lakehouse.link_secrets import LINK_SECRETS_FILE, load_link_secrets, make_link_secret
from lakehouse.settings import SettingError, Settings
from tests.ingestion.link_apps import SECRET, hit, landed, pairs_of, touch
from tests.ingestion.rig import NOW, Running


def signed(query: str, record_type: str = "click", app_id: str = "game", secret: str = SECRET) -> str:
    return f"{query}&sig={sign(secret, record_type, app_id, pairs_of(query))}"


def test_a_signature_is_the_documented_hmac() -> None:
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


def test_the_signature_of_a_hit_lands_with_it(link_endpoint: Running) -> None:
    secret = load_link_secrets(link_endpoint.settings)["strict"]
    query = "partner=meta&campaign_id=7"
    good = sign(secret, "click", "strict", pairs_of(query))
    links_hit = (("strict", f"&sig={good}"), ("strict", "&sig=00"), ("strict", ""), ("play.only", "&sig=00"))
    replies = [hit(link_endpoint, f"/v1/click/{app}?{query}{extra}") for app, extra in links_hit]
    found = [row["is_signature_valid"] for row in landed(link_endpoint, replies)]
    assert found == [True, False, False, False]


def test_a_sender_cannot_say_that_its_link_was_signed(link_endpoint: Running) -> None:
    reply = hit(link_endpoint, "/v1/click/game?partner=n&is_signature_valid=true&raw_url=x")
    row = touch(link_endpoint, reply)
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
