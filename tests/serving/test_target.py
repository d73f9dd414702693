"""Finding the right ClickHouse: DSNs, the front of this home, locks; and the sentence when there is none."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
import worlds

from lakehouse.settings import SettingError, Settings, load_settings
from serving.engine import connect
from serving.errors import ServingError
from serving.http import serve, wait_ready
from serving.query import query_rows, run_query
from serving.target import EmbeddedTarget, HttpTarget, Owner, find_owner, parse_dsn, read_owner, write_owner


@pytest.mark.parametrize(
    ("dsn", "target"),
    [
        ("chdb:///srv/click%20house", EmbeddedTarget(Path("/srv/click house"))),
        ("http://db", HttpTarget("db", 8123, "default", "")),
        ("http://u:p%40ss@db:9000/shop", HttpTarget("db", 9000, "u", "p@ss", "shop")),
        ("https://u:p@db/", HttpTarget("db", 8443, "u", "p", "marts", is_secure=True)),
    ],
)
def test_a_dsn_names_a_target(dsn: str, target: object) -> None:
    assert parse_dsn(dsn) == target


@pytest.mark.parametrize(
    "dsn", ["chdb://relative", "chdb:relative", "postgres://db", "http://", "http://db:port/", "db"]
)
def test_a_wrong_dsn_is_told_in_one_sentence(dsn: str) -> None:
    with pytest.raises(ServingError, match="UNMOGROWP_CLICKHOUSE_DSN is wrong"):
        parse_dsn(dsn)


def test_a_password_is_not_shown() -> None:
    assert "s3cret" not in repr(parse_dsn("http://u:s3cret@db/"))
    with pytest.raises(ServingError) as caught:
        parse_dsn("ftp://u:s3cret@db/")
    assert "s3cret" not in str(caught.value)


def test_a_server_that_does_not_answer_is_named(tmp_path: Path) -> None:
    settings = worlds.settings_of(tmp_path, UNMOGROWP_CLICKHOUSE_DSN="http://u:s3cret@127.0.0.1:1/marts")
    with pytest.raises(ServingError, match=r"http://127\.0\.0\.1:1 cannot be reached") as caught, connect(settings):
        pass
    assert "s3cret" not in str(caught.value)


def test_a_dsn_may_name_a_folder_or_a_front(running: tuple[Settings, str], tmp_path: Path) -> None:
    address = running[1]
    embedded = worlds.settings_of(tmp_path / "home", UNMOGROWP_CLICKHOUSE_DSN=f"chdb://{tmp_path}/engine")
    worlds.write_gold(embedded, "campaign_daily", worlds.campaign_daily(rows=5))
    worlds.publish(embedded, "campaign_daily")
    assert query_rows(embedded, "select count() from campaign_daily")[0].rows == [(5,)]
    assert not (embedded.home / "clickhouse").exists()

    # As to any server elsewhere, rows are sent: it is not asked to read the lake.
    host = address.removeprefix("http://")
    dsn = f"http://publisher:{worlds.PUBLISHER_PASSWORD}@{host}/marts"
    remote = worlds.settings_of(tmp_path / "home", UNMOGROWP_CLICKHOUSE_DSN=dsn)
    worlds.write_gold(remote, "elsewhere", worlds.campaign_daily(rows=7))
    worlds.publish(remote, "elsewhere")
    assert query_rows(remote, "select count() from elsewhere")[0].rows == [(7,)]
    with pytest.raises(ServingError, match="readonly"):
        run_query(remote, "drop table elsewhere")
    wrong = worlds.settings_of(tmp_path, UNMOGROWP_CLICKHOUSE_DSN=f"http://publisher:wrong@{host}/marts")
    with pytest.raises(ServingError, match="refuses user publisher"), connect(wrong):
        pass


def test_commands_go_through_the_front_of_their_home_and_to_no_other(
    running: tuple[Settings, str], tmp_path: Path
) -> None:
    settings, address = running
    owner = find_owner(settings)
    assert owner is not None
    assert owner.address == address
    with connect(settings) as engine:
        assert isinstance(engine.target, HttpTarget)
        assert engine.sees(tmp_path)
    # Another home whose stale file names the port where this front listens now.
    other = worlds.settings_of(tmp_path / "other")
    other.home.mkdir()
    write_owner(other.home, Owner(address, owner.pid, "of another start"))
    assert find_owner(other) is None
    with connect(other) as engine:
        assert isinstance(engine.target, EmbeddedTarget)


@pytest.mark.parametrize("text", ["", "{", '{"address": "x"}', "[]"])
def test_a_damaged_owner_file_is_no_owner(settings: Settings, text: str) -> None:
    settings.home.mkdir()
    (settings.home / "clickhouse-serve.json").write_text(text, encoding="utf-8")
    assert read_owner(settings.home) is None
    assert find_owner(settings) is None


HOLD = """
import sys, time
from lakehouse.settings import load_settings
from serving.engine import connect
with connect(load_settings()) as engine:
    engine.command("CREATE DATABASE IF NOT EXISTS marts")
    print("held", flush=True)
    time.sleep(float(sys.argv[1]) if len(sys.argv) > 1 else 1)
"""


def held(home: Path) -> subprocess.Popen[str]:
    process = worlds.python(HOLD, home)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_folder_in_use_is_waited_for_and_then_named(settings: Settings) -> None:
    settings.home.mkdir()
    process = held(settings.home)
    with pytest.raises(ServingError, match="in use by another process"), connect(settings, wait_s=0.3):
        pass
    began = time.monotonic()
    with connect(settings, wait_s=30) as engine:
        assert engine.rows("SELECT 1") == [(1,)]
    assert time.monotonic() - began < 20
    assert process.wait(10) == 0


def test_one_process_may_hold_several_connections(settings: Settings) -> None:
    with connect(settings) as writer, connect(settings, username="bi") as reader, connect(settings) as other:
        writer.command("CREATE DATABASE marts")
        other.command("CREATE TABLE marts.t ENGINE = MergeTree ORDER BY n AS SELECT 1 AS n")
        assert reader.rows("SELECT n FROM t") == [(1,)]
        writer.command("DROP TABLE marts.t")


def test_a_second_folder_in_one_process_is_refused_while_the_first_is_open(settings: Settings, tmp_path: Path) -> None:
    other = worlds.settings_of(tmp_path / "other")
    with (
        connect(settings),
        pytest.raises(ServingError, match="has another ClickHouse folder open"),
        connect(other),
    ):
        pass
    with connect(other):
        pass


def test_a_front_that_hangs_is_named(settings: Settings) -> None:
    settings.home.mkdir()
    process = held(settings.home)
    write_owner(settings.home, Owner("http://127.0.0.1:1", process.pid, "x"))
    with pytest.raises(ServingError, match=f"process {process.pid}.*does not answer"), connect(settings, wait_s=0.1):
        pass
    process.kill()
    process.communicate()


def test_serve_wants_passwords_and_its_own_port_and_folder(running: tuple[Settings, str], tmp_path: Path) -> None:
    settings, address = running
    without = load_settings({"UNMOGROWP_HOME": str(tmp_path)})
    with pytest.raises(SettingError, match="UNMOGROWP_CLICKHOUSE_BI_PASSWORD is missing"):
        serve(without)
    with pytest.raises(ServingError, match=f"running already, at {address}"):
        serve(settings)
    port = address.rpartition(":")[2]
    with pytest.raises(ServingError, match=f"Port {port} of 127.0.0.1 is taken"):
        serve(worlds.settings_of(tmp_path, UNMOGROWP_SERVE_PORT=port))
    with pytest.raises(ServingError, match="UNMOGROWP_SERVE_HOST is wrong"):
        serve(worlds.settings_of(tmp_path, UNMOGROWP_SERVE_HOST="no.such.host.invalid"))
    assert Path.cwd() != Path("/")


def test_a_killed_front_does_no_harm_and_a_stopped_one_leaves_no_trace(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    settings = worlds.settings_of(home)
    with pytest.raises(ServingError, match="did not answer within"):
        wait_ready(settings, 0.1)
    process = worlds.python(worlds.SERVE, home)
    wait_ready(settings, 30)
    process.kill()
    process.communicate()
    assert read_owner(home) is not None
    worlds.write_gold(settings, "campaign_daily", worlds.campaign_daily(rows=3))
    worlds.publish(settings, "campaign_daily")
    with worlds.front(home) as (settings, address):
        bi = worlds.client(address)
        assert bi.command("select count() from campaign_daily") == 3
        bi.close()
    assert read_owner(home) is None
