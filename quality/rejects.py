"""Why records were refused, counted for the report; the records themselves stay in `bronze_rejects`."""

from __future__ import annotations

from typing import Any

import duckdb

from quality.validation import table_columns

_TABLE = "bronze.bronze_rejects"


def reject_reasons(con: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Rows (app_id, reason_code, rejects), most frequent first; app_id is None where it could not be read."""
    if not table_columns(con, _TABLE):
        return []
    rows = con.execute(
        f"select app_id, reason_code, count(*) from {_TABLE} group by all order by count(*) desc, app_id, reason_code"
    ).fetchall()
    return [{"app_id": app_id, "reason_code": reason, "rejects": count} for app_id, reason, count in rows]
