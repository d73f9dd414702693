"""The truth agrees with the records, and never shows in them."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pyarrow.parquet as pq
import pytest

from simulator.truth import TABLES
from simulator.world import World, WorldConfig
from tests.simulator.conftest import Told

WINDOW = {"click": timedelta(days=7), "impression": timedelta(days=1)}
STRENGTH = ("referrer", "click_id", "ad_id", "vendor_id")
NO_ID = "00000000-0000-0000-0000-000000000000"


def unique(told: Told, *record_types: str) -> list[dict[str, Any]]:
    found = {(r["app_id"], r["record_id"]): r for r in told.good if r["record_type"] in record_types}
    return list(found.values())


def test_daily_counts_are_those_of_the_stream(told: Told) -> None:
    for key, counted in (
        ("sent_records", told.good),
        ("unique_records", unique(told, *{r["record_type"] for r in told.good})),
    ):
        stated: Counter[tuple[str, str]] = Counter()
        for row in told.truth["daily"]:
            stated[row["app_id"], row["record_type"]] += row[key]
        assert stated == Counter((r["app_id"], r["record_type"]) for r in counted)
    copies = sum(row["copies"] for row in told.truth["daily"])
    assert copies == len(told.truth["copies"]) == len(told.good) - sum(r["unique_records"] for r in told.truth["daily"])
    assert len(told.lines) == len(told.good) + len(told.truth["damaged"])


def test_money_is_that_of_the_stream_to_the_micro(told: Told) -> None:
    stated: Counter[tuple[str, str, str, str]] = Counter()
    for row in told.truth["revenue"]:
        stated[row["app_id"], row["revenue_kind"], row["currency"], str(row["event_date"])] += row["revenue_micros"]
    seen: Counter[tuple[str, str, str, str]] = Counter()
    for r in unique(told, "event", "ad_revenue"):
        if "revenue" in r:
            invalid = r.get("receipt_state") == "invalid"
            kind = "ad" if r["record_type"] == "ad_revenue" else "invalid_purchase" if invalid else "purchase"
            micros = int(Decimal(str(r["revenue"])) * 1_000_000)
            seen[r["app_id"], kind, r["currency"], r["event_at"][:10]] += micros
    assert stated == seen


def test_money_of_every_install_is_that_of_the_stream(told: Told) -> None:
    seen: Counter[str] = Counter()
    for r in unique(told, "event", "ad_revenue"):
        if "revenue" in r:
            seen[r["install_id"]] += int(Decimal(str(r["revenue"])) * 1_000_000)
    for row in told.truth["installs"]:
        total = row["purchase_micros"] + row["invalid_purchase_micros"] + row["ad_revenue_usd_micros"]
        assert total == seen.pop(row["install_id"], 0)
    assert not seen


def test_every_install_is_told_once(told: Told) -> None:
    sent = {r["install_id"]: r for r in unique(told, "install")}
    assert sorted(sent) == sorted(row["install_id"] for row in told.truth["installs"])
    for row in told.truth["installs"]:
        assert datetime.fromisoformat(sent[row["install_id"]]["event_at"]) == row["install_at"]


def test_the_true_touch_of_paid_installs_is_in_the_stream(told: Told) -> None:
    touches = {r["record_id"]: r for r in unique(told, "click", "impression")}
    end = max(r["sent_at"] for r in told.good)[:10]
    for row in told.truth["installs"]:
        assert (row["true_source"] == "paid") == (row["true_touch_id"] is not None) == (row["true_method"] != "none")
        if row["true_touch_id"] is None or str(row["install_at"])[:10] >= end:
            continue
        touch = touches.get(row["true_touch_id"])
        if touch is None:  # logged by a partner that sends in batches, after the last day
            assert row["true_partner"] in ("adwave", "clickmill")
            continue
        assert (touch["campaign_id"], touch["partner"]) == (row["true_campaign_id"], row["true_partner"])
        assert timedelta(0) <= row["install_at"] - row["true_touch_at"] <= WINDOW[touch["record_type"]]


def test_the_expected_winner_is_what_last_touch_finds_in_the_records(told: Told) -> None:
    """Last touch written down a second time, over the records alone."""
    by_id: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for touch in unique(told, "click", "impression"):
        for name in ("click_id", "gaid", "idfa", "idfv", "app_set_id"):
            if name in touch:
                by_id.setdefault((name, touch[name]), []).append(touch)
    stated = {row["install_id"]: row for row in told.truth["installs"]}
    last_day = max(r["install_at"] for r in stated.values()) - timedelta(
        days=3
    )  # later touches may still be on the way
    winners: Counter[str] = Counter()
    for install in unique(told, "install"):
        row = stated[install["install_id"]]
        if row["install_at"] > last_day:
            continue
        found = last_touch(install, by_id)
        assert found == (row["expected_touch_id"], row["expected_method"]), (install, row)
        winners[found[1]] += 1
    assert set(winners) == {"referrer", "click_id", "ad_id", "vendor_id", "none"}
    assert min(winners.values()) >= 20


def last_touch(install: dict[str, Any], by_id: dict[tuple[str, str], list[dict[str, Any]]]) -> tuple[str | None, str]:
    at = datetime.fromisoformat(install["event_at"])
    named = parse_qs(install.get("referrer", "")).get("click_id", [None])[0]
    keys = [("referrer", "click_id", named), ("click_id", "click_id", install.get("click_id"))]
    keys += [("ad_id", n, install.get(n)) for n in ("gaid", "idfa")]
    keys += [("vendor_id", n, install.get(n)) for n in ("idfv", "app_set_id")]
    best: tuple[Any, ...] | None = None
    for method, name, value in keys:
        for touch in by_id.get((name, value), []) if value not in (None, NO_ID) else []:
            touched = datetime.fromisoformat(touch["event_at"])
            begun = install.get("install_begin_server_at")
            is_click = touch["record_type"] == "click"
            late = is_click and begun is not None and touched > datetime.fromisoformat(begun)
            denied = install.get("has_ad_user_data_consent") is False
            if timedelta(0) <= at - touched <= WINDOW[touch["record_type"]] and not late and not denied:
                rank = (not is_click, at - touched, STRENGTH.index(method), touch["record_id"])
                best = rank if best is None else min(best, rank)
    return (None, "none") if best is None else (best[3], STRENGTH[best[2]])


def test_the_truth_never_shows_in_a_record(told: Told) -> None:
    words = (
        b"true_",
        b"fraud",
        b"expected_",
        b"organic_",
        b"engagement",
        b"lifetime",
        b"inject",
        b"spoof",
        b"farm",
        b"flood",
    )
    for _, line in told.lines:
        assert not any(word in line for word in words), line


def test_written_tables_hold_the_same(told: Told, tmp_path: Path) -> None:
    files = told.world.truth().write(tmp_path)
    assert set(files) == set(TABLES)
    assert {f.parent.name for f in files.values()} == {told.world.config.world_id}
    for name, rows in told.truth.items():
        assert pq.read_table(files[name]).to_pylist() == rows


def test_the_truth_needs_no_reading_of_the_stream() -> None:
    config = WorldConfig(events=3_000, days=6)
    unread, read = World(config), World(config)
    for batch in read.stream():
        for _ in batch.chunks():
            pass
    assert {n: unread.truth().table(n).to_pylist() for n in TABLES} == {
        n: read.truth().table(n).to_pylist() for n in TABLES
    }


def test_reading_a_day_twice_counts_it_once() -> None:
    world, once = (World(WorldConfig(events=3_000, days=6)) for _ in range(2))
    for batch in [*world.stream([5]), *world.stream([5, 2])]:
        for _ in batch.chunks():
            pass
    for name in TABLES:
        assert world.truth().table(name).to_pylist() == once.truth().table(name).to_pylist()


def test_days_behind_the_last_one_do_not_enter_the_truth() -> None:
    world = World(WorldConfig(events=3_000, days=6))
    before = world.truth().table("revenue").to_pylist()
    for batch in world.stream([6]):
        for _ in batch.chunks():
            pass
    assert world.truth().table("revenue").to_pylist() == before


@pytest.mark.parametrize("table", ["costs", "campaigns"])
def test_each_campaign_has_its_true_numbers(told: Told, table: str) -> None:
    rows = told.world.truth().table(table).to_pylist()
    assert len({(r["app_id"], r["campaign_id"]) for r in rows}) == 16


def test_the_last_cost_statement_is_the_true_cost(told: Told) -> None:
    true = {
        (r["campaign_id"], str(r["cost_date"])): r["cost_micros"] / 1e6
        for r in told.world.truth().table("costs").to_pylist()
    }
    last = {}
    for r in sorted(unique(told, "cost"), key=lambda r: r["as_of"]):
        last[r["campaign_id"], r["cost_date"]] = r["cost"]
    assert all(cost == pytest.approx(true[key], rel=0.11, abs=0.02) for key, cost in last.items())


def test_days_without_a_touch_leave_the_truth_whole(tmp_path: Path) -> None:
    world = World(WorldConfig(events=1_000, days=75))
    for _ in world.stream(range(75)):
        pass
    truth = world.truth()
    installs = pq.read_table(truth.write(tmp_path)["installs"])
    assert installs.num_rows > 0
    assert installs.to_pylist() == truth.table("installs").to_pylist()
    assert installs["true_touch_id"].null_count < installs.num_rows
