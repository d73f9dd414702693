"""Delta access: exactly once, partial replaces, and refusal of tables that files alone do not describe."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from lakehouse.engine import PinnedEngine, connect
from lakehouse.lake import Lake, SchemaChangeError, UnsupportedTableError
from lakehouse.settings import load_settings

SCHEMA = pa.schema([("n", pa.int64()), ("day", pa.date32())])


def rows(numbers: list[int], day: dt.date = dt.date(2026, 1, 1)) -> pa.Table:
    columns = [pa.array(numbers, pa.int64()), pa.array([day] * len(numbers), pa.date32())]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def values(lake: Lake, table: str, version: int | None = None) -> list[int]:
    return sorted(lake.open(table, version).to_pyarrow_table()["n"].to_pylist())


def test_a_batch_is_appended_once_however_often_it_is_sent(lake: Lake) -> None:
    lake.create("bronze/t", SCHEMA, ["day"])
    assert lake.append_once("bronze/t", rows([1]), writer="w", batch=0)
    assert lake.append_once("bronze/t", rows([2]), writer="w", batch=1)
    assert not lake.append_once("bronze/t", rows([1]), writer="w", batch=0)
    assert not lake.append_once("bronze/t", rows([2]), writer="w", batch=1)
    assert lake.append_once("bronze/t", rows([1]), writer="other", batch=0)
    assert values(lake, "bronze/t") == [1, 1, 2]


# Whatever Python takes for the end of a line in a text; a commit's statistics hold values as they are.
LINE_ENDS = ["\n", "\r", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]


@pytest.mark.parametrize("end", LINE_ENDS, ids=ascii)
def test_a_value_with_a_line_end_is_appended_found_again_and_merged(lake: Lake, end: str) -> None:
    table = pa.table({"text": [f"a{end}b"], "day": ["x"]})
    lake.create("bronze/t", table.schema, ["day"])
    for batch in range(2):
        assert lake.append_once("bronze/t", table, writer="w", batch=batch)
    assert not lake.append_once("bronze/t", table, writer="w", batch=1)
    assert len(lake.files_added("bronze/t", 0, 2) or []) == 2
    assert lake.compact("bronze/t", ("day", "x"), target_bytes=1 << 20).after == 1
    assert lake.open("bronze/t").to_pyarrow_table()["text"].to_pylist() == [f"a{end}b"] * 2


def test_a_commit_carries_its_metadata(lake: Lake) -> None:
    lake.create("bronze/t", SCHEMA)
    lake.append_once("bronze/t", rows([1]), writer="w", batch=0, metadata={"unmogrowp.event_dates": "2026-01-01"})
    assert [c["unmogrowp.event_dates"] for c in lake.commits("bronze/t", 0, 1)] == ["2026-01-01"]
    assert lake.commits("bronze/t", 1, 1) == []


def test_a_partial_replace_touches_its_partition_only(lake: Lake) -> None:
    other = dt.date(2026, 1, 2)
    lake.overwrite("gold/t", pa.concat_tables([rows([1, 2]), rows([3], other)]), partition_by=["day"])
    lake.overwrite("gold/t", rows([9]), replace_where="day = '2026-01-01'", partition_by=["day"])
    assert values(lake, "gold/t") == [3, 9]
    assert lake.partition_columns("gold/t") == ["day"]


def test_an_empty_partial_replace_deletes_the_partition(lake: Lake) -> None:
    lake.overwrite("gold/t", rows([1]), partition_by=["day"])
    lake.overwrite("gold/t", rows([]), replace_where="day = '2026-01-01'", partition_by=["day"])
    assert values(lake, "gold/t") == []


def test_a_partial_replace_refuses_another_schema(lake: Lake) -> None:
    lake.overwrite("gold/t", rows([1]), partition_by=["day"])
    wider = rows([1]).append_column("extra", pa.array(["x"]))
    with pytest.raises(SchemaChangeError, match="extra string"):
        lake.overwrite("gold/t", wider, replace_where="day = '2026-01-01'")
    lake.overwrite("gold/t", wider)
    assert lake.schema("gold/t").names == ["n", "day", "extra"]


def test_a_model_has_dictionaries_of_what_repeats_only(lake: Lake) -> None:
    schema = pa.schema(
        [("record_id", pa.string()), ("event_at", pa.timestamp("us", "UTC")), ("campaign_id", pa.string())]
    )
    sent = [
        {"record_id": f"r{n}", "event_at": dt.datetime(2026, 1, 1, n, tzinfo=dt.UTC), "campaign_id": "c"}
        for n in range(9)
    ]
    lake.overwrite("silver/t", pa.Table.from_pylist(sent, schema))
    [file] = lake.files("silver/t")
    columns = [pq.ParquetFile(file).metadata.row_group(0).column(n) for n in range(3)]
    assert [column.has_dictionary_page for column in columns] == [False, False, True]


@pytest.mark.parametrize("name", ["gold", "gold/", "nowhere/t", "gold/a/b"])
def test_a_wrong_table_name_is_refused(lake: Lake, name: str) -> None:
    with pytest.raises(ValueError, match="not a table name"):
        lake.uri(name)


def test_a_missing_table_is_named(lake: Lake) -> None:
    with pytest.raises(FileNotFoundError, match="gold/t does not exist"):
        lake.version("gold/t")


@pytest.mark.parametrize(
    ("configuration", "feature"),
    [
        ({"delta.enableDeletionVectors": "true"}, "deletionVectors"),
        (
            {"delta.columnMapping.mode": "name", "delta.minReaderVersion": "2", "delta.minWriterVersion": "5"},
            "columnMapping",
        ),
    ],
)
def test_tables_whose_files_alone_would_lie_are_refused(
    lake: Lake, configuration: dict[str, str], feature: str
) -> None:
    DeltaTable.create(lake.uri("silver/t"), schema=SCHEMA, configuration=configuration)
    with pytest.raises(UnsupportedTableError, match=feature):
        lake.files("silver/t")


def test_the_engine_reads_the_pinned_version(lake: Lake, tmp_path: Path) -> None:
    first = lake.overwrite("gold/t", rows([1]), partition_by=["day"]).version
    lake.overwrite("gold/t", rows([1, 2]), partition_by=["day"])
    settings = load_settings({"UNMOGROWP_HOME": str(tmp_path)})
    pinned = connect(settings, lake=lake, snapshot={"gold/t": first})
    newest = connect(settings, lake=lake)
    assert pinned.execute("select n, day from gold.t").fetchall() == [(1, dt.date(2026, 1, 1))]
    assert newest.execute("select count(*) from gold.t").fetchall() == [(2,)]


def test_a_table_that_grew_by_a_column_reads_nulls_in_its_older_files(lake: Lake, tmp_path: Path) -> None:
    lake.create("bronze/t", SCHEMA, ["day"])
    lake.append_once("bronze/t", rows([1]), writer="w", batch=0)
    later = rows([2], dt.date(2026, 1, 2)).append_column("more", pa.array(["x"]))
    lake.append_once("bronze/t", later, writer="w", batch=1)
    connection = connect(load_settings({"UNMOGROWP_HOME": str(tmp_path)}), lake=lake)
    assert connection.execute("select n, more from bronze.t order by n").fetchall() == [(1, None), (2, "x")]


@pytest.mark.parametrize("sizes", [[1, 5_000, 4_000, 3_000], [9_000, 1, 1, 3_000], [50, 50]])
def test_the_engine_knows_about_how_many_rows_a_table_of_models_has(
    lake: Lake, tmp_path: Path, sizes: list[int]
) -> None:
    days = [rows(list(range(size)), dt.date(2026, 1, 1 + n)) for n, size in enumerate(sizes)]
    written = lake.overwrite("silver/t", pa.concat_tables(days), partition_by=["day"])
    assert sorted(written.files_typical_first) == written.files
    connection = connect(load_settings({"UNMOGROWP_HOME": str(tmp_path)}), lake=lake)
    ((_, plan),) = connection.execute("explain (format json) select n from silver.t").fetchall()
    estimates = [int(found) for found in re.findall(r'"Estimated Cardinality": "(\d+)"', plan)]
    # The typical file times the number of files.
    nearest = min((abs(size * len(sizes) - sum(sizes)), size) for size in sizes)[1]
    assert set(estimates) == {nearest * len(sizes)}
    assert connection.execute("select count(*), sum(n) from silver.t").fetchone() == (
        sum(sizes),
        sum(size * (size - 1) // 2 for size in sizes),
    )


def test_what_was_written_is_told_as_a_new_look_would_tell_it(lake: Lake) -> None:
    for data, replace in ((rows([1, 2]), None), (rows([3]), None), (rows([4, 5]), "day = '2026-01-01'")):
        written = lake.overwrite("gold/t", data, partition_by=["day"], replace_where=replace)
        again = lake.contents("gold/t")
        assert (written.version, written.schema, written.files) == (again.version, again.schema, again.files)
        assert written.rows == again.rows == data.num_rows


def test_an_empty_table_has_its_columns(lake: Lake, tmp_path: Path) -> None:
    lake.create("bronze/t", SCHEMA)
    connection = connect(load_settings({"UNMOGROWP_HOME": str(tmp_path)}), lake=lake)
    described = connection.execute("describe bronze.t").fetchall()
    assert [(row[0], row[1]) for row in described] == [("n", "BIGINT"), ("day", "DATE")]


def test_the_newest_version_is_told_by_the_log_folder(lake: Lake) -> None:
    lake.create("bronze/t", SCHEMA, ["day"])
    for batch in range(25):
        lake.append_once("bronze/t", rows([batch]), writer="w", batch=batch)
        assert lake.version("bronze/t") == lake.open("bronze/t").version()
    handle = lake.open("bronze/t")
    handle.create_checkpoint()
    for old in sorted((Path(lake.uri("bronze/t")) / "_delta_log").glob("*.json"))[:-1]:
        old.unlink()  # as the clean-up of the log does behind a checkpoint
    assert lake.version("bronze/t") == lake.open("bronze/t").version() == 25
    assert lake.exists("bronze/t")
    assert not lake.exists("bronze/other")
    with pytest.raises(FileNotFoundError, match="bronze/other"):
        lake.version("bronze/other")


def test_a_pinned_engine_follows_the_snapshot_and_forgets_what_a_step_made(tmp_path: Path) -> None:
    settings = load_settings({"UNMOGROWP_HOME": str(tmp_path)})
    lake = Lake(settings.lake)
    for table in ("gold/a", "gold/b"):
        lake.overwrite(table, rows([1]))
    lake.overwrite("gold/a", rows([1, 2]))
    engine = PinnedEngine(settings, lake)

    def counts(*tables: str) -> list[int]:
        return [engine.connection.execute(f"select count(*) from {table}").fetchall()[0][0] for table in tables]

    engine.show({"gold/a": 0, "gold/b": 0})
    assert counts("gold.a", "gold.b") == [1, 1]
    engine.connection.execute("create temp table mine as select 1; create view main.seen as select 1")
    engine.connection.execute("create temp table told as select 1; comment on table told is 'made of a'")
    engine.forget()
    assert counts("told") == [1]
    for name in ("mine", "seen"):
        with pytest.raises(duckdb.CatalogException):
            counts(name)
    engine.show({"gold/a": 1})
    assert counts("gold.a") == [2]
    with pytest.raises(duckdb.CatalogException):
        counts("gold.b")
    engine.close()
