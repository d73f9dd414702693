"""What every asset shows of its table: owners, rows, version, freshness, a preview."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import dagster as dg

from lakehouse.lake import Lake

OWNERS: Final = ["team:growth-data"]
_PREVIEW_ROWS: Final = 5
_PREVIEW_COLUMNS: Final = 12


def table_metadata(lake: Lake, table: str, version: int | None, *, preview: bool = False) -> dict[str, Any]:
    """Metadata of a table's version; only says that it is absent when there is none."""
    if version is None:
        return {"dagster/row_count": 0, "state": "the table does not exist yet"}
    handle = lake.open(table, version)
    metadata: dict[str, Any] = {
        "dagster/row_count": lake.row_count(table, version),
        "dagster/uri": lake.uri(table),
        "delta_version": version,
        "committed_at": dg.MetadataValue.timestamp(
            datetime.fromtimestamp(handle.history(1)[0]["timestamp"] / 1000, tz=UTC)
        ),
    }
    if preview:
        metadata["preview"] = dg.MetadataValue.md(_preview(lake, table, version))
    return metadata


def _preview(lake: Lake, table: str, version: int) -> str:
    """The first rows as a Markdown table; rows of one file, as reading more would cost more than it tells."""
    import pyarrow.parquet as pq

    files = lake.files(table, version)
    if not files or not lake.is_local:
        return "_no rows_"
    batch = next(pq.ParquetFile(files[0]).iter_batches(batch_size=_PREVIEW_ROWS), None)
    if batch is None:
        return "_no rows_"
    names = batch.schema.names[:_PREVIEW_COLUMNS]
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    lines += [f"| {' | '.join(_cell(row[name]) for name in names)} |" for row in batch.to_pylist()]
    return "\n".join(lines)


def _cell(value: object) -> str:
    return "" if value is None else str(value).replace("|", "\\|")[:60]
