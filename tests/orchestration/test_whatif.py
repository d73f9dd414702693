"""`whatif`, `sensitivity` and `explain` on a small world that dbt has built: real scenarios beside real tables."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from lakehouse.engine import connect
from lakehouse.lake import Lake
from orchestration.cli import cli
from tests.dbt.runner import PROJECT, Dbt
from tests.dbt.test_incremental import rows_of, run
from tests.dbt.world import Home, simulate

WINDOWS = "rule_attribution_windows"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.xdist_group("whatif")]


@pytest.fixture(scope="module")
def dbt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dbt]:
    runner = Dbt(tmp_path_factory.mktemp("dbt"))
    yield runner
    runner.close()


@pytest.fixture(scope="module")
def home(dbt: Dbt, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A built home, and the scenario `short` in it: clicks hold for 24 hours instead of 168."""
    home = Home(tmp_path_factory.mktemp("whatif") / "home")
    home.land(simulate(seed=7, installs=90))
    run(dbt, home, "run")
    before = home.lake.pin()
    made = invoke(home, "whatif", "--rules", str(windows(home.folder / "short", click="24")), "--name", "short")
    assert made.exit_code == 0, made.output
    assert home.lake.pin() == before, "the current tables stay as they are"
    return home


def windows(folder: Path, **hours: str) -> Path:
    folder.mkdir(exist_ok=True)
    lines = (PROJECT / "seeds" / f"{WINDOWS}.csv").read_text(encoding="utf-8").splitlines()
    changed = [lines[0]]
    for line in lines[1:]:
        cells = line.split(",")
        cells[-1] = next((new for kind, new in hours.items() if kind in cells), cells[-1])
        changed.append(",".join(cells))
    (folder / f"{WINDOWS}.csv").write_text("\n".join(changed) + "\n", encoding="utf-8")
    return folder


def invoke(home: Home, *arguments: str) -> Result:
    return CliRunner(env={"UNMOGROWP_HOME": str(home.folder)}).invoke(cli, list(arguments))


def data(home: Home, *arguments: str) -> Any:
    result = invoke(home, *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def whatif(home: Home) -> Any:
    return data(home, "whatif", "--rules", str(home.folder / "short"), "--name", "short")


def table(lake: Lake, name: str) -> list[dict[str, Any]]:
    return list(lake.open(name).to_pyarrow_table().to_pylist())


def partners(rows: list[dict[str, Any]]) -> Counter[tuple[str, str]]:
    counted: Counter[tuple[str, str]] = Counter()
    for row in rows:
        counted[row["app_id"], row["partner"]] += row.get("installs", 1)
    return counted


def test_the_comparison_says_which_installs_moved_where_and_why(home: Home) -> None:
    before = {(r["app_id"], r["install_id"]): r for r in table(home.lake, "gold/attributed_installs")}
    after = {(r["app_id"], r["install_id"]): r for r in table(home.lake.scenario("short"), "gold/attributed_installs")}
    moved = {
        key: (row["partner"], row["campaign_id"], after[key]["partner"], after[key]["campaign_id"])
        for key, row in before.items()
        if (row["partner"], row["campaign_id"]) != (after[key]["partner"], after[key]["campaign_id"])
    }
    found = whatif(home)
    assert len(moved) >= 2
    assert {(r["app_id"], r["install_id"]) for r in found["whatif_installs"] if r["is_moved"]} == set(moved)
    told = Counter[tuple[str, ...]]()
    for row in found["whatif_moves"]:
        key = (row["app_id"], row["from_partner"], row["from_campaign_id"], row["to_partner"], row["to_campaign_id"])
        told[key] += row["installs"]
    assert told == Counter((key[0], *(part or "" for part in pair)) for key, pair in moved.items())
    assert {
        (r["from_reason_code"], r["to_reason_code"])
        for r in found["whatif_reasons"]
        if r["subject"] == "touch that won"
    } == {("won", "outside_window")}


def test_money_moves_with_the_installs_and_campaigns_add_up_to_the_marts(home: Home) -> None:
    found = whatif(home)
    campaigns = found["whatif_campaigns"]
    with connect(home.settings, lake=home.lake, layers=("gold", "silver")) as connection:
        expected = connection.execute(
            """
            select app_id, partner, campaign_id, sum(installs), sum(cost_usd), sum(coalesce(revenue_d7_usd, 0)),
                sum(case when is_mature_d7 then cost_usd else 0 end)
            from gold.campaign_daily group by all order by all
            """
        ).fetchall()
        total = connection.execute(
            "select sum(revenue_usd) from silver.int_revenue_events r"
            " join silver.int_conversions c on r.app_id = c.app_id and r.install_id = c.install_id"
            " and c.conversion_type != 'reengagement'"
            " join gold.attributed_installs i on c.app_id = i.app_id and c.counted_install_id = i.install_id"
            " where r.event_at >= i.install_at"
        ).fetchall()[0][0]
    shown = [
        (
            *(row[name] for name in ("app_id", "partner", "campaign_id", "installs_before")),
            *(Decimal(row[name]) for name in ("cost_usd", "revenue_d7_before_usd", "cost_d7_usd")),
        )
        for row in campaigns
    ]
    assert shown == expected
    for side in ("before", "after"):
        assert sum(Decimal(row[f"revenue_{side}_usd"]) for row in campaigns) == total
    for row in campaigns:
        key = (row["app_id"], row["partner"], row["campaign_id"])
        gained = sum(
            sign * Decimal(move["revenue_usd"])
            for move in found["whatif_moves"]
            for sign, side in ((1, "to"), (-1, "from"))
            if (move["app_id"], move[f"{side}_partner"], move[f"{side}_campaign_id"]) == key
        )
        assert Decimal(row["revenue_after_usd"]) - Decimal(row["revenue_before_usd"]) == gained


def test_the_page_is_readable_and_bounded(home: Home) -> None:
    page = invoke(home, "whatif", "--rules", str(home.folder / "short"), "--name", "short", "--top", "1").stdout
    assert page.startswith(f"Scenario short (with {WINDOWS}.csv replaced), content id ")
    for text in ("Installs that moved, with their revenue", "CPI before", "Reasons that change", "the 1 of "):
        assert text in page


def test_the_same_inputs_are_built_once_and_other_inputs_again(home: Home) -> None:
    own = home.lake.scenario("short")
    before = own.pin()
    again = invoke(home, "whatif", "--rules", str(home.folder / "short"), "--name", "short")
    assert "it stands already" in again.stderr
    assert own.pin() == before
    one = data(home, "whatif", "--rules", str(home.folder / "short" / f"{WINDOWS}.csv"), "--name", "short")
    assert one["content_id"] == whatif(home)["content_id"], "a file is a folder with one file"


def test_the_grid_holds_the_present_decisions_and_those_of_a_scenario(home: Home) -> None:
    rows = data(home, "sensitivity", "--windows", "click=24,168", "--windows", "impression=24")
    present = [row for row in rows if row["is_present"]]
    assert partners(present) == partners(table(home.lake, "gold/attributed_installs"))
    same = [row for row in rows if (row["click_hours"], row["impression_hours"]) == (168, 24)]
    assert partners(same) == partners(present), "the windows in force, named"
    short = [row for row in rows if row["click_hours"] == 24]
    assert partners(short) == partners(table(home.lake.scenario("short"), "gold/attributed_installs"))
    assert partners(short) != partners(present)
    revenue = {row["revenue_usd"] for row in present}
    for combination in (present, short):
        assert sum(Decimal(r["revenue_usd"]) for r in combination) == sum(Decimal(r["revenue_usd"]) for r in present)
    assert len(revenue) > 1
    stored = table(home.lake.scenario("sensitivity"), "gold/sensitivity_windows")
    assert [row["installs"] for row in stored] == [row["installs"] for row in rows]


@pytest.mark.slow
def test_windows_wider_than_those_in_force_are_judged_by_every_rule(home: Home) -> None:
    wide = windows(home.folder / "wide", impression="120")
    assert invoke(home, "whatif", "--rules", str(wide), "--name", "wide").exit_code == 0
    rows = data(home, "sensitivity", "impression=24,120")
    widest = [row for row in rows if row["impression_hours"] == 120]
    assert partners(widest) == partners(table(home.lake.scenario("wide"), "gold/attributed_installs"))
    assert partners([row for row in rows if row["impression_hours"] == 24]) == partners(
        [row for row in rows if row["is_present"]]
    )
    assert partners(widest) != partners([row for row in rows if row["is_present"]])


def test_the_story_of_an_install_names_every_candidate_and_the_reason(home: Home) -> None:
    candidates = table(home.lake, "gold/attribution_candidates")
    installs = {(r["app_id"], r["conversion_id"]): r for r in table(home.lake, "gold/attributed_installs")}
    count = Counter((r["app_id"], r["conversion_id"]) for r in candidates)
    paid = [key for key in count if key in installs and not installs[key]["is_organic"]]
    key = max(paid, key=lambda key: (count[key], key))
    story = invoke(home, "explain", installs[key]["install_id"], "--app", key[0]).stdout
    meanings = {row["reason_code"]: row["meaning"] for row in table(home.lake, "rules/rule_reason_codes")}
    own = [r for r in candidates if (r["app_id"], r["conversion_id"]) == key]
    own.sort(key=lambda row: (row["touch_at"], row["touch_id"]))
    places = [story.index(f"(touch {row['touch_id']})") for row in own]
    assert places == sorted(places), "in the order of time"
    for row in own:
        assert f"{row['reason_code']}" in story
        assert meanings[row["reason_code"]] in story
    assert f"credited to {installs[key]['partner']}" in story
    assert installs[key]["ruleset_id"] in story
    (as_data,) = data(home, "explain", installs[key]["install_id"], "--app", key[0])
    assert [row["touch_id"] for row in as_data["candidates"]] == [row["touch_id"] for row in own]


def test_a_reinstall_leads_to_the_install_that_counts(home: Home) -> None:
    again = next(r for r in table(home.lake, "silver/int_conversions") if r["conversion_type"] == "reinstall")
    told = invoke(home, "explain", again["install_id"], "--app", again["app_id"])
    assert told.exit_code == 1
    assert f"is a reinstall; its user counts by install {again['counted_install_id']}" in told.output


def test_revenue_and_consent_are_part_of_the_story(home: Home) -> None:
    with connect(home.settings, lake=home.lake, layers=("gold", "silver")) as connection:
        said = connection.execute(
            "select install_id, app_id, has_ad_user_data_consent from silver.stg_consents join gold.attributed_installs"
            " using (app_id, install_id) order by all limit 1"
        ).fetchall()[0]
        earned = connection.execute(
            "select sum(revenue_usd), count(*) from silver.int_revenue_events join gold.attributed_installs i"
            " using (app_id, install_id) where install_id = ? and app_id = ? and event_at >= install_at",
            said[:2],
        ).fetchall()[0]
    story = invoke(home, "explain", said[0], "--app", said[1]).stdout
    assert f"the user {'allowed' if said[2] else 'refused'} that data go to ad partners" in story
    expected = f"{earned[0].quantize(Decimal('0.01'))} USD so far, in {earned[1]}" if earned[1] else "nothing so far"
    assert expected in story


def test_what_cannot_be_answered_is_a_sentence(home: Home, tmp_path: Path) -> None:
    empty = Home(tmp_path / "empty")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / f"{WINDOWS}.csv").write_text("a\n", encoding="utf-8")
    money = tmp_path / "fx_rates.csv"
    shutil.copyfile(PROJECT / "seeds" / "fx_rates.csv", money)
    internal = tmp_path / "rule_internal_traffic.csv"
    shutil.copyfile(PROJECT / "seeds" / internal.name, internal)
    rules = str(home.folder / "short")
    for where, arguments, code, sentence in (
        (empty, ("whatif", "--rules", rules), 1, "nothing to compare with yet"),
        (empty, ("explain", "i1"), 1, "`unmogrowp run` first"),
        (empty, ("sensitivity",), 1, "nothing to compare with yet"),
        (home, ("explain", "i-unknown"), 1, "There is no install i-unknown in any app"),
        (home, ("explain", "i1", "--app", "nobody"), 1, "App nobody has no install i1; game.ios has one."),
        (home, ("whatif",), 2, "--rules FILE_OR_DIR"),
        (home, ("whatif", "--rules", str(tmp_path / "bad")), 1, "row 1: the header is a, and must be app_id"),
        (home, ("whatif", "--rules", str(money)), 1, "fx_rates.csv decides about no install"),
        (home, ("whatif", "--rules", str(internal)), 1, "rule_internal_traffic.csv changes the records themselves"),
        (home, ("whatif", "--rules", rules, "--name", "../x"), 1, "is no name for a scenario"),
        (home, ("whatif", "--rules", rules, "--name", "sensitivity"), 2, "is no name for a scenario"),
        (home, ("whatif", "--as-of", "77"), 1, "There is no run 77; the last finished run is 0."),
        (home, ("whatif", "--as-of", "2026-03-01"), 1, "has no UTC offset"),
        (home, ("whatif", "--as-of", "yesterday"), 1, "is neither the number of a run nor a time"),
        (home, ("sensitivity", "click=900"), 2, "touches are gathered for 168 hours only"),
        (home, ("sensitivity", "tap=1"), 2, "is not TYPE=HOURS"),
    ):
        result = invoke(where, *arguments)
        assert (result.exit_code, sentence in result.output) == (code, True), (arguments, result.output)


def test_a_scenario_is_compared_only_with_what_the_rules_of_now_have_made(home: Home, tmp_path: Path) -> None:
    folder = home.settings.rules_dir
    windows(folder, click="100")
    try:
        refused = invoke(home, "whatif", "--rules", str(home.folder / "short"))
    finally:
        shutil.rmtree(folder)
    assert refused.exit_code == 1
    assert "Models, rules or apps changed since the last run" in refused.output


@pytest.mark.slow
def test_older_records_give_the_decisions_of_then(dbt: Dbt, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    rows = simulate(seed=9, installs=60)
    touches = [row for row in rows if row[0] == "bronze/bronze_touchpoints"]
    late = touches[::2]
    home.land([row for row in rows if row not in late])
    run(dbt, home, "run")
    then = rows_of(home.lake, "gold/attribution_decisions")
    home.land(late)
    run(dbt, home, "run")
    assert rows_of(home.lake, "gold/attribution_decisions") != then
    commits = home.lake.open("bronze/bronze_touchpoints").history()
    (instant,) = (commit["timestamp"] for commit in commits if commit["version"] == 1)
    for as_of in ("0", datetime.fromtimestamp(instant / 1000, tz=UTC).isoformat()):
        found = data(home, "whatif", "--as-of", as_of, "--name", "then")
        assert rows_of(home.lake.scenario("then"), "gold/attribution_decisions") == then
        assert found["whatif_moves"]


@pytest.mark.slow
def test_two_homes_with_the_same_inputs_give_the_same_bytes(dbt: Dbt, home: Home, tmp_path: Path) -> None:
    twin = Home(tmp_path / "home")
    twin.land(simulate(seed=7, installs=90))
    run(dbt, twin, "run")
    arguments = ("whatif", "--rules", str(home.folder / "short"), "--name", "short")
    assert invoke(twin, *arguments).stdout == invoke(home, *arguments).stdout
    assert invoke(twin, *arguments, "--json").stdout == invoke(home, *arguments, "--json").stdout
    for name in ("installs", "moves", "campaigns", "reasons", "totals"):
        contents = [
            [Path(file).read_bytes() for file in lake.scenario("short").files(f"gold/whatif_{name}")]
            for lake in (home.lake, twin.lake)
        ]
        assert contents[0] == contents[1], name
    first, second = (data(h, "sensitivity") for h in (home, twin))
    assert first == second
