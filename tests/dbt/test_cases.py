"""Rows in, rows out: every folder of `cases/` is one rule of attribution, told in CSV files.

A case is an app of its own, so that one build decides all of them. `bronze_*.csv` hold what came in, `rule_*.csv` lines
of the rules for this app alone (what it leaves out is as the project has it), every other file the rows that a model
must hold for the app, in the columns that the file names. `why.md` says what the case shows.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import deltalake
import duckdb
import pyarrow as pa
import pytest

from lakehouse.apps import App
from lakehouse.contract import bronze_schemas
from lakehouse.lake import Lake
from tests.dbt.plans import Planner
from tests.dbt.runner import PROJECT, Dbt
from tests.dbt.world import Home, Row, record

CASES = sorted(folder for folder in Path(__file__).with_name("cases").iterdir() if folder.is_dir())
LAYERS = ("silver", "gold")


def apps() -> list[App]:
    return [App(app_id=case.name, platform="android") for case in CASES]


def records() -> Iterator[tuple[str, Row]]:
    for case in CASES:
        for file in sorted(case.glob("bronze_*.csv")):
            for values in read(file):
                yield f"bronze/{file.stem}", bronze_row(case.name, file.stem, values)


@pytest.fixture(scope="module")
def decided(worked_examples: Home) -> Iterator[duckdb.DuckDBPyConnection]:
    """The models as views."""
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    for layer in LAYERS:
        for table in worked_examples.lake.tables(layer):
            connection.register(table.partition("/")[2], worked_examples.lake.open(table).to_pyarrow_table())
    yield connection
    connection.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(decided: duckdb.DuckDBPyConnection, case: Path) -> None:
    expected = [file for file in sorted(case.glob("*.csv")) if not file.stem.startswith(("bronze_", "rule_"))]
    assert expected, f"{case.name} says nothing about the outcome"
    assert (case / "why.md").read_text(encoding="utf-8").strip()
    for file in expected:
        with file.open(encoding="utf-8", newline="") as lines:
            columns = next(csv.reader(lines), [])
        texts = ", ".join(f"coalesce({column}::varchar, '')" for column in columns or ["touch_id"])
        found = decided.execute(f"select {texts} from {file.stem} where app_id = ?", [case.name]).fetchall()
        wanted = [tuple(row[column] for column in columns) for row in read(file)]
        assert sorted(found) == sorted(wanted), file.stem


def test_every_reason_has_a_case() -> None:
    reasons = {row["reason_code"] for row in read(PROJECT / "seeds" / "rule_reason_codes.csv")}
    told = {row["reason_code"] for case in CASES for file in case.glob("attribution_*.csv") for row in read(file)}
    assert reasons - told == set()


def test_an_old_rule_set_has_an_id_of_its_own(decided: duckdb.DuckDBPyConnection) -> None:
    ids = decided.execute(
        "select conversion_id, ruleset_id from attribution_decisions"
        " where app_id = 'an_old_rule_set_keeps_deciding_the_installs_of_its_time'"
        " union all select 'default', ruleset_id from attribution_decisions where app_id = 'the_last_click_wins'"
    ).fetchall()
    by_conversion = dict(ids)
    assert by_conversion["c1"] == by_conversion["default"]
    assert by_conversion["c2"] != by_conversion["default"]


def test_no_model_joins_two_tables_on_the_app_alone(worked_examples: Home, dbt: Dbt) -> None:
    """Such a join pairs all installs of an app with each other; a large app would never end."""
    planner = Planner(worked_examples)
    models = [table.partition("/")[2] for layer in LAYERS for table in worked_examples.lake.tables(layer)]
    found = {model: planner.joins_on_the_app_alone(dbt.query_of(model)) for model in models}
    square = "select count(*) from silver.int_conversions as one inner join silver.int_installs as two using (app_id)"
    assert planner.joins_on_the_app_alone(square) == ["int_conversions with int_installs"]
    planner.close()
    assert len(found) > 50
    # Its second table is one row per app, made in the model itself.
    assert {model for model, joins in found.items() if joins} <= {"mart_finality"}


def read(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def bronze_row(app_id: str, table: str, values: dict[str, str]) -> Row:
    """A bronze row from its text; a blank is a null."""
    schema = bronze_schemas()[f"bronze/{table}"]
    sent = {name: parse(text, schema.field(name).type) for name, text in values.items() if text != ""}
    return record(sent.pop("record_type"), sent.pop("record_id"), sent.pop("event_at"), app_id=app_id, **sent)


def parse(text: str, kind: pa.DataType) -> Any:
    if text == "":
        return None
    if pa.types.is_date(kind):
        return date.fromisoformat(text)
    if pa.types.is_timestamp(kind):
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    if pa.types.is_boolean(kind):
        return text == "true"
    return int(text) if pa.types.is_integer(kind) else text


def add_rules(lake: Lake) -> None:
    """The lines of the cases beside those of the project; a line is the project's first one, if it has any,
    but for what it says."""
    for name in sorted({file.stem for case in CASES for file in case.glob("rule_*.csv")}):
        table = lake.open(f"rules/{name}").to_pyarrow_table()
        default = dict.fromkeys(table.schema.names) | next(iter(table.slice(0, 1).to_pylist()), {})
        rows = [
            default
            | ({"app_id": file.parent.name} if "app_id" in table.schema.names else {})
            | {column: parse(text, table.schema.field(column).type) for column, text in line.items()}
            for file in sorted(CASES[0].parent.glob(f"*/{name}.csv"))
            for line in read(file)
        ]
        deltalake.write_deltalake(lake.uri(f"rules/{name}"), pa.Table.from_pylist(rows, table.schema), mode="append")
