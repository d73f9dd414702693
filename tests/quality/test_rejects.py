"""Refused records are counted by app and reason."""

from __future__ import annotations

import duckdb

from quality.rejects import reject_reasons


def test_reasons_are_counted_by_app(good_lake: duckdb.DuckDBPyConnection) -> None:
    good_lake.execute(
        "insert into bronze.bronze_rejects by name select unnest(['b', 'b', null]) as app_id, 'bad_time' as reason_code"
    )
    assert reject_reasons(good_lake) == [
        {"app_id": "b", "reason_code": "bad_time", "rejects": 2},
        {"app_id": "a", "reason_code": "bad_json", "rejects": 1},
        {"app_id": None, "reason_code": "bad_time", "rejects": 1},
    ]


def test_there_may_be_no_rejects_yet() -> None:
    assert reject_reasons(duckdb.connect()) == []
