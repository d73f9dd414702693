"""What every asset shows of its table: owners, rows, version, freshness, a preview."""

from __future__ import annotations

from collections.abc import Sequence
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
    # One look: opening a table of hundreds of files costs a tenth of a second.
    found = lake.contents(table, version)
    metadata: dict[str, Any] = {
        "dagster/row_count": found.rows,
        "dagster/uri": lake.uri(table),
        "delta_version": version,
        "committed_at": dg.MetadataValue.timestamp(found.committed_at),
    }
    if preview and lake.is_local:
        metadata["preview"] = dg.MetadataValue.md(_preview(found.files))
    return metadata


def _preview(files: Sequence[str]) -> str:
    """The first rows as a Markdown table; rows of one file, as reading more would cost more than it tells."""
    import pyarrow.parquet as pq

    if not files:
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
