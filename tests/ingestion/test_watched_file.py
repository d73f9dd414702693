"""A watched file: a change is seen, a wrong one changes nothing, and reading it is seldom."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ingestion.access import Keys
from ingestion.link_signatures import LinkSecrets
from ingestion.watched_file import WatchedFile
from lakehouse.apps import APPS_FILE
from lakehouse.link_secrets import LINK_SECRETS_FILE, make_link_secret
from lakehouse.settings import SettingError, Settings
from tests.ingestion.rig import APP, OTHER_APP, register_apps


class Watch:
    """A file of one number that is watched, and the clock of whoever watches."""

    def __init__(self, file: Path) -> None:
        self.file, self.now, self.reads = file, 0.0, 0
        file.write_text("1")
        self.watched = WatchedFile(file, self.read, what="numbers", monotonic=lambda: self.now)

    def read(self) -> int:
        self.reads += 1
        if not self.file.exists():
            return 0
        try:
            return int(self.file.read_text(encoding="utf-8"))
        except ValueError:
            raise SettingError("the file holds no number.") from None

    def later(self) -> int:
        self.now += 1
        return self.watched.value


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    return Watch(tmp_path / "number")


def test_a_change_is_seen_a_second_later_and_not_before(watch: Watch) -> None:
    watch.file.write_text("22")
    assert watch.watched.value == 1
    watch.now += 0.99
    assert watch.watched.value == 1
    assert watch.later() == 22


def test_a_file_that_does_not_change_is_read_once(watch: Watch) -> None:
    assert [watch.later() for _ in range(5)] == [1] * 5
    assert watch.reads == 1


@pytest.mark.parametrize("wrong", [b"none", b"\xff\xfe"])
def test_a_wrong_file_keeps_the_last_good_state_and_is_said_once(
    watch: Watch, wrong: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    watch.file.write_bytes(wrong)
    assert [watch.later() for _ in range(3)] == [1, 1, 1]
    assert [record.getMessage() for record in caplog.records] == [
        "the old numbers stay in force: the file holds no number."
    ]
    watch.file.write_text("333")
    assert watch.later() == 333


def test_a_file_that_cannot_be_read_keeps_the_last_good_state(watch: Watch) -> None:
    watch.file.unlink()
    watch.file.mkdir()
    assert watch.later() == 1
    watch.file.rmdir()
    watch.file.write_text("4444")
    assert watch.later() == 4444


def test_a_file_that_goes_and_comes_is_seen(watch: Watch) -> None:
    watch.file.unlink()
    assert watch.later() == 0
    watch.file.write_text("5")
    assert watch.later() == 5


def test_another_file_of_the_same_age_and_length_is_another_file(watch: Watch) -> None:
    status = watch.file.stat()
    other = watch.file.with_name("other")
    other.write_text("7")
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(watch.file)
    assert watch.later() == 7


def test_a_change_while_it_is_read_is_seen_at_the_next_look(tmp_path: Path) -> None:
    file, now = tmp_path / "text", 0.0
    file.write_text("old")

    def read() -> str:
        text = file.read_text(encoding="utf-8")
        if text == "old":
            file.write_text("newer")
        return text

    watched = WatchedFile(file, read, what="texts", monotonic=lambda: now)
    assert watched.value == "old"
    now += 1
    assert watched.value == "newer"


def test_a_file_that_is_wrong_at_the_start_stops_it(tmp_path: Path) -> None:
    def read() -> int:
        raise SettingError("it is wrong.")

    with pytest.raises(SettingError, match="it is wrong"):
        WatchedFile(tmp_path / "none", read, what="numbers")


def test_keys_and_link_secrets_follow_their_files(settings: Settings) -> None:
    now = 0.0
    register_apps(settings)
    keys, secrets = Keys(settings, lambda: now), LinkSecrets(settings, lambda: now)
    assert set(keys.registry.apps) == {APP, OTHER_APP}
    assert secrets.of(APP) is None
    secret = make_link_secret(settings, APP)
    (settings.home / APPS_FILE).unlink()
    assert (set(keys.registry.apps), secrets.of(APP)) == ({APP, OTHER_APP}, None)
    now += 1
    assert (set(keys.registry.apps), secrets.of(APP)) == (set(), secret)
    file = settings.home / LINK_SECRETS_FILE
    file.write_text(file.read_text().replace(secret, "another secret" * 3))
    file.chmod(0o644)  # others can read it: it is refused
    now += 1
    assert secrets.of(APP) == secret
    file.chmod(0o600)
    now += 1
    assert secrets.of(APP) == "another secret" * 3
