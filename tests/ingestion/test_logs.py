"""Nothing that a sender or a setting keeps secret gets into the log, and requests can be told apart in it."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from ingestion.logs import Formatter, place_of
from tests.ingestion.rig import SALT, Running, line, make_settings, register_apps, start_process

QUERY_SECRET = "query-secret-3f9a"
BODY_SECRET = "body-secret-77d1"
ADDRESS = "203.0.113.77"


def session(running: Running) -> None:
    """Requests of every kind, each full of what must not be logged."""
    key = running.keys["game"]
    own = {"x_forwarded_for": ADDRESS, "x_event_source": "sdk", "user_agent": "agent-secret-5c5c"}
    running.post(line(properties={"a": BODY_SECRET}), **own)
    running.post(line(), f"/v1/events?key={key}&token={QUERY_SECRET}", **own)
    running.post(b'{"broken": "' + BODY_SECRET.encode(), **own)
    running.post(BODY_SECRET.encode(), content_encoding="gzip", **own)
    running.post(line(), f"/{key}/{QUERY_SECRET}", **own)
    running.post(line(), key=f"wrong-{key}", **own)
    running.post(line(), key=None, x_write_key=key, **own)
    call = b'{"type": "track", "event": "x", "userId": "%s", "writeKey": "%s"}' % (BODY_SECRET.encode(), key.encode())
    running.post(call, "/v1/track", key=None, **own)
    running.request("GET", f"/metrics?{QUERY_SECRET}", **own)


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_session_full_of_secrets_leaves_none_in_the_log(tmp_path: Path, form: str) -> None:
    settings = make_settings(tmp_path / "home", ingest_commit_seconds=0.1)
    keys = register_apps(settings)
    # The lake cannot be written, so that landing fails and libraries tell why.
    running = start_process(
        settings,
        keys,
        UNMOGROWP_INGEST_LOG_FORMAT=form,
        UNMOGROWP_INGEST_LOG_REQUESTS="true",
        UNMOGROWP_INGEST_TRUSTED_PROXIES="127.0.0.0/8",
        UNMOGROWP_STORAGE_OPTIONS="AWS_SECRET_ACCESS_KEY=storage-secret-a1b2c3",
    )
    session(running)
    running.stop()
    log = (settings.home / "endpoint.log").read_text()
    assert log.count("answered") == 9
    hidden = [*keys.values(), QUERY_SECRET, BODY_SECRET, ADDRESS, SALT, "storage-secret-a1b2c3", "agent-secret-5c5c"]
    assert [secret for secret in hidden if secret in log] == []
    assert "203.0.113" not in log
    if form == "json":
        lines = [json.loads(text) for text in log.splitlines()]
        answered = [entry for entry in lines if entry["message"] == "answered"]
        assert {entry["route"] for entry in answered} == {"/v1/events", "/v1/track", "/metrics", "other"}
        assert len({entry["request_id"] for entry in answered}) == 9
        assert all(entry["time"].endswith("+00:00") for entry in lines)


def test_secrets_of_the_settings_are_replaced_in_whatever_a_library_says(tmp_path: Path) -> None:
    options = "AWS_SECRET_ACCESS_KEY=abcdefgh12345678,AWS_REGION=xx"
    for form in ("text", "json"):
        settings = make_settings(tmp_path, storage_options=options, ingest_log_format=form)
        formatter = Formatter(settings)
        try:
            raise ValueError(f"denied for abcdefgh12345678 and {SALT} at https://u:pw-1234@host/x?sig=qq11")
        except ValueError as error:
            record = logging.LogRecord(
                "x", logging.ERROR, "f", 1, "Bearer %s", ("token-12345678",), (type(error), error, error.__traceback__)
            )
        text = formatter.format(record)
        for secret in ("abcdefgh12345678", SALT, "pw-1234", "qq11", "token-12345678"):
            assert secret not in text
        assert "ValueError: denied for [secret]" in text
        assert (json.loads(text)["level"] if form == "json" else text.split()[1]) == "ERROR"


def test_an_error_is_told_by_its_place_and_not_by_its_message() -> None:
    try:
        json.loads("{" + BODY_SECRET)
    except ValueError as error:
        told = place_of(error)
    assert told.startswith("JSONDecodeError in ")
    assert "raw_decode" in told
    assert BODY_SECRET not in told


def test_request_ids_come_back_and_insane_ones_do_not(endpoint: Running) -> None:
    ours = endpoint.post(line()).headers["x-request-id"]
    assert len(ours) > 12
    theirs = endpoint.post(line(), x_request_id="edge-7f:0001")
    assert (theirs.headers["x-request-id"], theirs.json["request_id"] != "edge-7f:0001") == ("edge-7f:0001", True)
    for insane in ("short", "x" * 129, "with space 1", "semi;colon", "umläut-12345", 'quote"12345678'):
        assert endpoint.post(line(), x_request_id=insane).headers["x-request-id"] != insane
    for reply in (endpoint.post(b"["), endpoint.post(b"", key=None), endpoint.request("GET", "/none")):
        assert reply.headers["x-request-id"]
