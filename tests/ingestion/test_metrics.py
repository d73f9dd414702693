"""What /metrics says, read as Prometheus reads it, and that it adds up."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from ingestion.metrics import Metrics
from tests.ingestion.rig import Running, bronze, line, make_settings, start_thread

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(running: Running) -> Samples:
    text = running.request("GET", "/metrics", key=None).body.decode()
    return {
        (sample.name.removeprefix("unmogrowp_ingest_"), tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float:
    return found.get((name, tuple(sorted(labels.items()))), 0.0)


def when(running: Running, condition: Callable[[Samples], bool]) -> Samples:
    """The metrics once a condition holds."""
    deadline = time.monotonic() + 20
    while not condition(found := samples(running)):
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return found


def test_every_request_record_byte_commit_and_file_is_counted(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, ingest_commit_seconds=0.1)
    with start_thread(settings) as running:
        good, bad = line(record_id="a"), b'{"app_id": "game.ios"}'
        running.post(good + b"\n" + line(record_id="b") + b"\n" + bad)
        running.post(bad)
        running.post(good, key="wrong")
        running.post(b"{}", "/v9/none")
        running.wait_landed("bronze_app_events", "true", 2)
        running.wait_landed("bronze_receipts", "true", 1)
        found = samples(running)
    for route, status, count in (
        ("/v1/events", "207", 1),
        ("/v1/events", "422", 1),
        ("/v1/events", "401", 1),
        ("other", "404", 1),
    ):
        assert value(found, "requests_total", route=route, status=status) == count
    assert value(found, "records_accepted_total", route="/v1/events") == 2
    assert value(found, "records_rejected_total", route="/v1/events", reason="missing_field") == 2
    assert value(found, "body_bytes_total") == len(good) + len(line(record_id="b")) + 2 * len(bad) + 2
    assert value(found, "ack_seconds_count") == 2
    assert value(found, "landed_rows_total", table="bronze_app_events") == 2
    assert value(found, "files_written_total", table="bronze_app_events") == 1
    assert value(found, "commit_seconds_count", table="bronze_app_events") == 1
    assert value(found, "landing_errors_total") == value(found, "landing_failures") == 0
    assert value(found, "in_flight_bytes") == value(found, "spool_refuses") == 0
    assert value(found, "in_flight_requests") == 1  # the question itself
    assert value(found, "disk_free_bytes") > 0
    assert value(found, "landed_batch") >= 1
    assert len(bronze(settings, "bronze_rejects")) == 2


def test_what_waits_to_land_shows_bytes_number_and_age(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "home", lake=tmp_path / "lake", ingest_commit_seconds=0.1)
    with start_thread(settings) as running:
        moved = (tmp_path / "lake").rename(tmp_path / "away")
        try:
            running.post(line())
            found = when(running, lambda f: bool(value(f, "landing_errors_total") and value(f, "spool_oldest_seconds")))
            assert value(found, "spool_segments") == 1
            assert value(found, "spool_backlog_bytes") > 100
            assert value(found, "landing_failures") >= 1
        finally:
            moved.rename(tmp_path / "lake")
        found = when(running, lambda f: not value(f, "spool_segments"))
        assert value(found, "spool_oldest_seconds") == value(found, "spool_backlog_bytes") == 0


def test_labels_hold_nothing_that_a_sender_chooses(endpoint: Running) -> None:
    for path in ("/v1/secret-path", "/v1/events?secret=1"):
        endpoint.post(line(app_id="secret-app"), path)
    assert "secret" not in endpoint.request("GET", "/metrics").body.decode()


def test_the_operations_page_explains_every_metric_and_no_other() -> None:
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
    exported = {family.name for family in text_string_to_metric_families(Metrics().text().decode())}
    explained = re.findall(r"^\| `(unmogrowp_ingest_\w+)` \|", page, flags=re.MULTILINE)
    assert {name.removesuffix("_total") for name in explained} == exported
