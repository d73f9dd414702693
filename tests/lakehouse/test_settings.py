"""Settings: where they come from, and that a wrong one is named in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakehouse.home import make_demo_secrets
from lakehouse.settings import SettingError, Settings, load_settings

SECRET = "s" * 32


def load(home: Path, **variables: str) -> Settings:
    return load_settings({"UNMOGROWP_HOME": str(home)} | {f"UNMOGROWP_{k.upper()}": v for k, v in variables.items()})


def test_environment_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "unmogrowp.toml").write_text("threads = 3\ningest_port = 9000\n")
    settings = load(tmp_path, threads="5")
    assert (settings.threads, settings.ingest_port) == (5, 9000)
    assert settings.lake == str(tmp_path / "lake")


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"threads": "none"}, r"^UNMOGROWP_THREADS is wrong: .*integer.*\.$"),
        ({"thread": "1"}, r"^UNMOGROWP_THREAD is not a setting"),
        ({"salt": "short"}, r"^UNMOGROWP_SALT is wrong: should have at least 32 characters\.$"),
        ({"storage_options": "oops"}, r"^UNMOGROWP_STORAGE_OPTIONS is wrong"),
    ],
)
def test_a_wrong_variable_is_named(tmp_path: Path, variables: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingError, match=sentence):
        load(tmp_path, **variables)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("threads = 0", "threads in unmogrowp.toml is wrong"),
        ("bogus = 1", "bogus in unmogrowp.toml is not"),
        ("=", "TOML"),
    ],
)
def test_a_wrong_line_of_the_file_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "unmogrowp.toml").write_text(text)
    with pytest.raises(SettingError, match=sentence):
        load(tmp_path)


def test_a_missing_secret_is_named_only_when_it_is_needed(tmp_path: Path) -> None:
    settings = load(tmp_path)
    with pytest.raises(SettingError, match=r"^UNMOGROWP_SALT is missing"):
        settings.secret("salt")
    assert load(tmp_path, salt=SECRET).secret("salt") == SECRET


def test_secrets_never_show_in_text(tmp_path: Path) -> None:
    assert SECRET not in repr(load(tmp_path, salt=SECRET))


def test_the_demo_makes_private_secrets_once(tmp_path: Path) -> None:
    assert make_demo_secrets(tmp_path)
    first = load(tmp_path).secret("salt")
    assert not make_demo_secrets(tmp_path)
    assert load(tmp_path).secret("salt") == first
    assert (tmp_path / "secrets.toml").stat().st_mode & 0o777 == 0o600


def test_a_secrets_file_others_can_read_is_refused(tmp_path: Path) -> None:
    make_demo_secrets(tmp_path)
    (tmp_path / "secrets.toml").chmod(0o644)
    with pytest.raises(SettingError, match="0600"):
        load(tmp_path)
