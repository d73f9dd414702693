"""Adjust raw data: every kind of activity, by its own column, with the touch an install names."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ingestion.importer import import_file
from lakehouse.apps import App, save_apps
from lakehouse.settings import Settings
from tests.ingestion.rig import APP, bronze, ids_of

COLUMNS = (
    "activity_kind created_at app_id adid gps_adid idfa ip_address user_agent os_name os_version country environment "
    "tracking_enabled network_name campaign_name adgroup_name creative_name tracker match_type click_time "
    "impression_time installed_at event event_name revenue currency reporting_revenue reporting_currency "
    "ad_revenue_network ad_mediation_platform ad_impressions_count cost_amount cost_currency nonce"
)
BASE = {
    "created_at": "1772272800",
    "app_id": "com.example.game",
    "adid": "18546f6171f67e29d1cb983322ad1329",
    "gps_adid": "38400000-8CF0-11BD-B23E-10B96E40000D",
    "idfa": "00000000-0000-0000-0000-000000000000",
    "ip_address": "203.0.113.7",
    "os_name": "android",
    "country": "de",
    "environment": "production",
    "tracking_enabled": "1",
    "network_name": "ExampleNet",
    "campaign_name": "winter",
}
TOUCHED = BASE | {"click_time": "1772272000", "installed_at": "1772272790"}
ROWS: list[dict[str, str]] = [
    TOUCHED | {"activity_kind": "install"},
    BASE | {"activity_kind": "install", "adid": "b2", "network_name": "Organic", "click_time": "1772272000"},
    TOUCHED | {"activity_kind": "reattribution", "impression_time": "1772272100", "click_time": ""},
    BASE | {"activity_kind": "session"},
    BASE | {"activity_kind": "event", "event": "abc123", "revenue": "4.5", "currency": "EUR"},
    BASE | {"activity_kind": "event", "event_name": "buy", "reporting_revenue": "5", "reporting_currency": "USD"},
    BASE | {"activity_kind": "ad_revenue", "revenue": "0.01", "currency": "USD", "ad_impressions_count": "2"},
    BASE | {"activity_kind": "uninstall"},
    BASE | {"activity_kind": "click", "cost_amount": "0.2", "cost_currency": "USD"},
    BASE | {"activity_kind": "impression"},
    BASE | {"activity_kind": "gdpr_forget_device"},
]


def raw_data(rows: list[dict[str, str]], *, braces: bool) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = COLUMNS.split()
    writer.writerow([f"{{{name}}}" if braces else name for name in names])
    writer.writerows([row.get(name, "") for name in names] for row in rows)
    return text.getvalue()


def test_every_activity_becomes_its_record(settings: Settings, tmp_path: Path) -> None:
    save_apps(settings, (App(app_id=APP, platform="android", store_id="com.example.game"),))
    for name, braces in (("a.csv", True), ("b.csv", False)):
        (tmp_path / name).write_text(raw_data(ROWS, braces=braces))
    result = import_file(settings, tmp_path / "a.csv", "adjust")
    assert (result.rows, result.accepted, result.reasons) == (11, 10, {"invalid_row": 1})
    assert result.unknown_columns == []
    events: list[dict[str, Any]] = bronze(settings, "bronze_app_events")
    assert Counter(r["record_type"] for r in events) == {
        "install": 2, "session": 2, "event": 2, "ad_revenue": 1, "uninstall": 1,
    }  # fmt: skip
    (install,) = [r for r in events if r["record_type"] == "install" and r["install_id"] == TOUCHED["adid"]]
    assert install["event_at"] == datetime(2026, 2, 28, 9, 59, 50, tzinfo=UTC)
    assert (install["gaid"], install["idfa"]) == (BASE["gps_adid"].lower(), None)
    assert (install["country"], install["is_limit_ad_tracking"]) == ("DE", False)
    assert json.loads(install["properties"])["network_name"] == "ExampleNet"
    assert {(r["event_name"], r["revenue_micros"], r["currency"]) for r in events if r["record_type"] == "event"} == {
        ("abc123", 4_500_000, "EUR"),
        ("buy", 5_000_000, "USD"),
    }
    touches = bronze(settings, "bronze_touchpoints")
    assert Counter((t["record_type"], t["install_id"] is not None, t["ip_prefix"] is None) for t in touches) == {
        ("click", True, True): 1,
        ("impression", True, True): 1,
        ("click", True, False): 1,
        ("impression", True, False): 1,
    }
    assert sum(t["cost_micros"] or 0 for t in touches) == 200_000
    assert ids_of(settings, tmp_path / "a.csv", "adjust") == ids_of(settings, tmp_path / "b.csv", "adjust")
