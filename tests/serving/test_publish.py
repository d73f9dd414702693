"""Publishing: equal to gold, described as dbt says, switched in whole or not at all."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import worlds

from lakehouse.settings import Settings
from serving.engine import connect
from serving.errors import PublishError, ServingError
from serving.publications import publications
from serving.query import query_rows

MART = "campaign_daily"


def manifest(folder: Path, description: str = "One row per app, day, platform and campaign.") -> Path:
    """A manifest in dbt's shape with a contract, a not_null test and meta."""
    model = {
        "resource_type": "model",
        "name": MART,
        "description": description,
        "columns": {
            "app_id": {"description": "The app", "constraints": [{"type": "not_null"}]},
            "date": {"description": "Day, UTC", "constraints": [{"type": "not_null"}]},
            "platform": {"description": "Store's platform: 'ios' or 'android'", "constraints": []},
            "cost_usd": {"description": "Spend in USD", "constraints": [{"type": "not_null"}]},
        },
        "config": {"meta": {"order_by": ["app_id", "date", "platform"], "dimensions": ["app_id", "platform"]}},
    }
    test = {
        "resource_type": "test",
        "name": "not_null_campaign_daily_installs",
        "test_metadata": {"name": "not_null"},
        "attached_node": "model.p.campaign_daily",
        "column_name": "installs",
        "config": {"severity": "ERROR"},
    }
    path = folder / "manifest.json"
    path.write_text(json.dumps({"nodes": {"model.p.campaign_daily": model, "test.p.x": test}}), encoding="utf-8")
    return path


def elsewhere(folder: Path) -> Path:
    """A working directory that the home does not lie below."""
    other = folder / "elsewhere"
    other.mkdir()
    return other


def columns_of(settings: Settings) -> dict[str, tuple[str, str]]:
    (result,) = query_rows(
        settings, f"select name, type, comment from system.columns where database = 'marts' and table = '{MART}'"
    )
    return {name: (kind, comment) for name, kind, comment in result.rows}


def totals(settings: Settings) -> tuple[object, ...]:
    (result,) = query_rows(settings, f"select count(), sum(installs), sum(cost_usd) from {MART}")
    return result.rows[0]


@pytest.mark.parametrize("is_lake_visible", [True, False], ids=["engine reads Delta", "rows sent as Arrow"])
def test_a_mart_has_every_value_of_gold(
    settings: Settings, is_lake_visible: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = worlds.campaign_daily()
    worlds.write_gold(settings, MART, data, ("date",))
    monkeypatch.chdir(settings.home if is_lake_visible else elsewhere(tmp_path))

    (publication,) = worlds.publish(settings, MART)

    assert publication.rows == data.num_rows
    names = [name for name in data.column_names if name != "score"]
    (result,) = query_rows(settings, f"select {', '.join(names)} from {MART}")
    expected = {tuple(map(str, row.values())) for row in data.select(names).to_pylist()}
    assert {tuple(map(str, row)) for row in result.rows} == expected
    (scores,) = query_rows(settings, f"select score from {MART}")
    assert sorted(map(repr, (row[0] for row in scores.rows))) == sorted(map(repr, data["score"].to_pylist()))


def test_a_mart_of_many_small_files_is_sent_as_a_few_inserts(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(elsewhere(tmp_path))
    data = worlds.campaign_daily(rows=90)
    worlds.write_gold(settings, MART, data, ("date",))
    assert pc.count_distinct(data["date"]).as_py() > 20
    monkeypatch.setattr("serving.publish.ARROW_BATCH_ROWS", 60)

    worlds.publish(settings, MART)

    with connect(settings) as engine:
        ((inserts,),) = engine.rows(f"select max(max_block_number) from system.parts where table = '{MART}'")
    assert inserts == 2


def test_types_order_and_comments_follow_gold_and_dbt(settings: Settings, tmp_path: Path) -> None:
    worlds.write_gold(settings, MART, worlds.campaign_daily())
    worlds.publish(settings, MART, manifest_path=manifest(tmp_path))

    assert columns_of(settings) == {
        "app_id": ("LowCardinality(String)", "The app"),
        "date": ("Date", "Day, UTC"),
        "platform": ("LowCardinality(String)", "Store's platform: 'ios' or 'android'"),
        "campaign_id": ("Nullable(String)", ""),
        "campaign_name": ("Nullable(String)", ""),
        "installs": ("Int64", ""),
        "cost_usd": ("Decimal(18, 6)", "Spend in USD"),
        "revenue_d7_usd": ("Nullable(Decimal(18, 6))", ""),
        "score": ("Nullable(Float64)", ""),
        "is_mature_d7": ("Nullable(Bool)", ""),
        "last_event_at": ("Nullable(DateTime64(6, 'UTC'))", ""),
        "labels": ("Array(String)", ""),
    }
    (table,) = query_rows(
        settings, f"select sorting_key, comment, create_table_query from system.tables where name = '{MART}'"
    )
    sorting_key, comment, ddl = table.rows[0]
    assert sorting_key == "app_id, date, platform"
    assert comment == "One row per app, day, platform and campaign."
    assert "`cost_usd` Decimal(18, 6) COMMENT 'Spend in USD' CODEC(LZ4)" in ddl


def test_publishing_again_changes_nothing_but_the_time(settings: Settings) -> None:
    worlds.write_gold(settings, MART, worlds.campaign_daily())
    (first,) = worlds.publish(settings, MART)
    (before,) = query_rows(settings, f"select uuid from system.tables where name = '{MART}'")
    later = worlds.MORNING + timedelta(days=1)

    (again,) = worlds.publish(settings, MART, run_id="run-2", clock=lambda: later)

    assert again == replace(first, published_at=later, is_unchanged=True)
    assert publications(settings) == [replace(again, is_unchanged=False)]
    (after,) = query_rows(settings, f"select uuid from system.tables where name = '{MART}'")
    assert before == after


def test_a_new_version_a_new_shape_and_a_new_table_are_published(settings: Settings, tmp_path: Path) -> None:
    worlds.write_gold(settings, MART, worlds.campaign_daily())
    worlds.publish(settings, MART, manifest_path=manifest(tmp_path))

    worlds.write_gold(settings, MART, worlds.campaign_daily(factor=2))
    (version,) = worlds.publish(settings, MART, manifest_path=manifest(tmp_path))
    assert (version.delta_version, version.is_unchanged) == (1, False)
    (shape,) = worlds.publish(settings, MART, manifest_path=manifest(tmp_path, "Other words."))
    assert not shape.is_unchanged

    # The same version number of another Delta table: somebody threw the lake away and built it again.
    (settings.home / "lake").rename(settings.home / "old-lake")
    for factor in (1, 3):
        worlds.write_gold(settings, MART, worlds.campaign_daily(factor=factor))
    (rebuilt,) = worlds.publish(settings, MART, manifest_path=manifest(tmp_path, "Other words."))
    assert (rebuilt.delta_version, rebuilt.is_unchanged) == (1, False)
    assert rebuilt.checksum != version.checksum


def test_the_pinned_version_is_published_and_not_the_newest(settings: Settings) -> None:
    lake = worlds.lake_of(settings)
    worlds.write_gold(settings, MART, worlds.campaign_daily(rows=100))
    pinned = lake.pin(["gold"])
    worlds.write_gold(settings, MART, worlds.campaign_daily(rows=200))

    from serving.publish import publish_marts

    (publication,) = publish_marts(settings, lake, pinned, [f"gold/{MART}"], run_id="r", clock=lambda: worlds.MORNING)
    assert (publication.delta_version, publication.rows, totals(settings)[0]) == (0, 100, 100)


def test_publications_tell_version_rows_run_and_snapshot(settings: Settings) -> None:
    worlds.write_gold(settings, MART, worlds.campaign_daily(rows=10))
    worlds.write_gold(settings, "small", pa.table({"app_id": ["a"], "n": [1]}))
    worlds.publish(settings, MART, "small", run_id="run-7")

    (result,) = query_rows(
        settings, "select mart, delta_version, rows, run_id, snapshot, published_at from _publications"
    )
    snapshot = {"gold/campaign_daily": 0, "gold/small": 0}
    assert [row[:4] for row in result.rows] == [(MART, 0, 10, "run-7"), ("small", 0, 1, "run-7")]
    assert all(json.loads(row[4]) == snapshot and row[5] == worlds.MORNING for row in result.rows)


def test_what_a_killed_publish_left_is_dropped(settings: Settings) -> None:
    with connect(settings) as engine:
        engine.command("CREATE DATABASE marts")
        engine.command("CREATE TABLE marts.no_mart_any_more__new ENGINE = MergeTree ORDER BY n AS SELECT 1 AS n")
    worlds.write_gold(settings, MART, worlds.campaign_daily(rows=1))
    worlds.publish(settings, MART)
    (left,) = query_rows(settings, "select name from system.tables where database = 'marts' order by name")
    assert left.rows == [("_publications",), (MART,)]


def test_an_empty_mart_is_published(settings: Settings) -> None:
    worlds.write_gold(settings, MART, worlds.campaign_daily(rows=0))
    (publication,) = worlds.publish(settings, MART)
    assert publication.rows == 0
    assert totals(settings)[0] == 0


@pytest.mark.parametrize("is_lake_visible", [True, False], ids=["engine reads Delta", "rows sent as Arrow"])
def test_a_mart_that_clickhouse_cannot_hold_is_not_switched_in(
    settings: Settings, is_lake_visible: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    worlds.write_gold(settings, MART, worlds.campaign_daily(rows=60))
    worlds.publish(settings, MART)
    before = totals(settings), publications(settings)
    monkeypatch.chdir(settings.home if is_lake_visible else elsewhere(tmp_path))
    data = worlds.campaign_daily(rows=90)
    days = pa.array([date(1960, 1, 1)] * 90, pa.date32())
    worlds.write_gold(settings, MART, data.set_column(1, "date", days))

    with pytest.raises(ServingError, match=f"Mart {MART} was not published"):
        worlds.publish(settings, MART)

    assert (totals(settings), publications(settings)) == before
    (left,) = query_rows(settings, "select name from system.tables where database = 'marts' order by name")
    assert left.rows == [("_publications",), (MART,)]


def test_a_null_in_a_key_stops_the_publish(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(settings.home.parent)
    data = worlds.campaign_daily(rows=30)
    keys = pa.array([None, *data["app_id"].to_pylist()[1:]], pa.string())
    worlds.write_gold(settings, MART, data.set_column(0, "app_id", keys))
    with pytest.raises(PublishError, match="nulls in app_id is 1 in gold and 0 in ClickHouse"):
        worlds.publish(settings, MART)


DIFFERENCES = {
    "rows": "* FROM {mart} WHERE installs != 2",
    "sum of cost_usd": "* REPLACE (cost_usd + toDecimal64(installs = 2, 6) / 1000000 AS cost_usd) FROM {mart}",
    "sum of score": "* REPLACE (if(installs = 2, score + 0.0001, score) AS score) FROM {mart}",
    "nulls in revenue_d7_usd": "* REPLACE (ifNull(revenue_d7_usd, 0) AS revenue_d7_usd) FROM {mart}",
    "bytes in campaign_name": "* REPLACE (concat(campaign_name, 'x') AS campaign_name) FROM {mart}",
    "distinct values of campaign_id": "* REPLACE (replaceOne(campaign_id, 'c1', 'cx') AS campaign_id) FROM {mart}",
    "true values of is_mature_d7": "* REPLACE (is_mature_d7 OR installs = 2 AS is_mature_d7) FROM {mart}",
    "first date": "* REPLACE (if(date = '2026-01-01', toDate('2026-01-02'), date) AS date) FROM {mart}",
    "sum of date": "* REPLACE (if(date = '2026-01-09', toDate('2026-01-08'), date) AS date) FROM {mart}",
    "sum of last_event_at": "* REPLACE (if(installs = 2, addMicroseconds(last_event_at, 1), last_event_at) "
    "AS last_event_at) FROM {mart}",
    "sum of installs": "* REPLACE (if(installs = 2, -2, installs) AS installs) FROM {mart}",
    "elements of labels": "* REPLACE (arrayPushBack(labels, 'z') AS labels) FROM {mart}",
}


def test_the_comparison_finds_a_difference_of_every_kind(settings: Settings) -> None:
    from lakehouse.engine import connect as connect_lake
    from serving.mart import describe
    from serving.totals import clickhouse_sql, compare, duckdb_sql, totals_of

    lake = worlds.lake_of(settings)
    worlds.write_gold(settings, MART, worlds.campaign_daily(rows=77))
    worlds.publish(settings, MART)
    mart = describe(MART, lake.schema(f"gold/{MART}"), None)
    compared = totals_of(mart)
    gold = connect_lake(settings, lake=lake, layers=("gold",))
    expected = gold.execute(duckdb_sql(compared, mart)).fetchall()[0]
    gold.close()
    with connect(settings) as engine:
        compare(mart, compared, expected, engine.rows(clickhouse_sql(compared, "marts", MART))[0])
        for measure, changed in DIFFERENCES.items():
            select = changed.format(mart=f"marts.{MART}")
            engine.command(f"CREATE OR REPLACE TABLE marts.changed ENGINE = Memory AS SELECT {select}")
            with pytest.raises(PublishError) as caught:
                compare(mart, compared, expected, engine.rows(clickhouse_sql(compared, "marts", "changed"))[0])
            assert caught.value.measure == measure


def test_homes_do_not_mix_in_one_process(tmp_path: Path) -> None:
    homes = [worlds.settings_of(tmp_path / name) for name in ("one", "two")]
    for number, home in enumerate(homes, start=1):
        worlds.write_gold(home, MART, worlds.campaign_daily(rows=number))
        worlds.publish(home, MART)
    assert [totals(home)[0] for home in (*homes, homes[0])] == [1, 2, 1]


def test_what_cannot_be_published_is_named(settings: Settings, tmp_path: Path) -> None:
    worlds.write_gold(settings, MART, pa.table({"app_id": ["a"], "blob": [b"x"]}))
    with pytest.raises(ServingError, match="column blob has type binary"):
        worlds.publish(settings, MART)
    with pytest.raises(ServingError, match="no version of gold/nope"):
        worlds.publish(settings, "nope")
    with pytest.raises(ServingError, match="dbt parse"):
        worlds.publish(settings, MART, manifest_path=tmp_path / "manifest.json")
    worlds.write_gold(settings, "other", pa.table({"app_id": ["a"], "money": [Decimal("1.5")]}))
    (publication,) = worlds.publish(settings, "other")
    assert publication.rows == 1
