"""An endpoint as a process: what stops its start is said in a sentence, and a stop leaves nothing behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ingestion.server import serve
from lakehouse.settings import SettingError
from tests.ingestion.rig import SALT, bronze, line, make_settings, register_apps, start_process


def test_a_stopped_endpoint_has_landed_everything(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "home", ingest_commit_seconds=60)
    running = start_process(settings, register_apps(settings))
    for i in range(30):
        assert running.post(line(record_id=f"r{i}")).status == 200
    running.stop()
    assert len(bronze(settings, "bronze_app_events")) == 30


def test_a_second_endpoint_on_the_same_home_is_refused(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "home")
    running = start_process(settings, register_apps(settings))
    try:
        with pytest.raises(SettingError, match="another endpoint"):
            serve(settings)
        with pytest.raises(SettingError, match="UNMOGROWP_INGEST_PORT is wrong"):
            serve(make_settings(tmp_path / "other", ingest_port=running.address.port))
    finally:
        running.stop()


def test_a_missing_salt_stops_the_start_with_a_sentence(tmp_path: Path) -> None:
    environment = {"UNMOGROWP_HOME": str(tmp_path), "UNMOGROWP_INGEST_PORT": "0"}
    result = subprocess.run(
        [sys.executable, "-m", "ingestion"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 2
    assert "UNMOGROWP_SALT is missing" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_lake_that_cannot_be_used_stops_the_start_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    settings = make_settings(tmp_path / "home", lake=tmp_path / "file" / "lake")
    environment = {"UNMOGROWP_HOME": str(settings.home), "UNMOGROWP_SALT": SALT, "UNMOGROWP_INGEST_PORT": "0"}
    result = subprocess.run(
        [sys.executable, "-m", "ingestion"],
        env=environment | {"UNMOGROWP_LAKE": settings.lake},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 2
    assert "UNMOGROWP_LAKE cannot be used" in result.stderr
    assert "Traceback" not in result.stderr
