"""Which Delta tables we can read and write: features that files alone cannot honour, columns that may not change."""

from __future__ import annotations

import pyarrow as pa
from deltalake import DeltaTable


class UnsupportedTableError(Exception):
    """The table uses a Delta feature under which reading its files directly would give wrong rows."""


class SchemaChangeError(Exception):
    """A partial replace met another schema than the table has; a full refresh is needed."""


def refuse_unsupported(table: str, handle: DeltaTable) -> None:
    """UnsupportedTableError unless the files of the table are its rows."""
    features = set(handle.protocol().reader_features or [])
    mode = handle.metadata().configuration.get("delta.columnMapping.mode", "none")
    refused = sorted(features & {"deletionVectors", "columnMapping"}) or (["columnMapping"] if mode != "none" else [])
    if refused:
        raise UnsupportedTableError(
            f"table {table} uses {' and '.join(refused)}: its files alone would give wrong rows. "
            "Rewrite it without (in Spark: REORG TABLE ... APPLY (PURGE), then drop the feature)."
        )


def require_same_schema(table: str, old: pa.Schema, new: pa.Schema) -> None:
    """SchemaChangeError unless rows of `new` fit into a table of `old`."""
    before = {field.name: _delta_type(field.type) for field in old}
    after = {field.name: _delta_type(field.type) for field in new}
    if before != after:
        changed = ", ".join(f"{name} {kind}" for name, kind in sorted(set(before.items()) ^ set(after.items())))
        raise SchemaChangeError(
            f"table {table} would change its columns ({changed}) in a partial run; "
            "build it with a full refresh (`unmogrowp run --full-refresh`)."
        )


def _delta_type(arrow_type: pa.DataType) -> str:
    """Arrow types that Delta stores alike count as the same."""
    kind = str(arrow_type)
    for view, plain in (("string_view", "string"), ("large_string", "string"), ("binary_view", "binary")):
        kind = kind.replace(view, plain)
    if kind.startswith("timestamp["):
        return "timestamp[utc]" if "tz=" in kind else "timestamp[naive]"
    return {"large_binary": "binary", "uint64": "int64", "uint32": "int32"}.get(kind, kind)
