"""What a reader of the embedded engine may ask: marts and harmless functions, nothing that touches files or writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.errors import QueryError
from serving.front.execution import execute
from serving.front.handles import Handles, run
from serving.front.requests import QueryRequest
from serving.front.users import READER_LIMITS, User

OUTFILE = Path("/tmp/unmogrowp-out.csv")  # noqa: S108 - a reader must not be able to make it
BI = User("bi", True, READER_LIMITS)


@pytest.fixture(scope="module")
def handles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handles]:
    OUTFILE.unlink(missing_ok=True)
    opened = Handles(tmp_path_factory.mktemp("engine"), "marts")
    with opened.writer("marts", {}) as writer:
        run(writer, "CREATE TABLE t (app_id String, n Int64) ENGINE = MergeTree ORDER BY app_id")
        run(writer, "INSERT INTO t VALUES ('a', 1), ('b', 2)")
        run(writer, "CREATE DATABASE private")
        run(writer, "CREATE TABLE private.t (secret String) ENGINE = MergeTree ORDER BY secret")
        run(writer, "CREATE TABLE t__new (app_id String) ENGINE = MergeTree ORDER BY app_id")
    yield opened
    opened.close()


def ask(handles: Handles, sql: str, database: str | None = None, **parameters: str) -> str:
    request = QueryRequest(sql, database, parameters=parameters)
    return execute(handles, BI, request, "marts").body.decode()


@pytest.mark.parametrize(
    ("sql", "answer"),
    [
        ("select sum(n) from t", "3\n"),
        ("select sum(n) from marts.t;", "3\n"),
        ("-- a comment; with a semicolon\nselect ';' || app_id from t where n = 1 /* ; */", ";a\n"),
        ("with x as (select n from t) select max(n) from x", "2\n"),
        ("select count() from (select 1 union all select 2)", "2\n"),
        ("select sum(number) from numbers(4)", "6\n"),
        ("select a.n from t a join t b using (app_id) where b.n in (select 2)", "2\n"),
        ("select row_number() over (order by n) from t order by 1 desc limit 1", "2\n"),
        ("select 'file(/etc/passwd)' as file", "file(/etc/passwd)\n"),
        ("select count() from t where t.n in (1, 2) and n not in t.n + 5", "2\n"),
        ("select `n` as `a b` from t where n = {n:UInt8}", "2\n"),
        ("exists table t", "1\n"),
        ("select count() from system.tables where database = 'marts' and name = 't'", "1\n"),
        ("select count() > 0 from information_schema.columns where table_name = 't'", "1\n"),
        ("(select 1) intersect (select 1)", "1\n"),
        ("select n from t order by n limit 1 format JSONEachRow", '{"n":1}\n'),
    ],
)
def test_a_reader_gets(handles: Handles, sql: str, answer: str) -> None:
    assert ask(handles, sql, n="2") == answer


@pytest.mark.parametrize(
    "sql",
    [
        "show tables",
        "describe t",
        "show create table t",
        "explain select * from t",
        "desc (select 1)",
        "show columns from t",
    ],
)
def test_a_reader_may_look_at_the_schema(handles: Handles, sql: str) -> None:
    assert ask(handles, sql)


@pytest.mark.parametrize(
    "sql",
    [
        # writes and everything that is no reading
        "insert into t values ('c', 3)",
        "insert into function file('/tmp/x.csv') select 1",
        "create table u (a Int8) engine = Memory",
        "create temporary table u (a Int8)",
        "drop table t",
        "alter table t delete where 1",
        "truncate table t",
        "rename table t to u",
        "exchange tables t and t__new",
        "optimize table t",
        "set max_threads = 1",
        "use system",
        "system shutdown",
        "kill query where 1",
        "backup database marts to File('/tmp/b')",
        "grant select on *.* to default",
        "execute as x select 1",
        "explain insert into t values ('c', 3)",
        "check table t",
        # several statements
        "select 1; select 2",
        "select 1; drop table t",
        "explain ast select 1; drop table t",
        "select 1 /* ; */ ; insert into t values ('c', 3)",
        "select $$ ; $$; drop table t",
        # files and programs, by every road
        "select file('/etc/passwd')",
        "select `file`('/etc/passwd')",
        "select \"file\"('/etc/passwd')",
        "select FILE/**/('/etc/passwd')",
        "select * apply(file) from (select '/etc/passwd' as p)",
        "select * apply(x -> file(x)) from (select '/etc/passwd' as p)",
        "select * replace (file(app_id) as app_id) from t",
        "select arrayMap(x -> file(x), ['/etc/passwd'])",
        "select file('/etc/passwd') as `a (alias b` from t",
        "select 1 as `x\ny`, file('/etc/passwd')",
        "explain select file('/etc/passwd')",
        "describe table file('/etc/passwd', 'LineAsString')",
        "select * from file('/etc/passwd', 'LineAsString')",
        "select 1 where 'root' in file('/etc/passwd', 'LineAsString')",
        "select 1 into outfile '/tmp/unmogrowp-out.csv'",
        "select 1 INTO/**/OUTFILE '/tmp/unmogrowp-out.csv' truncate",
        "show tables into outfile '/tmp/unmogrowp-out.csv'",
        "select * from url('http://127.0.0.1/x', 'CSV', 'a String')",
        "select 1 in (select * from s3('http://127.0.0.1/x', 'CSV'))",
        "select * from remote('127.0.0.1', system.one)",
        "select * from executable('x.sh', 'TSV', 'a String')",
        "select * from deltaLakeLocal('/tmp')",
        "select * from sqlite('/tmp/x.db', 't')",
        "select * from python(x)",
        "select * from merge('marts', '.*')",
        "select * from mergeTreeIndex('marts', 't')",
        "select * from loop(private.t) limit 1",
        "select filesystemAvailable()",
        "select hostName()",
        "select sleep(1)",
        # other tables
        "select * from private.t",
        "select 1 where 'x' in private.t",
        "select * from system.query_log",
        "select * from system.users",
        "select count() from view(select * from system.processes)",
        "select 1 in system.processes",
        "select 1 global not in private.t",
        "select dictGet('private.d', 'a', 1)",
        "select * from {t:Identifier}",
        "select * from {d:Identifier}.t",
        "select * from t__new",
        # limits
        "select 1 settings max_execution_time = 1000",
        "select 1 settings readonly = 0",
    ],
)
def test_a_reader_is_refused(handles: Handles, sql: str) -> None:
    with pytest.raises(QueryError) as caught:
        ask(handles, sql, t="system.users", d="private")
    assert caught.value.code in (62, 164, 497), caught.value
    assert not OUTFILE.exists()
    assert ask(handles, "select count() from t") == "2\n"


def test_a_name_given_as_a_parameter_is_looked_at_every_time(handles: Handles) -> None:
    assert ask(handles, "select count() from {t:Identifier}", t="t") == "2\n"
    with pytest.raises(QueryError):
        ask(handles, "select count() from {t:Identifier}", t="system.processes")


@pytest.mark.parametrize("database", ["system", "private", "nope"])
def test_a_reader_cannot_enter_another_database(handles: Handles, database: str) -> None:
    with pytest.raises(QueryError, match="Not allowed to read database"):
        ask(handles, "select 1", database)


@pytest.mark.parametrize(
    "name", ["dialect", "allow_ddl", "output_format_schema", "log_comment", "allow_introspection_functions", "x y"]
)
def test_a_reader_cannot_change_what_a_text_means_or_may(handles: Handles, name: str) -> None:
    with pytest.raises(QueryError, match=f"Cannot modify '{name}' setting"):
        execute(handles, BI, QueryRequest("select 1", settings={name: "1"}), "marts")


def test_a_reader_may_lower_limits_but_not_lift_them(handles: Handles) -> None:
    sql = "select getSetting('max_execution_time'), getSetting('max_threads'), getSetting('readonly')"

    def settings(**asked: str) -> str:
        return execute(handles, BI, QueryRequest(sql, settings=asked), "marts").body.decode()

    assert settings() == "30\t2\t1\n"
    assert settings(max_execution_time="5", max_threads="1") == "5\t1\t1\n"
    assert settings(max_execution_time="0", max_threads="64", readonly="0") == "30\t2\t1\n"


@pytest.mark.parametrize(
    ("sql", "asked", "code"),
    [
        ("select sum(sipHash64(number)) from numbers(100000000000)", {"max_execution_time": "1"}, 159),
        ("select uniqExact(number) from numbers(100000000)", {"max_memory_usage": "50000000"}, 241),
        ("select number from numbers(1000001)", {}, 396),
    ],
)
def test_a_reader_cannot_take_the_engine_down(handles: Handles, sql: str, asked: dict[str, str], code: int) -> None:
    with pytest.raises(QueryError) as caught:
        execute(handles, BI, QueryRequest(sql, settings=asked), "marts")
    assert caught.value.code == code


def test_the_parsers_message_is_about_the_readers_text(handles: Handles) -> None:
    with pytest.raises(QueryError) as caught:
        ask(handles, "select 1 +")
    assert caught.value.code == 62
    assert "formatQuery" not in str(caught.value)
