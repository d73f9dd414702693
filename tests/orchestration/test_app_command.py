"""`unmogrowp app`: keys are made, rotated, ended and listed, and a running endpoint follows."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from lakehouse.apps import changing_apps, load_apps, new_write_key, save_apps
from lakehouse.settings import load_settings
from orchestration.cli import cli
from tests.ingestion.rig import line, make_settings, start_thread

Invoke = Callable[..., Result]


@pytest.fixture
def app(tmp_path: Path) -> Invoke:
    runner = CliRunner(env={"UNMOGROWP_HOME": str(tmp_path)})
    return lambda *arguments: runner.invoke(cli, ["app", *arguments])


def made(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return str(json.loads(result.output)["write_key"])


def listed(app: Invoke, *arguments: str) -> list[dict[str, Any]]:
    return list(json.loads(app("list", *arguments, "--json").output))


def test_a_key_has_scopes_and_an_end(app: Invoke, tmp_path: Path) -> None:
    key = made(
        app("add", "a", "--platform", "ios", "--scope", "events", "--expires-at", "2090-01-01T00:00:00Z", "--json")
    )
    registry = load_apps(load_settings({"UNMOGROWP_HOME": str(tmp_path)}))
    before, after = datetime(2089, 12, 31, tzinfo=UTC), datetime(2090, 1, 1, tzinfo=UTC)
    assert registry.authenticate(key, "events", before) is not None
    assert registry.authenticate(key, "segment", before) is None
    assert registry.authenticate(key, "events", after) is None
    assert app("add", "a", "--expires-at", "2090-01-01").exit_code == 2


def test_rotation_makes_a_key_and_ends_the_old_one_after_the_overlap(app: Invoke, tmp_path: Path) -> None:
    old = made(app("a", "--platform", "ios", "--scope", "events", "--json"))
    new = made(app("rotate", "a", "default", "--overlap-hours", "2", "--json"))
    registry = load_apps(load_settings({"UNMOGROWP_HOME": str(tmp_path)}))
    now = datetime.now(UTC)
    for key, at, expected in (
        (old, now, True),
        (old, now + timedelta(hours=3), False),
        (new, now + timedelta(hours=3), True),
    ):
        assert (registry.authenticate(key, "events", at) is not None) is expected
    assert registry.authenticate(new, "segment", now) is None, "the new key has the scopes of the old one"
    assert [row["state"] for row in listed(app)] == ["ending", "valid"]
    newest = made(app("rotate", "a", "default", "--json"))
    assert len({old, new, newest}) == 3


def test_a_key_is_ended_at_once_or_later(app: Invoke) -> None:
    made(app("a", "--platform", "ios", "--json"))
    made(app("a", "--key-name", "other", "--json"))
    assert app("expire", "a", "default").exit_code == 0
    assert app("expire", "a", "other", "--at", "2090-01-01T00:00:00+01:00").exit_code == 0
    rows = listed(app, "a")
    assert [row["state"] for row in rows] == ["expired", "ending"]
    assert rows[1]["expires_at"] == "2089-12-31T23:00:00+00:00"


def test_what_is_not_there_or_not_clear_is_said_in_a_sentence(app: Invoke) -> None:
    made(app("a", "--platform", "ios", "--json"))
    made(app("a", "--json"))
    twice = app("expire", "a", "default")
    assert (twice.exit_code, "name one by its id" in twice.output) == (2, True)
    first = listed(app, "a")[0]["id"]
    assert app("expire", "a", first).exit_code == 0
    assert [row["state"] for row in listed(app, "a")] == ["expired", "valid"]
    for arguments in (("expire", "a", "none"), ("rotate", "b", "default"), ("list", "b"), ("origins", "b")):
        result = app(*arguments)
        assert (result.exit_code, "Traceback" in result.output) == (2, False), arguments
    assert app("new").exit_code == 2


def test_origins_are_set_and_checked(app: Invoke, tmp_path: Path) -> None:
    made(app("a", "--platform", "web", "--json"))
    assert app("origins", "a", "https://shop.example", "http://localhost:3000").exit_code == 0
    settings = load_settings({"UNMOGROWP_HOME": str(tmp_path)})
    assert load_apps(settings).origins == {"https://shop.example", "http://localhost:3000"}
    for wrong in ("*", "shop.example", "https://shop.example/", "https://*.example"):
        result = app("origins", "a", wrong)
        assert (result.exit_code, "is not an origin" in result.output) == (2, True), wrong
    assert app("origins", "a").exit_code == 0
    assert load_apps(settings).origins == frozenset()


def test_the_list_shows_no_key(app: Invoke) -> None:
    key = made(app("a", "--platform", "ios", "--json"))
    output = app("list").output
    assert "a default" in output
    assert key not in output


def test_commands_at_the_same_time_lose_no_key(app: Invoke, tmp_path: Path) -> None:
    made(app("a", "--platform", "ios", "--json"))
    settings = load_settings({"UNMOGROWP_HOME": str(tmp_path)})

    def add(number: int) -> None:
        for turn in range(15):
            with changing_apps(settings):
                registered = load_apps(settings).apps["a"]
                _, stored = new_write_key(f"k{number}-{turn}")
                save_apps(settings, (registered.model_copy(update={"write_keys": (*registered.write_keys, stored)}),))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(4)))
    assert len(listed(app)) == 1 + 4 * 15


def test_a_command_waits_for_another(app: Invoke, tmp_path: Path) -> None:
    made(app("a", "--platform", "ios", "--json"))
    settings = load_settings({"UNMOGROWP_HOME": str(tmp_path)})
    with ThreadPoolExecutor(1) as pool:
        with changing_apps(settings):
            registered = load_apps(settings).apps["a"]
            waiting = pool.submit(app, "a", "--key-name", "second", "--json")
            time.sleep(0.3)
            assert not waiting.done()
            _, stored = new_write_key("first")
            save_apps(settings, (registered.model_copy(update={"write_keys": (*registered.write_keys, stored)}),))
        made(waiting.result(20))
    assert [row["key"] for row in listed(app)] == ["default", "first", "second"]


def test_a_running_endpoint_follows(app: Invoke, tmp_path: Path) -> None:
    with start_thread(make_settings(tmp_path)) as running:
        old = made(app("add", "game.ios", "--key-name", "sdk", "--json"))
        new = made(app("rotate", "game.ios", "sdk", "--overlap-hours", "0", "--json"))
        deadline = time.monotonic() + 10
        while running.post(line(), key=new).status != 200 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert (running.post(line(), key=new).status, running.post(line(), key=old).status) == (200, 401)
        assert app("expire", "game.ios", "game").exit_code == 0
        while running.post(line()).status != 401 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert running.post(line()).status == 401
