"""The HTTP front as an unmodified clickhouse_connect client and plain HTTP see it."""

from __future__ import annotations

import gzip
import http.client
import json
import threading
from base64 import b64encode
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pyarrow as pa
import pytest
import worlds
from clickhouse_connect.driver.exceptions import DatabaseError


def request(
    address: str,
    body: bytes | str = b"",
    *,
    method: str = "POST",
    user: str | None = "bi",
    headers: dict[str, str] | None = None,
    path: str = "/",
    **query: str,
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers (lower case) and body of a plain HTTP request."""
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=30)
    sent = dict(headers or {})
    if user:
        sent["X-ClickHouse-User"] = user
        sent["X-ClickHouse-Key"] = worlds.BI_PASSWORD if user == "bi" else worlds.PUBLISHER_PASSWORD
    connection.request(method, f"{path}?{urlencode(query)}" if query else path, body, sent)
    response = connection.getresponse()
    answer = response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
    connection.close()
    return answer


@pytest.mark.parametrize("compress", [False, "lz4", "zstd", "gzip"])
def test_a_client_reads_rows_frames_and_arrow(address: str, compress: str | bool) -> None:
    bi = worlds.client(address, compress=compress)
    rows = bi.query("select app_id, date, cost_usd, last_event_at from campaign_daily where installs = 2 order by date")
    assert rows.column_names == ("app_id", "date", "cost_usd", "last_event_at")
    assert isinstance(rows.result_rows[0][2], Decimal)
    assert rows.result_rows[0][1] == date(2026, 1, 1)
    assert bi.query_df("select * from campaign_daily").shape == (3000, 12)
    assert bi.query_arrow("select * from campaign_daily").num_rows == 3000
    assert bi.query_np("select installs from campaign_daily").shape == (3000, 1)
    with bi.query_rows_stream("select installs from campaign_daily") as stream:
        assert sum(1 for _ in stream) == 3000
    bi.close()


def test_a_client_binds_parameters(address: str) -> None:
    bi = worlds.client(address)
    values = {"text": "it's \\ a\ttab\nline", "list": ["a'b", ""], "day": date(2026, 1, 2), "n": -5}
    sql = "select {text:String}, {list:Array(String)}, {day:Date}, {n:Int64}"
    assert bi.query(sql, parameters=values).result_rows == [tuple(values.values())]
    # Long values travel as a form.
    long = ["x" * 100] * 1000
    assert bi.query("select length({list:Array(String)})", parameters={"list": long}).result_rows == [(1000,)]
    assert bi.command("select count() from campaign_daily where app_id = {a:String}", parameters={"a": "app.1"}) == 1000
    bi.close()


def test_a_publisher_inserts_in_every_way(address: str) -> None:
    publisher = worlds.client(address, "publisher", database="marts")
    publisher.command(
        "create or replace table inserted (n Int64, t Nullable(String), at DateTime64(6, 'UTC')) engine = Memory"
    )
    at = datetime(2026, 1, 1, 12, tzinfo=UTC)
    publisher.insert("inserted", [[1, "a", at], [2, None, at]], column_names=["n", "t", "at"])
    table = pa.table({"n": pa.array([3]), "t": ["c"], "at": pa.array([at], pa.timestamp("us", "UTC"))})
    publisher.insert_arrow("inserted", table)
    publisher.insert_df("inserted", table.to_pandas())
    publisher.raw_insert("inserted", ["n", "t"], b'5,"e"\n6,"f"\n', fmt="CSV")
    publisher.raw_insert("inserted", ["n"], gzip.compress(b"7\n"), fmt="TSV", compression="gzip")
    publisher.command("insert into inserted (n) values", data="(8)")
    publisher.command("insert into inserted (n) select 9")
    summary = publisher.insert("inserted", [[10, "j", at]], column_names=["n", "t", "at"])
    assert summary.written_rows == 1
    rows = publisher.query("select n, t from inserted order by n").result_rows
    assert rows == [
        (1, "a"),
        (2, None),
        (3, "c"),
        (3, "c"),
        (5, "e"),
        (6, "f"),
        (7, None),
        (8, None),
        (9, None),
        (10, "j"),
    ]
    publisher.command("drop table inserted")
    publisher.close()


def test_an_insert_of_many_blocks_arrives_whole(address: str) -> None:
    publisher = worlds.client(address, "publisher")
    publisher.command("create or replace table many (n Int64) engine = MergeTree order by n")
    publisher.insert_arrow("many", pa.table({"n": pa.array(range(3_000_000))}))
    assert publisher.query("select count(), sum(n) from many").result_rows == [(3_000_000, 4_499_998_500_000)]
    publisher.command("drop table many")
    publisher.close()


def test_a_damaged_insert_is_refused(address: str) -> None:
    publisher = worlds.client(address, "publisher")
    publisher.command("create or replace table damaged (n Int64) engine = Memory")
    with pytest.raises(DatabaseError) as caught:
        publisher.raw_insert("damaged", ["n"], b"1\nx\n", fmt="CSV")
    assert caught.value.code in (27, 117)
    body = gzip.compress(b"1\n" * 1000)[:-12]
    status, headers, _ = request(
        address, body, user="publisher", headers={"Content-Encoding": "gzip"}, query="insert into damaged format TSV"
    )
    assert (status, headers["x-clickhouse-exception-code"]) == (400, "271")
    assert publisher.command("select count() from damaged") == 0
    publisher.command("drop table damaged")
    publisher.close()


def test_a_session_keeps_temporary_tables_and_settings_of_its_own(address: str) -> None:
    one, two = worlds.client(address, "publisher"), worlds.client(address, "publisher")
    one.command("create temporary table mine (n Int32)")
    one.command("insert into mine values (1)")
    assert one.command("select count() from mine") == 1
    before = one.command("select getSetting('max_block_size')")
    assert one.query("select getSetting('max_block_size')", settings={"max_block_size": 7}).result_rows == [(7,)]
    assert one.command("select getSetting('max_block_size')") == before != 7
    with pytest.raises(DatabaseError) as caught:
        two.command("select count() from mine")
    assert caught.value.code == 60
    status, headers, _ = request(address, "select 1", user="publisher", session_id="unknown", session_check="1")
    assert (status, headers["x-clickhouse-exception-code"]) == (404, "372")
    one.close()
    two.close()


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("insert into campaign_daily (app_id) values ('x')", 164),
        ("drop table campaign_daily", 164),
        ("select file('/etc/passwd')", 497),
        ("select 1; select 2", 62),
        ("select 1 into outfile '/tmp/out.csv'", 497),
        ("select nope from campaign_daily", 47),
        ("select * from nope", 60),
        ("select 1 +", 62),
    ],
)
def test_a_reader_gets_the_engines_error_codes(address: str, sql: str, code: int) -> None:
    bi = worlds.client(address)
    with pytest.raises(DatabaseError) as caught:
        bi.command(sql)
    assert caught.value.code == code
    assert bi.command("select count() from campaign_daily") == 3000
    bi.close()


def test_a_reader_cannot_insert_data(address: str) -> None:
    bi = worlds.client(address)
    with pytest.raises(DatabaseError) as caught:
        bi.insert_arrow("campaign_daily", pa.table({"app_id": ["x"]}))
    assert caught.value.code == 164
    bi.close()


@pytest.mark.parametrize(
    ("user", "password"),
    [("bi", "wrong"), ("bi", ""), ("bi", worlds.PUBLISHER_PASSWORD), ("nobody", worlds.BI_PASSWORD), ("default", "")],
)
def test_a_wrong_password_is_refused(address: str, user: str, password: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        worlds.client(address, user, password)
    assert caught.value.code == 516


def test_credentials_are_taken_from_headers_basic_and_parameters(address: str) -> None:
    basic = "Basic " + b64encode(f"bi:{worlds.BI_PASSWORD}".encode()).decode()
    assert request(address, "select 1", user=None, headers={"Authorization": basic})[2] == b"1\n"
    inline = urlencode({"user": "bi", "password": worlds.BI_PASSWORD})
    assert request(address, "select 1", user=None, path=f"/?{inline}")[2] == b"1\n"
    status, headers, body = request(address, "select 1", user=None)
    assert (status, headers["x-clickhouse-exception-code"]) == (401, "194")
    assert headers["www-authenticate"].startswith("Basic")
    assert b"Code: 194" in body
    assert request(address, "select 1", user=None, headers={"Authorization": "Basic !!"})[0] == 403


def test_plain_http_gets_headers_and_formats(address: str) -> None:
    status, headers, body = request(address, "select 1 as n format JSON", query_id="my-query")
    assert status == 200
    assert json.loads(body)["data"] == [{"n": 1}]
    assert headers["x-clickhouse-query-id"] == "my-query"
    assert headers["x-clickhouse-format"] == "JSON"
    assert headers["x-clickhouse-timezone"] == "UTC"
    assert headers["content-type"].startswith("application/json")
    assert "read_rows" in json.loads(headers["x-clickhouse-summary"])
    assert request(address, method="GET", query="select 2", default_format="CSVWithNames")[2] == b'"2"\n2\n'
    assert request(address, "select {n:UInt8} + 1", param_n="4")[2] == b"5\n"
    assert request(address, "from numbers(2)", query="select sum(number)")[2] == b"1\n"
    assert request(address, "select 1", database="default")[2] == b"1\n"
    assert (
        request(address, "select count() from campaign_daily", headers={"X-ClickHouse-Database": "marts"})[2]
        == b"3000\n"
    )
    assert request(address, "select timezone()")[2] == b"UTC\n"
    text = request(address, "select repeat('x', 5000)", headers={"Accept-Encoding": "br, gzip;q=0.5"})
    assert (text[1]["content-encoding"], gzip.decompress(text[2])) == ("gzip", b"x" * 5000 + b"\n")
    assert request(address, gzip.compress(b"select 3"), headers={"Content-Encoding": "gzip"})[2] == b"3\n"


def test_ping_and_nothing_asked(address: str) -> None:
    assert request(address, method="GET", path="/ping", user=None)[::2] == (200, b"Ok.\n")
    assert request(address, method="GET", path="/replicas_status", user=None)[0] == 200
    assert request(address, method="GET", user=None)[::2] == (200, b"Ok.\n")
    assert request(address, method="GET", path="/other", user=None)[0] == 404


@pytest.mark.parametrize(
    ("body", "headers", "query", "status", "code"),
    [
        (b"", {}, {}, 400, 62),
        (b"\xff\xfe", {}, {}, 400, 62),
        (b"select 1", {"Content-Encoding": "snappy"}, {}, 400, 36),
        (b"not gzip", {"Content-Encoding": "gzip"}, {}, 400, 271),
        (b"select 1", {}, {"compress": "1"}, 501, 48),
        (b"select 1", {}, {"max_threads": "many"}, 403, 164),
        (b"select 1", {}, {"database": "nope"}, 403, 497),
        (b"select 1", {}, {"session_timeout": "x"}, 400, 36),
        (b"select 1 -- " + b"x" * 2_000_000, {}, {}, 413, 307),
        (b"select {n:UInt8}", {}, {}, 400, 456),
    ],
)
def test_a_bad_request_is_told_why(
    address: str, body: bytes, headers: dict[str, str], query: dict[str, str], status: int, code: int
) -> None:
    got = request(address, body, headers=headers, **query)
    assert (got[0], got[1]["x-clickhouse-exception-code"]) == (status, str(code)), got[2]
    assert got[2].startswith(f"Code: {code}. DB::Exception: ".encode())


def test_a_get_does_not_write_for_a_publisher_either(address: str) -> None:
    status, headers, _ = request(
        address, method="GET", user="publisher", query="create table g (n Int8) engine = Memory"
    )
    assert (status, headers["x-clickhouse-exception-code"]) == (403, "164")


def test_more_queries_than_there_is_room_for_are_turned_away(address: str) -> None:
    slow = "select sum(sipHash64(number)) from numbers(3000000)"
    answers: list[tuple[int, dict[str, str], bytes]] = []
    lock = threading.Lock()

    def ask() -> None:
        answer = request(address, slow, max_execution_time="1")
        with lock:
            answers.append(answer)

    threads = [threading.Thread(target=ask) for _ in range(45)]
    for thread in threads:
        thread.start()
    # The publisher does not queue behind readers.
    assert request(address, "select 1", user="publisher")[2] == b"1\n"
    still_reading = len(answers) < 45
    for thread in threads:
        thread.join()
    assert still_reading
    turned_away = [headers for status, headers, _ in answers if status == 503]
    assert len(turned_away) >= 45 - 36
    assert all(headers["x-clickhouse-exception-code"] == "202" and headers["retry-after"] for headers in turned_away)
    assert {status for status, _, _ in answers} <= {200, 408, 503}
    assert request(address, "select 1")[2] == b"1\n"


def test_many_readers_at_once_get_their_own_answers(address: str) -> None:
    wrong: list[Any] = []

    def ask(number: int) -> None:
        bi = worlds.client(address)
        for _ in range(10):
            answer = bi.query("select {n:Int64}, count() from campaign_daily", parameters={"n": number}).result_rows
            if answer != [(number, 3000)]:
                wrong.append(answer)
        bi.close()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_sqlalchemy_sees_tables_columns_and_comments(running: tuple[Any, str]) -> None:
    """The road of Superset."""
    import sqlalchemy

    address = running[1].removeprefix("http://")
    engine = sqlalchemy.create_engine(f"clickhousedb://bi:{worlds.BI_PASSWORD}@{address}/marts")
    with engine.connect() as connection:
        assert connection.execute(sqlalchemy.text("select count() from campaign_daily")).scalar() == 3000
    inspector = sqlalchemy.inspect(engine)
    assert "campaign_daily" in inspector.get_table_names("marts")
    columns = {column["name"]: str(column["type"]) for column in inspector.get_columns("campaign_daily", "marts")}
    assert len(columns) == 12
    assert inspector.get_table_comment("_publications", "marts")["text"].startswith("One row per mart")
    table = sqlalchemy.Table("campaign_daily", sqlalchemy.MetaData(), autoload_with=engine, schema="marts")
    with engine.connect() as connection:
        rows = connection.execute(sqlalchemy.select(table.c.app_id).where(table.c.installs == 2).limit(1)).all()
    assert len(rows) == 1
    engine.dispose()
