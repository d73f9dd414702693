"""From counted paths to `ml/channel_effects`: which journeys count, exact credit, and nothing written needlessly."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from lakehouse.engine import create_view
from lakehouse.lake import Lake
from models_ml.multi_touch import credit, markov
from models_ml.multi_touch.channel_effects import ChannelEffects, write_channel_effects
from models_ml.multi_touch.journeys import Journey, without_repeats
from models_ml.multi_touch.shapley import shapley

A, B, C = ("a", "x"), ("b", "y"), ("c", "z")
GOLDEN = [((A, B), 3, 1), ((A,), 1, 3), ((B,), 2, 2), ((B, A, C), 1, 1), ((C,), 0, 4)]


@dataclass
class World:
    """The two silver tables the effects are made from, in memory, and a lake to write to."""

    lake: Lake
    con: duckdb.DuckDBPyConnection = field(default_factory=duckdb.connect)

    def __post_init__(self) -> None:
        self.con.execute("set TimeZone = 'UTC'")
        self.con.execute("create schema silver")
        self.con.execute(
            "create table silver.int_channel_paths (app_id varchar, path_date date, is_converted boolean, "
            "path varchar, path_count bigint, revenue_d7_usd decimal(18, 6), revenue_d30_usd decimal(18, 6), "
            "closed_date date)"
        )
        self.con.execute(
            "create table silver.int_watermarks as select 'app' as app_id, date '2026-03-01' watermark_date"
        )

    def add(
        self,
        channels: tuple[tuple[str, str], ...],
        count: int,
        *,
        lost: bool = False,
        day: str = "2026-01-10",
        closed: str | None = None,
        revenue: str | None = None,
        app_id: str = "app",
    ) -> None:
        row = [app_id, day, not lost, json.dumps(channels), count, revenue, None, closed or day]
        self.con.execute("insert into silver.int_channel_paths values (?, ?, ?, ?, ?, ?, ?, ?)", row)

    def write(self) -> ChannelEffects:
        return write_channel_effects(self.con, {"silver/int_channel_paths": 3, "gold/other": 1}, self.lake)

    def rows(self, where: str = "true") -> list[dict[str, Any]]:
        self.con.execute("create schema if not exists ml")
        create_view(self.con, self.lake, "ml/channel_effects")
        found = self.con.sql(f"from ml.channel_effects where {where} order by all").to_arrow_table()
        return list(found.to_pylist())

    def credits(self, where: str) -> dict[str, Decimal]:
        return {row["partner"]: row["credited_conversions"] for row in self.rows(where)}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(Lake(tmp_path / "lake"))
    yield made
    made.con.close()


@pytest.fixture
def golden(world: World) -> World:
    """Seven installs of eighteen journeys, ten organic installs beside them."""
    for channels, conversions, losses in GOLDEN:
        if conversions:
            world.add(channels, conversions, revenue=f"{conversions}.10")
        world.add(channels, losses, lost=True)
    world.add((), 10, revenue="5.000001")
    return world


def test_the_golden_journeys_give_the_golden_credit(golden: World) -> None:
    assert golden.write().rows == 2 * 4 * 4, "two levels, four models, three channels and organic"
    expected = {"a": Decimal("2.430555555"), "b": Decimal("3.840277778"), "c": Decimal("0.729166667")}
    assert golden.credits("level = 'partner' and model = 'markov_1' and partner != 'organic'") == expected
    expected = {"a": Decimal("2.156398104"), "b": Decimal("4.843601896"), "c": Decimal(0)}
    assert golden.credits("level = 'partner' and model = 'shapley' and partner != 'organic'") == expected
    [row] = golden.rows("level = 'campaign' and model = 'markov_1' and partner = 'c'")
    assert row["campaign_id"] == "z"
    assert row["removal_effect"] == pytest.approx(1 / 7)
    assert row["conversion_rate"] == pytest.approx(7 / 18)
    assert row["journeys"] == 6
    [row] = golden.rows("level = 'partner' and model = 'shapley' and partner = 'c'")
    assert row["shapley_value"] == pytest.approx(-43 / 432)
    assert (row["campaign_id"], row["share"], row["removal_effect"]) == ("", 0, None)


def test_installs_and_money_add_up_exactly_in_every_model(golden: World) -> None:
    golden.write()
    golden.con.execute("create schema if not exists ml")
    create_view(golden.con, golden.lake, "ml/channel_effects")
    sums = golden.con.execute(
        "select distinct sum(credited_conversions), sum(credited_revenue_d7_usd), sum(credited_revenue_d30_usd), "
        "count(*) from ml.channel_effects group by level, model"
    ).fetchall()
    assert sums == [(Decimal(17), Decimal("12.400001"), None, 4)]


def test_organic_installs_are_credited_to_organic_and_teach_nothing(golden: World) -> None:
    golden.write()
    for row in golden.rows("partner = 'organic'"):
        assert (row["credited_conversions"], row["credited_revenue_d7_usd"]) == (10, Decimal("5.000001"))
        assert (row["share"], row["removal_effect"], row["shapley_value"], row["campaign_id"]) == (None, None, None, "")


def test_a_partner_called_organic_keeps_what_it_earned(world: World) -> None:
    world.add((("organic", ""),), 2)
    world.add((), 3)
    world.write()
    [row] = world.rows("level = 'partner' and model = 'markov_1'")
    assert (row["credited_conversions"], row["journeys"], row["share"]) == (5, 5, 1)


def test_lost_journeys_count_from_the_day_they_are_closed(world: World) -> None:
    """The watermark is 1 March: what closes the day before counts, what closes that day may still become an install."""
    world.add((A,), 1)
    world.add((A,), 1, lost=True, closed="2026-02-28")
    world.add((A,), 5, lost=True, closed="2026-03-01")
    world.write()
    assert {row["conversion_rate"] for row in world.rows()} == {0.5}


def test_months_and_apps_are_looked_at_by_themselves(world: World) -> None:
    world.add((A, B), 4, day="2026-01-31")
    world.add((B,), 2, day="2026-02-01")
    world.add((C,), 1, day="2026-01-01", app_id="other")
    world.add((C,), 8, lost=True, day="2026-02-10")
    result = world.write()
    assert (result.months, result.computed) == (3, 3)
    found = {
        (r["app_id"], r["month"], r["partner"]): r["credited_conversions"] for r in world.rows("model = 'markov_1'")
    }
    assert found == {
        ("app", date(2026, 1, 1), "a"): 2,
        ("app", date(2026, 1, 1), "b"): 2,
        ("app", date(2026, 2, 1), "b"): 2,
        ("app", date(2026, 2, 1), "c"): 0,
        ("other", date(2026, 1, 1), "c"): 1,
    }


def test_a_month_without_installs_has_no_credit_to_share(world: World) -> None:
    world.add((A,), 4, lost=True)
    assert world.write().rows == 0
    assert not world.write().is_changed


def test_nothing_is_written_unless_journeys_changed(golden: World) -> None:
    first, second = golden.write(), golden.write()
    assert first.is_changed
    assert (second.computed, second.is_changed, second.table_version) == (0, False, first.table_version)
    before = golden.rows()
    golden.add((A,), 1, day="2026-02-03")
    third = golden.write()
    assert (third.months, third.computed, third.is_changed) == (2, 1, True)
    assert golden.rows("month = '2026-01-01'") == before
    inputs = golden.lake.open("ml/channel_effects").history(1)[0]["inputs"]
    assert json.loads(inputs) == {"silver/int_channel_paths": 3}


def test_months_that_are_gone_lose_their_rows(golden: World) -> None:
    golden.add((A,), 1, day="2026-02-03")
    golden.write()
    golden.con.execute("delete from silver.int_channel_paths where path_date = '2026-02-03'")
    result = golden.write()
    assert (result.computed, result.is_changed) == (0, True)
    assert golden.rows("month = '2026-02-01'") == []


def test_a_table_with_other_columns_is_written_anew(golden: World) -> None:
    golden.lake.overwrite("ml/channel_effects", golden.con.sql("select 1 as n").to_arrow_table())
    assert golden.write().is_changed
    assert golden.rows()


def test_the_order_of_rows_does_not_matter(golden: World, tmp_path: Path) -> None:
    golden.write()
    other = World(Lake(tmp_path / "other"))
    other.con.execute("delete from silver.int_channel_paths")
    for row in reversed(golden.con.sql("from silver.int_channel_paths").fetchall()):
        other.con.execute("insert into silver.int_channel_paths values (?, ?, ?, ?, ?, ?, ?, ?)", list(row))
    other.write()
    assert other.rows() == golden.rows()
    written = [world.lake.open("ml/channel_effects").to_pyarrow_table().to_pylist() for world in (golden, other)]
    assert written[0] == written[1]
    keys = [(row["level"], row["model"], row["partner"]) for row in written[0]]
    assert keys == sorted(keys)


def test_names_come_back_as_they_were(world: World) -> None:
    strange = 'say "z\\ , ] \t'
    world.con.execute(
        "insert into silver.int_channel_paths values ('app', '2026-01-10', true, ?, 1, null, null, '2026-01-10')",
        ['[["net","say \\"z\\\\ , ] \t"]]'],
    )
    world.write()
    assert {row["campaign_id"] for row in world.rows("level = 'campaign'")} == {strange}


def test_a_chain_too_large_is_left_out_and_said(golden: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markov, "MAX_STATES", 5)
    result = golden.write()
    assert {row["model"] for row in golden.rows()} == {"markov_1", "shapley"}
    assert len(result.notes) == 4
    assert (
        result.notes[0] == "app 2026-01: markov_2 by partner is left out: journeys of order 2 have more than 5 states"
    )


def test_sampled_values_come_with_their_error_in_installs(world: World) -> None:
    for n in range(13):
        world.add(((f"p{n:02}", ""),), n + 1)
        world.add(((f"p{n:02}", ""), (f"p{(n + 1) % 13:02}", "")), 3, lost=True)
    world.write()
    found = sorted(world.rows("level = 'partner' and model = 'shapley'"), key=lambda row: str(row["partner"]))
    errors = [row["standard_error"] for row in found]
    assert len(errors) == 13
    journeys = [Journey((n,), n + 1) for n in range(13)] + [Journey((n, (n + 1) % 13), 0, 3) for n in range(13)]
    game = shapley(without_repeats(journeys), 13, seed=credit.SEED)
    assert game.share_errors is not None
    assert errors == pytest.approx((game.share_errors * 91).tolist()), "91 installs"
    assert {row["standard_error"] for row in world.rows("model = 'markov_1'")} == {None}


def test_credit_needs_no_table(world: World) -> None:
    """The function behind the table, on two journeys."""
    path = credit.Path((A,), 1, 1, (Decimal("1.5"), None))
    rows, notes = credit.month_effects([path, credit.Path((), 2, 0, (Decimal(3), Decimal(4)))])
    assert notes == []
    by_name = {row["partner"]: row for row in rows if (row["level"], row["model"]) == ("partner", "markov_3")}
    assert by_name["a"]["credited_revenue_d7_usd"] == Decimal("1.5")
    assert by_name["a"]["credited_revenue_d30_usd"] is None
    assert by_name["organic"]["credited_revenue_d30_usd"] == 4
