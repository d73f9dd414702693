"""What is wrong with fraud rules, in sentences: the seeds are read as people edit them, before a run builds with them.

Belongs here: what a rule may ask for, and the check of the CSV files. How a rule becomes SQL is in
`dbt_project/macros/fraud_rules.sql`; a test keeps the two lists of attributes equal.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Final

RULES: Final = "rule_fraud_rules.csv"
CONDITIONS: Final = "rule_fraud_conditions.csv"
FLAGS: Final = "rule_fraud_flags.csv"
THRESHOLDS: Final = "rule_fraud_thresholds.csv"

# Attribute: its type.
ATTRIBUTES: Final[dict[str, str]] = {
    "partner": "text", "agency": "text", "campaign_id": "text", "adset_id": "text", "creative_id": "text",
    "site_id": "text", "sub_site_id": "text", "touch_type": "text", "match_method": "text", "touch_country": "text",
    "touch_ip_prefix": "text", "is_signature_valid": "boolean", "ctit_s": "number", "ctib_s": "number",
    "app_id": "text", "platform": "text", "store": "text", "install_country": "text", "device_model": "text",
    "integrity_verdict": "text", "install_ip_prefix": "text", "app_version": "version", "os_version": "version",
}  # fmt: skip
SOURCE_ATTRIBUTES: Final = frozenset(
    {"partner", "agency", "campaign_id", "adset_id", "creative_id", "site_id", "sub_site_id"}
)
TOUCH_ONLY: Final = frozenset({"agency", "sub_site_id", "touch_country", "touch_ip_prefix", "is_signature_valid"})
ACTIONS: Final = ("block_candidate", "block_event")
RULE_KINDS: Final = ("blocking", "allow_only")
SOURCE_TYPES: Final = ("all", "all_non_organic", "non_organic")
STATUSES: Final = ("active", "dry_run", "off")
_EQUAL: Final = ("eq", "ne", "in", "not_in", "is_null", "not_null")
_ORDERED: Final = ("lt", "le", "gt", "ge", "between")
OPERATORS: Final[dict[str, tuple[str, ...]]] = {
    "text": _EQUAL,
    "number": (*_EQUAL, *_ORDERED),
    "version": (*_EQUAL, *_ORDERED),
    "boolean": ("eq", "ne", "is_null", "not_null"),
    "flag": ("eq", "ne"),
}
_FLAG: Final = "has_flag:"
_BOUNDED: Final = {"duplicate_click_s": 86_400, "receipt_days": 7, "site_window_days": 90}

Row = Mapping[str, str]


def faults(folder: Path) -> list[str]:
    """What is wrong with the fraud rules, conditions and thresholds in `folder`; empty if nothing is.

    The file of the flags is asked for their names. A folder without a file of rules has no rules and no faults.
    """
    return faults_of(*(_rows(folder / name) for name in (RULES, CONDITIONS, FLAGS, THRESHOLDS)))


def faults_of(
    rules: Sequence[Row], conditions: Sequence[Row], flag_rows: Sequence[Row], thresholds: Sequence[Row]
) -> list[str]:
    """The same of rows that were read already, as text by column."""
    flags = {row["flag_code"] for row in flag_rows}
    found = list(_threshold_faults(thresholds))
    seen: set[str] = set()
    for rule in rules:
        own = [c for c in conditions if c["rule_id"] == rule["rule_id"]]
        if rule["rule_id"] in seen:
            found.append(f"Fraud rule {rule['rule_id']} stands twice in {RULES}; give each rule a name of its own.")
        seen.add(rule["rule_id"])
        found += _rule_faults(rule, own)
        found += [text for condition in own for text in _condition_faults(rule, condition, flags)]
    found += [
        f"{CONDITIONS} has a condition of fraud rule {name}, which {RULES} does not have; add the rule or drop it."
        for name in sorted({c["rule_id"] for c in conditions} - seen)
    ]
    return found


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as stream:
        return [{name: (value or "").strip() for name, value in row.items()} for row in csv.DictReader(stream)]


def _rule_faults(rule: Row, conditions: Sequence[Row]) -> Iterator[str]:
    name = f"Fraud rule {rule['rule_id']}"
    for column, allowed in (
        ("action", ACTIONS), ("rule_kind", RULE_KINDS), ("source_type", SOURCE_TYPES), ("status", STATUSES),
    ):  # fmt: skip
        if rule[column] not in allowed:
            yield f"{name} has {column} {rule[column] or 'empty'}; write one of {', '.join(allowed)}."
    for column, low, high in (("priority", 0, 1_000_000), ("score", 0, 100), ("version", 1, 1_000_000)):
        if not rule[column].isdecimal() or not low <= int(rule[column]) <= high:
            yield f"{name} has {column} {rule[column] or 'empty'}; write a whole number from {low} to {high}."
    if not rule["reason_code"]:
        yield f"{name} gives no reason_code; write what the partner is to be told."
    yield from _date_faults(name, rule)
    if not conditions:
        yield f"{name} has no conditions, so it would {_empty_effect(rule)}; add one to {CONDITIONS} or set it to off."
    elif rule["source_type"] == "non_organic":
        yield from _source_faults(name, rule, conditions)


def _empty_effect(rule: Row) -> str:
    return "allow nothing" if rule["rule_kind"] == "allow_only" else "block everything"


def _date_faults(name: str, rule: Row) -> Iterator[str]:
    since, until = _date(rule["valid_from"]), _date(rule["valid_until"])
    if since is None:
        yield f"{name} has valid_from {rule['valid_from'] or 'empty'}; write a date such as 2026-01-31."
    if rule["valid_until"] and until is None:
        yield f"{name} has valid_until {rule['valid_until']}; write a date such as 2026-01-31, or nothing."
    if since and until and until <= since:
        yield f"{name} is never in force: valid_until {until} is not after valid_from {since}."


def _source_faults(name: str, rule: Row, conditions: Sequence[Row]) -> Iterator[str]:
    groups: dict[str, set[bool]] = {}
    for condition in conditions:
        groups.setdefault(condition["any_group"], set()).add(condition["attribute"] in SOURCE_ATTRIBUTES)
    for group, kinds in sorted(groups.items()):
        if len(kinds) > 1:
            yield (
                f"{name} has source type non_organic, and its group {group} mixes conditions about the source with"
                " others; put them into groups of their own."
            )
    if {True} not in groups.values():
        yield f"{name} has source type non_organic but names no source; add a condition on partner or set it to all."
    if rule["rule_kind"] == "allow_only" and {False} not in groups.values():
        yield f"{name} allows nothing of its source; say what is allowed, or make it a blocking rule."


def _condition_faults(rule: Row, condition: Row, flags: set[str]) -> Iterator[str]:
    name, attribute = f"Fraud rule {rule['rule_id']}", condition["attribute"]
    operator, text = condition["operator"], condition["compared_with"]
    if not condition["any_group"].isdecimal():
        yield f"{name} has any_group {condition['any_group'] or 'empty'}; write a whole number."
    if attribute.startswith(_FLAG):
        kind = "flag"
        if attribute.removeprefix(_FLAG) not in flags:
            yield f"{name} asks for flag {attribute.removeprefix(_FLAG)}, which {FLAGS} does not have."
    elif attribute not in ATTRIBUTES:
        yield f"{name} asks for {attribute or 'nothing'}, which is unknown; write one of {', '.join(ATTRIBUTES)}."
        return
    else:
        kind = ATTRIBUTES[attribute]
    if rule["action"] == "block_event" and attribute in TOUCH_ONLY:
        yield f"{name} asks for {attribute}, which only touches have; use action block_candidate."
    if operator not in OPERATORS[kind]:
        possible = ", ".join(OPERATORS[kind])
        yield f"{name} compares {attribute} by {operator or 'nothing'}; it can be compared by {possible}."
        return
    yield from _value_faults(f"{name} compares {attribute} by {operator}", kind, operator, text)


def _value_faults(start: str, kind: str, operator: str, text: str) -> Iterator[str]:
    values = [value.strip() for value in text.split("|")]
    if operator in ("is_null", "not_null"):
        if text:
            yield f"{start} with {text}; leave compared_with empty."
        return
    if not all(values):
        yield f"{start} with an empty value; write the value, or values with | between them."
        return
    if operator == "between" and len(values) != 2:
        yield f"{start} with {text}; write two values with | between them."
    elif operator not in ("in", "not_in", "between") and len(values) > 1:
        yield f"{start} with {len(values)} values; use in or not_in for several."
    wrong = [value for value in values if not _fits(kind, value)]
    if wrong:
        yield f"{start} with {', '.join(wrong)}, which is no {_KIND_NAMES[kind]}."
    elif operator == "between" and kind == "number" and len(values) == 2 and float(values[0]) > float(values[1]):
        yield f"{start} with {text}; write the smaller value first."


_KIND_NAMES: Final = {"number": "number", "boolean": "true or false", "flag": "true or false", "version": "version"}


def _fits(kind: str, value: str) -> bool:
    if kind == "number":
        return _number(value) is not None
    if kind in ("boolean", "flag"):
        return value in ("true", "false")
    if kind == "version":
        return all(part.isdecimal() and len(part) <= 9 for part in value.split(".")) and value.count(".") <= 3
    return True


def _threshold_faults(rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        name = f"Fraud threshold {row['threshold']}"
        value = _number(row["threshold_value"])
        if value is None or value < 0:
            yield f"{name} has value {row['threshold_value'] or 'empty'}; write a number that is not negative."
        elif value > (most := _BOUNDED.get(row["threshold"], float("inf"))):
            yield f"{name} has value {row['threshold_value']}; it may be at most {most}."
        if _date(row["valid_from"]) is None:
            yield f"{name} has valid_from {row['valid_from'] or 'empty'}; write a date such as 2026-01-31."


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < float("inf") else None


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
