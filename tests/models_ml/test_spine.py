"""Who is predicted, what counts as label, and when a label is ripe."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import duckdb
import pandas as pd
import pytest

from models_ml import spine
from models_ml.activity import INPUT_TABLES, load_activity, to_us

if TYPE_CHECKING:
    from tests.models_ml import world as world_module

APP = "puzzle.demo.ios"
T0 = datetime(2026, 3, 1, tzinfo=UTC)


def at(days: float) -> int:
    return to_us(T0 + timedelta(days=days))


def connection(world: world_module, *records: tuple[str, str, int, int, int | None]) -> duckdb.DuckDBPyConnection:
    """Records as (install_id, record_type, event_us, received_us, micros)."""
    base = world.mobile_world(world.Size(installs=1, days=1)).head(1)
    raw = pd.concat([base] * len(records), ignore_index=True)
    raw["record_id"] = [f"r{i}" for i in range(len(raw))]
    columns = ("install_id", "record_type", "event_us", "received_us", "micros")
    for name, values in zip(columns, zip(*records, strict=True), strict=True):
        raw[name] = pd.Series(values, dtype=raw[name].dtype)
    con: duckdb.DuckDBPyConnection = world.connect(raw)
    return con


def rows(con: duckdb.DuckDBPyConnection) -> list[str]:
    found = con.execute("select install_id from ml_spine join ml_installs using (inst) order by row_id").fetchall()
    return [row[0] for row in found]


def test_the_watermark_ignores_clocks_that_run_ahead(world: world_module) -> None:
    con = connection(
        world,
        ("a", "install", at(0), at(0), None),
        ("a", "session", at(2), at(1), None),  # device says tomorrow, we had it today
    )
    assert [app.watermark for app in load_activity(con)] == [T0 + timedelta(days=1)]


def test_activity_is_loaded_once_for_the_same_files_and_anew_for_others(world: world_module) -> None:
    con = connection(
        world,
        ("a", "install", at(0), at(0), None),
        ("a", "session", at(1), at(1), None),
        ("b", "install", at(0), at(0), None),
    )
    con.execute("create schema kept")
    for table in INPUT_TABLES:  # as a run sees them: views that name what they read
        layer, _, name = table.partition("/")
        con.execute(f"create table kept.{name} as from {layer}.{name}")
        con.execute(f"drop table {layer}.{name}")
        con.execute(f"create view {layer}.{name} as select * from kept.{name}")
    load_activity(con)
    con.execute("delete from ml_installs where install_id = 'b'")
    load_activity(con)
    assert con.execute("select install_id from ml_installs").fetchall() == [("a",)], "what stands is taken"
    assert load_activity(con, only="another") == []
    assert load_activity(con)[0].watermark == T0 + timedelta(days=1)
    assert con.execute("select count(*) from ml_installs").fetchall() == [(2,)]
    # Another version of a table is another view.
    con.execute("create or replace view silver.int_installs as select * from kept.int_installs where install_id = 'a'")
    load_activity(con)
    assert con.execute("select install_id from ml_installs").fetchall() == [("a",)]


def test_the_label_window_is_closed_left_and_open_right(world: world_module) -> None:
    con = connection(
        world,
        ("a", "install", at(0), at(0), None),
        ("a", "event", at(5) - 1, at(5), 1_000_000),
        ("a", "event", at(5), at(5), 10_000_000),
        ("a", "event", at(12) - 1, at(12), 100_000_000),
        ("a", "event", at(12), at(12), 1_000_000_000),
    )
    load_activity(con)
    spine.build_spine(con, [spine.Cut(APP, T0 + timedelta(days=5))], spine.Ahead(7))
    assert spine.read_labels(con).revenue["purchase"].tolist() == [110.0]


def test_a_lifetime_window_ends_by_the_install_not_by_the_cut(world: world_module) -> None:
    con = connection(
        world,
        ("a", "install", at(0), at(0), None),
        ("a", "event", at(6.9), at(6.9), 10_000_000),
        ("a", "event", at(7.1), at(7.1), 100_000_000),
        ("old", "install", at(-8), at(-8), None),
    )
    load_activity(con)
    spine.build_spine(con, [spine.Cut(APP, T0 + timedelta(days=1))], spine.Lifetime(7))
    assert rows(con) == ["a"], "an install past its horizon has nothing left to predict"
    assert spine.read_labels(con).revenue["purchase"].tolist() == [10.0]


def test_immature_labels_never_enter(world: world_module) -> None:
    con = connection(
        world,
        ("ripe", "install", at(0), at(0), None),
        ("green", "install", at(0.5), at(0.5), None),
        ("ripe", "session", at(8), at(8), None),
    )
    apps = load_activity(con)
    limits = spine.mature_limits(apps)
    assert limits == {APP: T0 + timedelta(days=7)}, "one day is kept for late records"
    cuts = [spine.Cut(APP, T0 + timedelta(days=1))]
    spine.build_spine(con, cuts, spine.Lifetime(7), mature_until=limits)
    assert rows(con) == ["ripe"]
    spine.build_spine(con, cuts, spine.Lifetime(7))
    assert rows(con) == ["green", "ripe"]


def test_inner_cuts_end_where_labels_are_ripe() -> None:
    limits = {APP: T0}
    cuts = spine.inner_cuts(limits, spine.Ahead(14), count=3, step_days=7)
    assert [(T0 - cut.as_of).days for cut in cuts] == [14, 21, 28]
    assert spine.earlier(limits, 14) == {APP: T0 - timedelta(days=14)}


def test_churn_looks_at_recently_active_users_only(world: world_module) -> None:
    con = connection(
        world,
        ("active", "install", at(0), at(0), None),
        ("active", "session", at(20), at(20), None),
        ("silent", "install", at(0), at(0), None),
        ("ads", "install", at(0), at(0), None),
        ("ads", "ad_revenue", at(20), at(20), 1_000),  # shown to nobody: no sign of life
    )
    load_activity(con)
    spine.build_spine(con, [spine.Cut(APP, T0 + timedelta(days=21))], spine.Ahead(14, 14))
    assert rows(con) == ["active"]


def test_an_install_received_later_is_not_known_yet(world: world_module) -> None:
    con = connection(
        world,
        ("late", "install", at(0), at(3), None),
        ("late", "session", at(0.5), at(0.5), None),
        ("known", "install", at(0), at(0), None),
    )
    load_activity(con)
    spine.build_spine(con, [spine.Cut(APP, T0 + timedelta(days=1))], spine.Ahead(7))
    assert rows(con) == ["known"]


@pytest.mark.parametrize("kind", ["session", "event"])
def test_any_use_in_the_window_counts_as_staying(world: world_module, kind: str) -> None:
    con = connection(
        world,
        ("a", "install", at(0), at(0), None),
        ("a", kind, at(10), at(10), None),
        ("b", "install", at(0), at(0), None),
        ("b", "ad_revenue", at(10), at(10), 1_000),
    )
    load_activity(con)
    spine.build_spine(con, [spine.Cut(APP, T0 + timedelta(days=5))], spine.Ahead(14))
    assert spine.read_labels(con).is_active.tolist() == [True, False]
