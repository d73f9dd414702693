"""One event's whole way, on a small world: HTTP to ClickHouse through a kill, again, and one day more."""

from __future__ import annotations

import random
import sys
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from ingestion.client import BatchSender
from lakehouse.dbt_metrics import read_metrics
from lakehouse.runs import last_run
from orchestration.demo_inputs import SEGMENT_APP, segment_calls, send_with_segment
from orchestration.services import Running, free_port, services
from simulator.world import World, WorldConfig, world_apps
from tests.end_to_end.home import Home

MARTS = ("attributed_installs", "attribution_candidates", "campaign_daily", "cohort_retention", "cohort_revenue")
pytestmark = [pytest.mark.xdist_group("whole_way"), pytest.mark.timeout(900)]


@pytest.fixture(scope="session")
def world() -> World:
    return World(WorldConfig(events=4_000, days=11, sized_for_days=10))


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory, world: World) -> Home:
    home = Home(tmp_path_factory.mktemp("home"))
    home.register([*world_apps(world), {"app_id": SEGMENT_APP, "platform": "web"}])
    with endpoint(home) as address:
        send_days(home, world, address, range(10))
        assert send_with_segment(address, home.keys[SEGMENT_APP]) == segment_calls().calls
    kill(home, 4, 20, "run")
    home.command("run")
    return home


def kill(home: Home, soonest: float, latest: float, *arguments: str) -> None:
    """Start a command and kill it at any moment; what it leaves is the next one's to mend."""
    seconds = random.Random().uniform(soonest, latest)
    code = home.killed(*arguments, after=seconds)
    print(f"killed after {seconds:.1f} s, exit code {code}", file=sys.stderr)  # noqa: T201 - to repeat a failure


class endpoint:  # noqa: N801 - used as a context
    """The real endpoint as a process, stopped gently."""

    def __init__(self, home: Home) -> None:
        self._settings = home.settings.model_copy(update={"ingest_port": free_port()})
        self._home = home

    def __enter__(self) -> str:
        import os

        os.environ["UNMOGROWP_INGEST_PORT"] = str(self._settings.ingest_port)
        self._running = Running(self._settings, services(self._settings)[0])
        del os.environ["UNMOGROWP_INGEST_PORT"]
        assert self._running.wait_until_ready(60), self._running.tail()
        return f"http://127.0.0.1:{self._settings.ingest_port}"

    def __exit__(self, *_: object) -> None:
        self._running.stop()


def send_days(home: Home, world: World, address: str, days: range) -> None:
    senders = {app_id: BatchSender(address, key) for app_id, key in home.keys.items()}
    for batch in world.stream(days):
        for chunk in batch.chunks():
            senders[chunk.app_id].send(chunk.data)


def test_every_segment_call_is_in_the_marts_once(home: Home) -> None:
    expected = segment_calls()
    installs = home.query(
        f"select count() as n, uniqExact(install_id) as u from attributed_installs where app_id = '{SEGMENT_APP}'"
    )
    assert (int(installs[0]["n"]), int(installs[0]["u"])) == (expected.installs, expected.installs)
    revenue = home.query(
        "select toString(sum(revenue_usd)) as usd from cohort_revenue "
        f"where app_id = '{SEGMENT_APP}' and day_clock = 'calendar'"
    )
    assert Decimal(revenue[0]["usd"]) == expected.revenue


def test_every_mart_is_published_with_comments(home: Home) -> None:
    import json

    lines = home.command("query", "select mart, rows from _publications", "--json").splitlines()
    published = {row["mart"]: int(row["rows"]) for row in map(json.loads, lines)}
    assert set(MARTS) <= set(published)
    assert all(published[mart] > 0 for mart in MARTS)
    bare = home.query(
        "select table, name from system.columns where database = 'marts' and comment = '' and table not like '\\_%'"
    )
    assert bare == []


def test_every_metric_of_the_page_can_be_asked_of_the_marts(home: Home) -> None:
    for metric in read_metrics(home.settings.dbt_project):
        by = metric.dimensions[0]
        rows = home.query(f"select {by}, {metric.formula} as value from {metric.mart} group by {by} limit 3")
        assert rows or metric.mart == "ios_daily", metric.name


def test_the_marts_tell_the_simulated_truth(home: Home, world: World) -> None:
    sent_until = datetime(2026, 1, 11, tzinfo=UTC)
    installs = [at for at in world.truth().table("installs")["install_at"].to_pylist() if at < sent_until]
    counted = home.query("select count() as n from attributed_installs where app_id like 'puzzle%'")
    assert int(counted[0]["n"]) == len(installs)


def test_status_says_what_there_is(home: Home) -> None:
    import json

    state = json.loads(home.command("status", "--json"))
    assert {row["mart"] for row in state["publications"]} >= set(MARTS)
    assert state["not_yet_built"] == []
    assert [row for row in state["failing_checks"] if row["severity"] == "critical"] == []


def test_the_run_is_in_the_history_of_its_code_location(home: Home) -> None:
    import dagster as dg

    with dg.DagsterInstance.from_config(str(home.settings.home / "dagster")) as instance:
        run, *killed = instance.get_runs()
    assert run.status == dg.DagsterRunStatus.SUCCESS
    # Where machines are fast, the kill comes after the end.
    ended = {dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS}
    assert {one.status for one in killed} <= ended, "a killed run is not called running"
    assert run.remote_job_origin is not None
    assert run.remote_job_origin.location_name == "orchestration.definitions"


@pytest.mark.slow
def test_a_second_run_changes_nothing_but_publication_times(home: Home) -> None:
    sql = "select mart, delta_version, checksum, run_id, toString(published_at) as at from _publications order by mart"
    before, state = home.query(sql), home.fingerprints()
    home.command("run")
    after = home.query(sql)
    assert home.fingerprints() == state
    assert [{**row, "at": ""} for row in after] == [{**row, "at": ""} for row in before]
    assert all(new["at"] > old["at"] for new, old in zip(after, before, strict=True))


@pytest.mark.slow
def test_one_day_more_through_a_kill_changes_what_it_touches(home: Home, world: World) -> None:
    before, since = home.partitions("silver/stg_app_events"), datetime.now(UTC)
    with endpoint(home) as address:
        send_days(home, world, address, range(10, 11))
        send_days(home, world, address, range(9, 10))  # a sender that repeats a whole day
    kill(home, 4, 16, "run", "--no-training")
    home.command("run", "--no-training")
    run = last_run(home.lake)
    assert run is not None
    assert run.mode == "incremental", run.reason
    after = home.partitions("silver/stg_app_events")
    changed = {day for day in after if after[day] != before.get(day)}
    assert changed <= {
        str(row[0])
        for row in home.bronze("select distinct event_date from bronze_app_events where received_at > ?", since)
    }
    assert before.keys() - changed, "every day was written again"
    received = home.bronze("select count(distinct (app_id, record_id)) from bronze_app_events")[0][0]
    assert home.lake.row_count("silver/stg_app_events") == received, "nothing is lost, nothing is double"
    published = {row["mart"]: int(row["rows"]) for row in home.query("select mart, rows from _publications")}
    for mart in ("attributed_installs", "campaign_daily", "mart_restatements", "churn_risk"):
        assert published[mart] == home.lake.row_count(f"gold/{mart}"), f"{mart} is not published as it was built"


@pytest.mark.slow
def test_what_runs_and_kills_left_equals_a_full_refresh(home: Home) -> None:
    incremental = home.fingerprints()
    home.full_build()
    assert home.fingerprints() == incremental


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_many_kills_of_the_whole_pipeline_leave_what_one_quiet_run_leaves(home: Home) -> None:
    """Ten kills at any moment, training included, each followed by the next attempt and at last by one that ends."""
    for _ in range(10):
        home.forget_last_run()  # there is work to do again, on tables in whatever state the kill left them
        kill(home, 3, 45, "run")
    home.command("run")
    after_kills = home.fingerprints()
    home.full_build()
    assert home.fingerprints() == after_kills
    published = {row["mart"]: int(row["rows"]) for row in home.query("select mart, rows from _publications")}
    assert published["attributed_installs"] == after_kills["gold/attributed_installs"][0]
