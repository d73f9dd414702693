"""The delta materialization and the plugin on a project of their own: what is written, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from lakehouse.contract import bronze_schemas
from lakehouse.dbt_plugin import CheckedStream, Room
from lakehouse.lake import Lake
from tests.dbt.runner import PROJECT, Dbt
from tests.dbt.world import Home

MODELS = {
    "daily": (
        "{{ config(meta={'plan': 'days'}, partition_by='day') }}"
        " select * from {{ ref('numbers') }} where {{ planned_dates('day') }}"
    ),
    "small": (
        "{{ config(meta={'plan': 'days', 'plan_column': 'day'}) }}"
        " select * from {{ ref('numbers') }} where {{ planned_dates('day') }}"
    ),
    "undated": "{{ config(meta={'plan': 'days'}) }} select 1 as n",
    "breach": "select 1 as n, cast('2026-01-01' as date) as day",
    "holes": "select case when range % 3 > 0 then range end as n from range(10)",
    "broken_midway": "select cast(case when range = 900000 then 'x' else '1' end as integer) as n from range(1000000)",
    "after_broken": "select * from {{ ref('broken_midway') }}",
    "empty": "select 1 as n, cast('2026-01-01' as date) as day where false",
    "typed": (
        "select 1::utinyint as a, 2::ubigint as b, 3.25::decimal(9, 2) as c, 'x' as d, date '2026-01-01' as e,"
        " timestamptz '2026-01-01 00:00:00+00' as f, [1.5, null] as g, null::boolean as h, 'y'::blob as i"
    ),
    "types": (
        "select {% for c in 'abcdefghi' %}typeof({{ c }}) || ' ' || {{ c }}::varchar as {{ c }}"
        "{{ ', ' if not loop.last }}{% endfor %} from {{ ref('typed') }}"
    ),
    **{f"wide_{n}": f"select range + {n} as n from range(50000)" for n in range(12)},
}
YML = """
version: 2
models:
  - name: breach
    config: {contract: {enforced: true}}
    columns: [{name: n, data_type: varchar}, {name: day, data_type: date}]
  - name: holes
    config: {contract: {enforced: true}}
    columns: [{name: n, data_type: bigint, constraints: [{type: not_null}]}]
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our macros and profile around small models that do one thing each."""
    folder = tmp_path_factory.mktemp("projects") / "trial"
    for part in ("macros", "profiles.yml"):
        source = PROJECT / part
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / part)
    text = (PROJECT / "dbt_project.yml").read_text(encoding="utf-8")
    (folder / "dbt_project.yml").write_text(
        text.split("\nmodels:")[0]
        + "\nmodels: {unmogrowp: {+materialized: delta, +schema: silver}}\nseeds: {unmogrowp: {+schema: rules}}\n",
        encoding="utf-8",
    )
    (folder / "models").mkdir()
    (folder / "seeds").mkdir()
    for name, sql in MODELS.items():
        (folder / "models" / f"{name}.sql").write_text(sql, encoding="utf-8")
    (folder / "models" / "models.yml").write_text(YML, encoding="utf-8")
    (folder / "seeds" / "numbers.csv").write_text("n,day\n1,2026-01-01\n2,2026-01-02\n,2026-01-03\n", encoding="utf-8")
    (folder / "seeds" / "untyped.csv").write_text("n,extra\n1,2\n", encoding="utf-8")
    (folder / "seeds" / "seeds.yml").write_text(
        "version: 2\nseeds:\n  - {name: numbers, config: {column_types: {n: integer, day: date}}}\n"
        "  - {name: untyped, config: {column_types: {n: integer}}}\n",
        encoding="utf-8",
    )
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def plan(*days: str) -> str:
    listed = ", ".join(f'"{day}"' for day in days)
    return f'{{"mode": "incremental", "consumed": {{}}, "dates": {{"days": [{listed}]}}}}'


def values(lake: Lake, table: str, column: str = "n") -> list[object]:
    return sorted(lake.open(table).to_pyarrow_table()[column].to_pylist(), key=str)


def test_a_seed_outlives_the_process_as_a_typed_table(dbt: Dbt, home: Home, project: Path) -> None:
    assert dbt(home.folder, "seed", "--select", "numbers", project=project).success
    assert dbt(home.folder, "run", "--select", "daily", project=project).success, "a later process sees the seed"
    assert home.lake.schema("rules/numbers").field("day").type == pa.date32()
    assert values(home.lake, "rules/numbers") == [1, 2, None], "an empty cell is null"


def test_a_seed_with_a_column_that_has_no_type_is_refused(dbt: Dbt, home: Home, project: Path) -> None:
    outcome = dbt(home.folder, "seed", "--select", "untyped", project=project)
    assert "its file has n, extra" in outcome.message("untyped")
    assert not home.lake.exists("rules/untyped")


def test_a_partial_run_replaces_whole_partitions_and_no_others(dbt: Dbt, home: Home, project: Path) -> None:
    dbt(home.folder, "seed", "--select", "numbers", project=project)
    dbt(home.folder, "run", "--select", "daily", project=project)
    assert home.lake.partition_columns("silver/daily") == ["day"]
    files = set(home.lake.files("silver/daily"))
    changed = pa.table({"n": pa.array([10, 20], pa.int32()), "day": pa.array([20454, 20455], pa.date32())})
    home.lake.overwrite("rules/numbers", changed)

    outcome = dbt(home.folder, "run", "--select", "daily", project=project, plan=plan("2026-01-01", "2026-01-03"))

    assert outcome.success
    assert values(home.lake, "silver/daily") == [10, 2], "day 1 new, day 2 as it was, day 3 gone"
    assert len(files & set(home.lake.files("silver/daily"))) == 1, "the file of day 2 was not touched"
    commit = home.lake.open("silver/daily").history(1)[0]
    assert commit["replaced"] == (
        "((day >= '2026-01-01' and day <= '2026-01-01') or (day >= '2026-01-03' and day <= '2026-01-03'))"
    )


def test_a_partial_run_writes_a_small_table_whole_from_new_and_known_rows(dbt: Dbt, home: Home, project: Path) -> None:
    dbt(home.folder, "seed", "--select", "numbers", project=project)
    dbt(home.folder, "run", "--select", "small", project=project)
    changed = pa.table({"n": pa.array([10, 20], pa.int32()), "day": pa.array([20454, 20455], pa.date32())})
    home.lake.overwrite("rules/numbers", changed)

    outcome = dbt(home.folder, "run", "--select", "small", project=project, plan=plan("2026-01-01", "2026-01-03"))

    assert outcome.success
    assert values(home.lake, "silver/small") == [10, 2], "day 1 new, day 2 as it was, day 3 gone"
    assert len(home.lake.files("silver/small")) == 1
    version = home.lake.version("silver/small")
    assert dbt(home.folder, "run", "--select", "small", project=project, plan=plan()).success
    assert home.lake.version("silver/small") == version, "nothing planned, nothing written"


def test_a_model_that_follows_a_plan_names_one_date_column(dbt: Dbt, home: Home, project: Path) -> None:
    outcome = dbt(home.folder, "run", "--select", "undated", project=project)
    assert "exactly one date column, or names it in meta.plan_column" in outcome.message("undated")


def test_a_partial_plan_builds_a_table_that_does_not_exist_whole(dbt: Dbt, home: Home, project: Path) -> None:
    dbt(home.folder, "seed", "--select", "numbers", project=project)
    assert dbt(home.folder, "run", "--select", "daily", project=project, plan=plan("2026-01-02")).success
    assert values(home.lake, "silver/daily") == [1, 2, None]


def test_a_plan_without_the_set_of_a_model_is_refused(dbt: Dbt, home: Home, project: Path) -> None:
    dbt(home.folder, "seed", "--select", "numbers", project=project)
    dbt(home.folder, "run", "--select", "daily", project=project)
    other = '{"mode": "incremental", "consumed": {}, "dates": {"months": []}}'
    outcome = dbt(home.folder, "run", "--select", "daily", project=project, plan=other)
    assert "the plan has no date set days, which daily follows" in outcome.message("daily")


def test_rows_kept_in_memory_are_read_as_those_of_the_files(dbt: Dbt, home: Home, project: Path) -> None:
    def told() -> list[dict[str, object]]:
        return home.lake.open("silver/types").to_pyarrow_table().to_pylist()

    assert dbt(home.folder, "run", "--select", "typed", "types", project=project).success
    kept = told()
    assert dbt(home.folder, "run", "--select", "types", project=project).success
    assert kept == told()
    assert kept[0]["c"] == "DECIMAL(9,2) 3.25"


def test_rows_are_kept_as_long_as_there_is_room() -> None:
    batch = pa.record_batch({"n": pa.array(range(1000))})
    for limit, is_kept in ((2 * batch.nbytes, True), (2 * batch.nbytes - 1, False), (0, False)):
        reader = pa.RecordBatchReader.from_batches(batch.schema, [batch, batch])
        stream = CheckedStream(reader, "t", ["n"], keep_bytes=limit)
        assert stream.reader.read_all().num_rows == stream.rows == 2000
        assert (stream.kept is not None) is is_kept
    room = Room(100)
    assert [room.take(size, files=1) for size in (60, 60, 40, 1)] == [True, False, True, False]


def test_only_tables_of_small_files_are_kept() -> None:
    room = Room(2**30)
    assert room.take(600 * 2**20, files=600)
    assert not room.take(60 * 2**21, files=60)
    assert not room.take(2**20 + 1, files=1)


def test_a_schema_change_in_a_partial_run_asks_for_a_full_refresh(dbt: Dbt, home: Home, project: Path) -> None:
    dbt(home.folder, "seed", "--select", "numbers", project=project)
    dbt(home.folder, "run", "--select", "daily", project=project)
    before = home.lake.version("silver/daily")
    wider = pa.table({"n": pa.array(["x"]), "day": pa.array([20454], pa.date32())})
    home.lake.overwrite("rules/numbers", wider)

    partial = dbt(home.folder, "run", "--select", "daily", project=project, plan=plan("2026-01-01"))
    assert "full refresh" in partial.message("daily")
    assert home.lake.version("silver/daily") == before

    assert dbt(
        home.folder, "run", "--select", "daily", "--full-refresh", project=project, plan=plan("2026-01-01")
    ).success
    assert values(home.lake, "silver/daily") == ["x"]


def test_a_contract_breach_writes_nothing(dbt: Dbt, home: Home, project: Path) -> None:
    outcome = dbt(home.folder, "run", "--select", "breach", "holes", project=project)
    assert "contract" in outcome.message("breach").lower()
    assert "column n is null in 4 of 10 rows" in outcome.message("holes")
    assert home.lake.tables("silver") == []


def test_a_failure_half_way_keeps_the_last_version_and_a_rerun_repairs(dbt: Dbt, home: Home, project: Path) -> None:
    rows = pa.table({"n": pa.array([7], pa.int32())})
    home.lake.overwrite("silver/broken_midway", rows)
    home.lake.overwrite("silver/after_broken", rows)

    outcome = dbt(home.folder, "run", "--select", "broken_midway", "after_broken", "empty", project=project)

    assert "Conversion Error" in outcome.message("broken_midway")
    assert outcome.status("after_broken") == "skipped"
    assert outcome.status("empty") == "success", "what does not depend on it is built"
    assert values(home.lake, "silver/broken_midway") == [7]
    assert values(home.lake, "silver/after_broken") == [7]
    assert dbt(home.folder, "run", "--select", "after_broken", project=project).success


def test_an_empty_result_is_an_empty_table_with_its_columns(dbt: Dbt, home: Home, project: Path) -> None:
    assert dbt(home.folder, "run", "--select", "empty", project=project).success
    assert home.lake.row_count("silver/empty") == 0
    assert home.lake.schema("silver/empty").names == ["n", "day"]


def test_models_side_by_side_do_not_disturb_each_other(dbt: Dbt, home: Home, project: Path) -> None:
    for _ in range(2):
        assert dbt(home.folder, "run", "--select", "wide_*", "--threads", "4", project=project).success
    assert len(home.lake.tables("silver")) == 12
    assert all(home.lake.version(table) == 1 for table in home.lake.tables("silver"))


def test_a_pinned_version_is_what_models_read(dbt: Dbt, home: Home, project: Path) -> None:
    dbt(home.folder, "seed", "--select", "numbers", project=project)
    home.lake.overwrite("rules/numbers", home.lake.open("rules/numbers").to_pyarrow_table().slice(0, 1))
    assert dbt(home.folder, "run", "--select", "daily", project=project, snapshot={"rules/numbers": 0}).success
    assert values(home.lake, "silver/daily") == [1, 2, None]


@pytest.mark.parametrize("feature", ["deletionVectors", "columnMapping"])
def test_tables_whose_files_alone_would_lie_are_refused(dbt: Dbt, home: Home, project: Path, feature: str) -> None:
    setting = {
        "deletionVectors": {"delta.enableDeletionVectors": "true"},
        "columnMapping": {
            "delta.columnMapping.mode": "name",
            "delta.minReaderVersion": "2",
            "delta.minWriterVersion": "5",
        },
    }[feature]
    uri = home.lake.uri("bronze/bronze_costs")
    DeltaTable.create(uri, schema=bronze_schemas()["bronze/bronze_costs"], configuration=setting)
    outcome = dbt(home.folder, "run", "--select", "empty", project=project)
    assert not outcome.success
    assert f"bronze/bronze_costs uses {feature}" in outcome.error + str(outcome.failures)


def test_a_wrong_setting_stops_dbt_with_its_sentence(dbt: Dbt, home: Home, project: Path) -> None:
    (home.folder / "unmogrowp.toml").write_text('memory_limit = "lots"\n', encoding="utf-8")
    outcome = dbt(home.folder, "run", "--select", "empty", project=project)
    assert "memory_limit in unmogrowp.toml is wrong" in outcome.error + str(outcome.failures)


def test_a_table_that_spark_wrote_is_replaced_like_ours(dbt: Dbt, home: Home, project: Path) -> None:
    write_deltalake(home.lake.uri("silver/empty"), pa.table({"other": pa.array([1])}))
    assert dbt(home.folder, "run", "--select", "empty", project=project).success
    assert home.lake.schema("silver/empty").names == ["n", "day"]
