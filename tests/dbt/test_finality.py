"""What `rule_measure_sources` says of the marts is what their columns, windows and timers are."""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.dbt.runner import PROJECT

_MODEL = PROJECT / "models" / "marts" / "finality" / "measure_finality.sql"
_NUMBERS = ("bigint", "integer", "double", "decimal")
# Columns that say which row it is: a measure that ends in their value stands for the whole row.
_ROW_NUMBERS = {"day_n": "d", "window_number": "window_"}


def read(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


RULES = read(PROJECT / "seeds" / "rule_measure_sources.csv")
MARTS = sorted({rule["mart"] for rule in RULES})


def columns(mart: str) -> dict[str, str]:
    for file in PROJECT.glob("models/marts/**/*.yml"):
        for model in yaml.safe_load(file.read_text(encoding="utf-8")).get("models", []):
            if model["name"] == mart:
                return {column["name"]: column["data_type"] for column in model["columns"]}
    raise AssertionError(f"no mart is called {mart}")


def variable(name: str) -> Any:
    return yaml.safe_load((PROJECT / "dbt_project.yml").read_text(encoding="utf-8"))["vars"][name]


def uncovered(mart: str, measures: set[str]) -> set[str]:
    """Columns with numbers that no measure speaks of. A metric speaks of the columns that begin with its name."""
    described = columns(mart)
    whole_rows = any(
        re.search(rf"{before}\d+", measure)
        for name, before in _ROW_NUMBERS.items()
        if name in described
        for measure in measures
    )
    if "*" in measures or whole_rows:
        return set()
    numbers = {name for name, kind in described.items() if kind.startswith(_NUMBERS)}
    return {name for name in numbers if not any(f"{name}_".startswith(f"{measure}_") for measure in measures)}


@pytest.mark.parametrize("mart", MARTS)
def test_every_number_of_a_mart_has_a_measure(mart: str) -> None:
    measures = {rule["measure"] for rule in RULES if rule["mart"] == mart}
    assert uncovered(mart, measures) == set(), f"{mart} has numbers of which rule_measure_sources says nothing"


def test_a_column_without_a_measure_is_found() -> None:
    assert uncovered("campaign_daily", {"installs"}) >= {"impressions", "cost_usd", "roas_d7_cost_usd"}


def test_the_rules_are_about_the_marts_that_the_model_reads() -> None:
    assert re.findall(r"^    '(\w+)': '\w+',$", _MODEL.read_text(encoding="utf-8"), re.MULTILINE) == MARTS


def test_installs_rest_on_all_days_whose_touches_may_win_them() -> None:
    lookback = variable("attribution_lookback_days")
    reach = {
        (rule["mart"], rule["measure"]): int(rule["days_before"])
        for rule in RULES
        if rule["source"] == "touchpoints" and rule["days_before"] != "0"
    }
    # ios_daily compares an install with the proven ones of the day before.
    assert reach.pop(("ios_daily", "*")) == lookback + 1
    assert set(reach.values()) == {lookback}


def test_a_measure_of_day_n_rests_on_events_up_to_day_n() -> None:
    for rule in RULES:
        found = re.search(r"_d(\d+)(?:_|$)", rule["measure"])
        if found and rule["source"] == "app_events":
            # A block of 24 hours that begins late on a date ends on the date after its last one.
            later = 1 if rule["measure"].endswith("_elapsed_24h") else 0
            assert int(rule["days_after"]) == int(found[1]) + later, rule


def test_postbacks_of_a_window_come_as_late_as_the_slowest_timer_allows() -> None:
    """An install is dated by the arrival less the usual hours, so they come the usual hours after it, to the day."""
    slowest = {
        window: max(
            math.ceil(int(t["window_end_hours"]) + (int(t["delay_min_hours"]) + int(t["delay_max_hours"])) / 2)
            for t in read(PROJECT / "seeds" / "skan_timers.csv")
            if t["window_number"] == window
        )
        for window in ("1", "2", "3")
    }
    last_day = {window: (23 * 60 + 59 + hours * 60) // (24 * 60) for window, hours in slowest.items()}
    said = {
        rule["measure"].removeprefix("window_"): int(rule["days_after"])
        for rule in RULES
        if rule["mart"] == "skan_daily" and rule["measure"].startswith("window_")
    }
    assert said == last_day
    assert {int(rule["days_after"]) for rule in RULES if rule["measure"] == "skan_installs"} == {last_day["1"]}
