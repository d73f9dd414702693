"""The question from the command line: the same answer embedded and through the front."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
import worlds

from lakehouse.settings import Settings
from serving.publications import publications
from serving.query import QueryError, ServingError, query_rows, run_query

SQL = "select app_id, sum(cost_usd) as cost_usd from campaign_daily group by app_id order by app_id;"


@pytest.fixture(params=["embedded", "front"])
def published(request: pytest.FixtureRequest, settings: Settings) -> Settings:
    if request.param == "front":
        served: Settings = request.getfixturevalue("running")[0]
        return served
    worlds.write_gold(settings, "campaign_daily", worlds.campaign_daily())
    worlds.publish(settings, "campaign_daily")
    return settings


def test_answers_come_as_a_table_rows_of_json_or_values(published: Settings) -> None:
    expected = worlds.campaign_daily().group_by("app_id").aggregate([("cost_usd", "sum")]).sort_by("app_id").to_pylist()

    table = run_query(published, SQL).split("\n")
    assert table[0].split() == ["app_id", "cost_usd"]
    assert [line.split()[0] for line in table if line.startswith(" app.")] == ["app.0", "app.1", "app.2"]
    rows = [json.loads(line) for line in run_query(published, SQL, "json").splitlines()]
    assert [row["app_id"] for row in rows] == ["app.0", "app.1", "app.2"]
    first, second = query_rows(published, SQL, "select max(last_event_at) as t from campaign_daily where installs = 2")
    assert first.columns == ["app_id", "cost_usd"]
    assert first.rows == [(row["app_id"], Decimal(row["cost_usd_sum"])) for row in expected]
    assert second.rows[0][0].tzinfo is not None
    assert second.rows[0][0] < datetime(2026, 2, 1, tzinfo=UTC)
    assert run_query(published, "select 1 as n format JSONEachRow") == '{"n":1}'
    (bound,) = query_rows(
        published,
        "select {app:String}, count() from campaign_daily where app_id = {app:String}",
        parameters={"app": "app.1"},
    )
    assert bound.rows == [("app.1", 1000)]


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("drop table campaign_daily", 164),
        ("select file('/etc/passwd')", 497),
        ("select 1; select 2", 62),
        ("select nope from campaign_daily", 47),
        ("", 62),
    ],
)
def test_a_question_that_is_none_is_refused(published: Settings, sql: str, code: int) -> None:
    with pytest.raises(QueryError) as caught:
        run_query(published, sql)
    assert caught.value.code == code
    assert "\n" not in str(caught.value).strip()


def test_before_the_first_publish_there_is_nothing_to_ask(settings: Settings) -> None:
    assert publications(settings) == []
    with pytest.raises(ServingError, match="Nothing is published"):
        run_query(settings, "select 1")
    settings.clickhouse_dir.mkdir(parents=True)
    with pytest.raises(ServingError, match="Nothing is published"):
        run_query(settings, "select 1")
    assert publications(settings) == []
