"""Rule files: a home's own replace the project's, and every fault is a sentence that names file and row."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from lakehouse import rule_shapes
from lakehouse.apps import AppRegistry
from lakehouse.rule_files import Fault, Kind, Shape
from lakehouse.rules import RuleError, check_rules, require_rules, rule_files, seed_files
from lakehouse.runs import code_version
from lakehouse.settings import load_settings

PROJECT = load_settings({}).dbt_project
WINDOWS = "rule_attribution_windows"
TYPES = {"date": Kind.DATE, "integer": Kind.INTEGER, "boolean": Kind.BOOLEAN, "double": Kind.NUMBER}

Edit = Callable[[dict[str, str]], None]


def seed(name: str) -> list[dict[str, str]]:
    with (PROJECT / "seeds" / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def write(folder: Path, name: str, rows: list[dict[str, str]]) -> Path:
    folder.mkdir(exist_ok=True)
    with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(seed(name)[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder


def sentences(*overlays: Path, project: Path = PROJECT) -> list[str]:
    return [fault.sentence for fault in check_rules(project, *overlays)]


def with_ends(folder: Path, *windows: tuple[str, str, str, str]) -> Path:
    """A project whose windows have a valid_until: rows of (partner, valid_from, valid_until, hours) for clicks."""
    seeds = folder / "project" / "seeds"
    seeds.mkdir(parents=True)
    for name, file in seed_files(PROJECT).items():
        if name != WINDOWS:
            (seeds / file.name).write_bytes(file.read_bytes())
    (seeds.parent / "dbt_project.yml").write_text("vars:\n  attribution_lookback_days: 7\n", encoding="utf-8")
    lines = ["app_id,partner,touch_type,valid_from,valid_until,window_hours"]
    lines += [f"*,{partner},click,{since},{until},{hours}" for partner, since, until, hours in windows]
    lines += [f"*,*,{kind},1970-01-01,,24" for kind in ("srn_claim", "impression")]
    (seeds / f"{WINDOWS}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return seeds.parent


def test_the_rules_of_the_project_are_right() -> None:
    assert sentences() == []


def test_every_rule_file_of_the_project_is_declared_as_dbt_types_it() -> None:
    files = sorted((PROJECT / "seeds").glob("_*.yml"))
    described = [entry for file in files for entry in yaml.safe_load(file.read_text(encoding="utf-8"))["seeds"]]
    types = {entry["name"]: entry["config"]["column_types"] for entry in described}
    for name in seed_files(PROJECT):
        if name.startswith("rule_"):
            assert name in rule_shapes.SHAPES, f"declare {name} in lakehouse/rule_shapes.py"
            shape = rule_shapes.SHAPES[name]
            for column, kind in types[name].items():
                declared = shape.column(column)
                assert declared is not None, f"declare {column} of {name} in lakehouse/rule_shapes.py"
                assert declared.kind == TYPES.get(kind, declared.kind), (name, column)


def test_a_file_of_the_home_replaces_the_seed_of_its_name(tmp_path: Path) -> None:
    windows = [row | {"window_hours": "24"} for row in seed(WINDOWS)]
    home, scenario = write(tmp_path / "home", WINDOWS, windows), write(tmp_path / "scenario", WINDOWS, windows)
    files = rule_files(PROJECT, home, tmp_path / "nothing")
    assert files[WINDOWS] == home / f"{WINDOWS}.csv"
    assert files["rule_touch_types"] == PROJECT / "seeds" / "rule_touch_types.csv"
    assert rule_files(PROJECT, home, scenario / f"{WINDOWS}.csv")[WINDOWS].parent == scenario, "the last one counts"
    assert sentences(home, scenario / f"{WINDOWS}.csv") == []


def test_the_code_version_follows_the_files_in_force(tmp_path: Path) -> None:
    def version(rules: Path | None) -> str:
        return code_version(PROJECT, AppRegistry(()), rules)

    same = write(tmp_path / "same", WINDOWS, seed(WINDOWS))
    (same / f"{WINDOWS}.csv").write_bytes((PROJECT / "seeds" / f"{WINDOWS}.csv").read_bytes())
    other = write(tmp_path / "other", WINDOWS, [row | {"window_hours": "24"} for row in seed(WINDOWS)])
    assert version(None) == version(tmp_path / "nothing") == version(same)
    assert version(other) != version(None)
    before = version(other)
    write(tmp_path / "other", WINDOWS, [row | {"window_hours": "12"} for row in seed(WINDOWS)])
    assert version(other) != before


@pytest.mark.parametrize(
    ("name", "row", "change", "sentence"),
    [
        (WINDOWS, 0, {"window_hours": "-1"}, "row 2: window_hours is -1, and must be at least 0."),
        (WINDOWS, 1, {"window_hours": "169"}, "row 3: window_hours is 169, but touches are gathered for 168 hours"),
        (WINDOWS, 0, {"window_hours": "a day"}, "row 2: window_hours is 'a day', and must be a whole number."),
        (WINDOWS, 0, {"window_hours": ""}, "row 2: window_hours is empty."),
        (WINDOWS, 0, {"valid_from": "2026-02-30"}, "row 2: valid_from is '2026-02-30', and must be a date"),
        (WINDOWS, 0, {"valid_from": "2026-01-01"}, "nothing holds before: let it begin on 1970-01-01."),
        (WINDOWS, 2, {"touch_type": "tap"}, "row 4: touch_type is 'tap', which rule_touch_types.csv does not know."),
        (WINDOWS, 2, {"partner": "Meta"}, "row 4: partner is 'Meta', and must be in lower case ('meta')"),
        (WINDOWS, 2, {"partner": "meta"}, "no row holds for every app: add one for impression with * in"),
        (WINDOWS, 2, {"partner": " * "}, "row 4: partner has blanks around '*'."),
        (WINDOWS, 2, {"touch_type": "click"}, "overlaps row 2, which has no end: give that row valid_until"),
        ("rule_match_methods", 0, {"match_method": "guess"}, "match_method is 'guess', which the models do not know."),
        ("rule_match_methods", 0, {"match_method": "guess"}, "match_method referrer is missing; the models use it."),
        ("rule_match_methods", 1, {"method_strength": "1"}, "row 3: method_strength 1 is that of row 2 already."),
        ("rule_reason_codes", 0, {"reason_code": "lost"}, "reason_code is 'lost', which the models do not know."),
        ("rule_reason_codes", 0, {"is_eligible": "yes"}, "is_eligible is 'yes', and must be true or false."),
        ("rule_reason_codes", 0, {"applies_to": "touch"}, "must be one of candidate, decision."),
        ("rule_touch_types", 0, {"tier": "0"}, "row 2: tier is 0, and must be at least 1."),
        ("rule_risk_bands", 0, {"max_probability": "0"}, "min_probability 0.0 is not below max_probability 0."),
        ("rule_risk_bands", 1, {"risk_band": "low"}, "row 3: low is there already, in row 2."),
        ("fx_rates", 0, {"usd_per_unit": "1,5"}, "usd_per_unit is '1,5', and must be a number like 0.25."),
    ],
)
def test_a_fault_names_file_and_row(tmp_path: Path, name: str, row: int, change: dict[str, str], sentence: str) -> None:
    rows = seed(name)
    rows[row] |= change
    found = sentences(write(tmp_path / "rules", name, rows))
    assert any(text.startswith(f"{name}.csv") and sentence in text for text in found), found


def test_a_mart_without_measures_is_told_once(tmp_path: Path) -> None:
    rows = [row for row in seed("rule_measure_sources") if row["mart"] != "campaign_daily"]
    folder = write(tmp_path / "rules", "rule_measure_sources", rows)
    assert sentences(folder) == ["rule_measure_sources.csv: mart campaign_daily is missing; the models use it."]
    unknown = write(folder, "rule_measure_sources", [*seed("rule_measure_sources"), rows[0] | {"source": "rumours"}])
    assert sentences(unknown) == [
        f"rule_measure_sources.csv, row {len(seed('rule_measure_sources')) + 2}: "
        "source is 'rumours', which rule_finality.csv does not know."
    ]


@pytest.mark.parametrize(
    ("windows", "sentence"),
    [
        ([("*", "1970-01-01", "", "168")], None),
        ([("*", "1970-01-01", "2026-02-01", "168"), ("*", "2026-02-01", "", "24")], None),
        ([("*", "1970-01-01", "", "168"), ("meta", "2026-01-01", "2026-02-01", "24")], None),
        ([("*", "1970-01-01", "", "168"), ("*", "2026-02-01", "", "24")], "row 3: * * click overlaps row 2, which has"),
        ([("*", "1970-01-01", "2026-02-02", "168"), ("*", "2026-02-01", "", "24")], "row 3: * * click overlaps row 2"),
        ([("*", "1970-01-01", "1969-01-01", "1")], "valid_until 1969-01-01 is not after valid_from 1970-01-01."),
        ([("*", "1970-01-01", "1970-01-01", "1")], "row 2: valid_until 1970-01-01 is not after valid_from 1970-01-01."),
        ([("*", "1970-01-01", "2026-02-01", "168"), ("*", "2026-02-02", "", "24")], "from 2026-02-01 (end of row 2)"),
        ([("*", "1970-01-01", "2026-02-01", "168")], "row 2: * * click ends on 2026-02-01, and nothing holds after"),
    ],
)  # fmt: skip
def test_intervals_neither_overlap_nor_leave_gaps_nor_run_backwards(
    tmp_path: Path, windows: list[tuple[str, str, str, str]], sentence: str | None
) -> None:
    found = sentences(project=with_ends(tmp_path, *windows))
    assert (found == []) if sentence is None else any(sentence in text for text in found), found


def test_a_file_that_cannot_be_read_or_replaces_nothing_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "rule_windows.csv").write_text("a\n1\n", encoding="utf-8")
    (tmp_path / "rule_touch_types.csv").write_text("touch_type;tier;meaning\nclick;1;x\n", encoding="utf-8")
    (tmp_path / "rule_risk_bands.csv").write_bytes(b"risk_band,min_probability,max_probability\n\xff,0,1\n")
    (tmp_path / "fx_rates.csv").write_text("currency,valid_from,usd_per_unit\nUSD,2020-01-01\n", encoding="utf-8")
    found = sentences(tmp_path)
    assert len(found) == 4, found
    assert found[0] == "fx_rates.csv, row 2: it has 2 values, the header has 3."
    assert found[1].startswith("rule_risk_bands.csv: it is no CSV file in UTF-8")
    assert "row 1: the header is touch_type;tier;meaning, and must be touch_type,match_class,tier,meaning." in found[2]
    assert found[3].startswith(
        "rule_windows.csv: the project has no rules of this name; it has campaign_mapping.csv, fx_rates.csv,"
    )
    with pytest.raises(RuleError, match="no rules of this name"):
        require_rules(PROJECT, tmp_path)


def test_a_file_may_have_a_check_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_days(tables: object) -> list[Fault]:
        assert isinstance(tables, dict)
        return [Fault("rule_risk_bands.csv", 2, f"{len(tables['rule_risk_bands'])} bands")]

    bands = rule_shapes.SHAPES["rule_risk_bands"]
    own = Shape(bands.name, bands.columns, bands.key, check=no_days)
    monkeypatch.setitem(rule_shapes.SHAPES, bands.name, own)
    assert sentences() == ["rule_risk_bands.csv, row 2: 3 bands."]
