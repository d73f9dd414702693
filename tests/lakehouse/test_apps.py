"""The app registry: keys are hashed, scoped and expire; a wrong file is named."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from lakehouse.apps import (
    ROUTING_FIELDS,
    App,
    AppRegistry,
    WriteKey,
    hash_key,
    load_apps,
    new_write_key,
    save_apps,
)
from lakehouse.runs import code_version
from lakehouse.settings import SettingError, Settings, load_settings

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({"UNMOGROWP_HOME": str(tmp_path)})


def test_a_key_opens_its_app_in_its_scope_until_it_expires(settings: Settings) -> None:
    key, stored = new_write_key("sdk", scopes=("events",))
    dated = WriteKey(name="old", sha256=hash_key("old-key"), expires_at=NOW)
    save_apps(settings, (App(app_id="a", platform="ios", write_keys=(stored, dated)),))
    registry = load_apps(settings)
    opened = registry.authenticate(key, "events", NOW)
    assert opened is not None
    assert opened.app_id == "a"
    assert registry.authenticate(key, "segment", NOW) is None
    assert registry.authenticate("other", "events", NOW) is None
    assert registry.authenticate("old-key", "events", NOW) is None
    assert registry.authenticate("old-key", "events", datetime(2025, 12, 31, tzinfo=UTC)) is not None


def test_the_file_holds_no_key_in_clear(settings: Settings) -> None:
    key, stored = new_write_key("sdk")
    save_apps(settings, (App(app_id="a", platform="ios", write_keys=(stored,)),))
    file = settings.home / "apps.toml"
    assert key not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('[[apps]]\napp_id = "a"\nplatform = "amiga"', "platform is one of"),
        ('[[apps]]\napp_id = "a"\nplatform = "ios"\ntime_zone = "Mars/One"', "IANA"),
        ('[[apps]]\napp_id = "a"\nplatform = "ios"\ncurrency = "XXQ"', "ISO 4217"),
        ('[[apps]]\napp_id = "a"\nplatform = "ios"\n' * 2, "twice"),
        ("[[apps]", "TOML"),
        ('[[apps]]\napp_id = "a"\nplatform = "ios"\napp_store_id = "id5"', "app_store_id"),
        ('[[apps]]\napp_id = "a"\nplatform = "ios"\nplay_store_id = "game"', "play_store_id"),
        ('[[apps]]\napp_id = "a"\nplatform = "ios"\nweb_url = "http://a.example"', "web_url"),
        ('[[apps]]\napp_id = "a"\nplatform = "ios"\ndeep_links = ["javascript://"]', "not the app's own"),
        ('[[apps]]\napp_id = "a"\nplatform = "ios"\ndeep_links = ["https://"]', "not the app's own"),
        ('[[apps]]\napp_id = "a"\nplatform = "ios"\ndeep_links = ["*.example"]', "neither a scheme"),
        ('[[apps]]\napp_id = "%s"\nplatform = "ios"\napp_store_id = "5"\n' * 2 % ("a", "b"), "app_store_id stands"),
        ('[[apps]]\napp_id = "a b"\nplatform = "ios"', "app_id"),
    ],
)
def test_a_wrong_registry_stops_with_a_sentence(settings: Settings, text: str, reason: str) -> None:
    (settings.home / "apps.toml").write_text(text)
    with pytest.raises(SettingError, match=reason):
        load_apps(settings)


def test_where_links_lead_is_no_rule(settings: Settings) -> None:
    plain = App(app_id="a", platform="ios")
    routed = App(app_id="a", platform="ios", app_store_id="5", deep_links=("a://",), requires_signed_links=True)
    versions = {code_version(settings.dbt_project, AppRegistry((app,))) for app in (plain, routed)}
    assert len(versions) == 1
    assert code_version(settings.dbt_project, AppRegistry((App(app_id="a", platform="web"),))) not in versions
    assert set(App.model_fields) >= ROUTING_FIELDS


def test_no_file_means_no_apps(settings: Settings) -> None:
    assert load_apps(settings).apps == {}
