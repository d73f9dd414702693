"""Fraud rules that cannot work are told in sentences before anything is built with them."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

import pytest

from lakehouse.fraud_rules import (
    ATTRIBUTES,
    CONDITIONS,
    RULES,
    SOURCE_ATTRIBUTES,
    THRESHOLDS,
    TOUCH_ONLY,
    faults,
)

PROJECT = Path(__file__).resolve().parents[2] / "dbt_project"
RULE = {
    "rule_id": "mine", "priority": "5", "action": "block_candidate", "rule_kind": "blocking", "source_type": "all",
    "status": "active", "score": "50", "reason_code": "mine", "valid_from": "2026-01-01", "valid_until": "",
    "version": "1", "description": "A rule",
}  # fmt: skip
CONDITION = {"rule_id": "mine", "any_group": "1", "attribute": "site_id", "operator": "eq", "compared_with": "s"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed in PROJECT.glob("seeds/rule_fraud_*.csv"):
        shutil.copy(seed, tmp_path)
    return tmp_path


def add(folder: Path, file: str, *rows: dict[str, str]) -> None:
    with (folder / file).open("a", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows(row.values() for row in rows)


def test_the_rules_shipped_have_no_faults(folder: Path) -> None:
    assert faults(folder) == []


def test_a_folder_without_rules_has_none(tmp_path: Path) -> None:
    assert faults(tmp_path) == []


@pytest.mark.parametrize(
    ("rule", "condition", "sentence"),
    [
        ({"action": "stop"}, {}, "has action stop; write one of block_candidate, block_event."),
        ({"rule_kind": ""}, {}, "has rule_kind empty; write one of blocking, allow_only."),
        ({"source_type": "paid"}, {}, "has source_type paid; write one of all, all_non_organic, non_organic."),
        ({"status": "on"}, {}, "has status on; write one of active, dry_run, off."),
        ({"priority": "-1"}, {}, "has priority -1; write a whole number from 0 to 1000000."),
        ({"score": "101"}, {}, "has score 101; write a whole number from 0 to 100."),
        ({"version": "1.5"}, {}, "has version 1.5; write a whole number from 1 to 1000000."),
        ({"reason_code": ""}, {}, "gives no reason_code"),
        ({"valid_from": "soon"}, {}, "has valid_from soon; write a date such as 2026-01-31."),
        ({"valid_until": "2026-01-01"}, {}, "is never in force"),
        ({"rule_id": "geo_mismatch"}, {"rule_id": "geo_mismatch"}, "stands twice"),
        ({}, {"rule_id": "nobodys"}, "has a condition of fraud rule nobodys"),
        ({}, {"rule_id": "geo_mismatch"}, "mine has no conditions, so it would block everything"),
        ({"rule_kind": "allow_only"}, {"rule_id": "geo_mismatch"}, "mine has no conditions, so it would allow nothing"),
        ({"source_type": "non_organic"}, {"attribute": "platform"}, "but names no source"),
        ({"source_type": "non_organic", "rule_kind": "allow_only"}, {}, "allows nothing of its source"),
        ({}, {"any_group": "x"}, "has any_group x; write a whole number."),
        ({}, {"attribute": "site"}, "asks for site, which is unknown; write one of partner,"),
        ({}, {"attribute": "has_flag:odd", "compared_with": "true"}, "asks for flag odd, which"),
        ({"action": "block_event"}, {"attribute": "agency"}, "asks for agency, which only touches have"),
        ({}, {"operator": "lt"}, "compares site_id by lt; it can be compared by eq, ne, in, not_in,"),
        ({}, {"attribute": "has_flag:geo_mismatch", "operator": "is_null"}, "it can be compared by eq, ne."),
        ({}, {"operator": "is_null"}, "compares site_id by is_null with s; leave compared_with empty."),
        ({}, {"compared_with": ""}, "with an empty value"),
        ({}, {"operator": "in", "compared_with": "a||b"}, "with an empty value"),
        ({}, {"compared_with": "a|b"}, "with 2 values; use in or not_in for several."),
        ({}, {"attribute": "ctit_s", "operator": "between", "compared_with": "1"}, "write two values"),
        ({}, {"attribute": "ctit_s", "operator": "between", "compared_with": "9|1"}, "write the smaller value first."),
        ({}, {"attribute": "ctit_s", "operator": "lt", "compared_with": "ten"}, "with ten, which is no number."),
        ({}, {"attribute": "ctit_s", "operator": "lt", "compared_with": "nan"}, "with nan, which is no number."),
        ({}, {"attribute": "is_signature_valid", "compared_with": "yes"}, "which is no true or false."),
        ({}, {"attribute": "app_version", "operator": "lt", "compared_with": "2.x"}, "which is no version."),
    ],
)
def test_a_fault_is_told_in_a_sentence(
    folder: Path, rule: dict[str, str], condition: dict[str, str], sentence: str
) -> None:
    add(folder, RULES, RULE | rule)
    add(folder, CONDITIONS, CONDITION | condition)
    assert any(sentence in fault for fault in faults(folder)), faults(folder)


def test_a_group_about_the_source_holds_nothing_else(folder: Path) -> None:
    add(folder, RULES, RULE | {"source_type": "non_organic"})
    other = CONDITION | {"attribute": "platform", "compared_with": "ios"}
    add(folder, CONDITIONS, CONDITION, other)
    assert len(faults(folder)) == 2
    assert "its group 1 mixes conditions about the source with others" in faults(folder)[0]


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("duplicate_click_s", "90000", "it may be at most 86400."),
        ("site_min_installs", "-1", "write a number that is not negative."),
        ("site_min_installs", "many", "write a number that is not negative."),
    ],
)
def test_a_threshold_has_bounds(folder: Path, name: str, value: str, sentence: str) -> None:
    add(folder, THRESHOLDS, {"threshold": name, "valid_from": "2026-01-01", "threshold_value": value})
    assert [fault for fault in faults(folder) if sentence in fault]


def test_a_rule_without_fault_is_taken(folder: Path) -> None:
    add(folder, RULES, RULE | {"source_type": "non_organic", "rule_kind": "allow_only", "valid_until": "2026-02-01"})
    versions = CONDITION | {"any_group": "2", "attribute": "app_version", "operator": "between"}
    add(folder, CONDITIONS, CONDITION, versions | {"compared_with": "1.9|2.10.0"})
    assert faults(folder) == []


def test_the_check_and_the_macro_know_the_same_attributes() -> None:
    macro = (PROJECT / "macros" / "fraud_rules.sql").read_text(encoding="utf-8")
    listed = re.findall(r"^ +'(\w+)': \[.*'(text|number|version|boolean)', (true|false)\],$", macro, re.MULTILINE)
    assert {name: kind for name, kind, _ in listed} == ATTRIBUTES
    assert {name for name, _, is_source in listed if is_source == "true"} == SOURCE_ATTRIBUTES
    touch_only = macro[macro.index("action == 'block_candidate' -%}") :]
    only = re.findall(r"^ +'(\w+)': \[", touch_only[: touch_only.index("{%- endif -%}")], re.MULTILINE)
    assert set(only) == TOUCH_ONLY
