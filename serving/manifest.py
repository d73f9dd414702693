"""What dbt says about a mart: descriptions, promised columns, order and dimensions, read from `manifest.json`.

Only reading; what ClickHouse makes of it is in `serving.mart`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from serving.errors import ServingError


@dataclass(frozen=True, slots=True)
class MartDocument:
    """`not_null` holds the columns that a constraint or a plain not_null test promises; empty lists mean unsaid."""

    description: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    not_null: frozenset[str] = frozenset()
    order_by: tuple[str, ...] = ()
    dimensions: frozenset[str] | None = None


def read_manifest(path: Path | None) -> dict[str, MartDocument]:
    """Documents by mart name; empty without a path. ServingError when the file is missing or not a manifest."""
    if path is None:
        return {}
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        nodes: dict[str, dict[str, Any]] = manifest["nodes"]
    except (OSError, ValueError, KeyError, TypeError):
        raise ServingError(f"The dbt manifest {path} cannot be read: run `dbt parse` and try again.") from None
    tested = _tested_not_null(nodes)
    return {
        node["name"]: _document(node, tested.get(unique_id, frozenset()))
        for unique_id, node in nodes.items()
        if node.get("resource_type") == "model"
    }


def _document(node: dict[str, Any], tested: frozenset[str]) -> MartDocument:
    columns: dict[str, dict[str, Any]] = node.get("columns") or {}
    meta = {**(node.get("meta") or {}), **((node.get("config") or {}).get("meta") or {})}
    constrained = {
        name
        for name, column in columns.items()
        for constraint in column.get("constraints") or []
        if constraint.get("type") in ("not_null", "primary_key")
    }
    dimensions = meta.get("dimensions")
    return MartDocument(
        description=_one_paragraph(node.get("description")),
        columns={name: _one_paragraph(column.get("description")) for name, column in columns.items()},
        not_null=frozenset(constrained) | tested,
        order_by=tuple(meta.get("order_by") or ()),
        dimensions=None if dimensions is None else frozenset(dimensions),
    )


def _tested_not_null(nodes: dict[str, dict[str, Any]]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for node in nodes.values():
        test = node.get("test_metadata") or {}
        config = node.get("config") or {}
        is_promise = config.get("severity", "ERROR").upper() == "ERROR" and not config.get("where")
        if node.get("resource_type") == "test" and test.get("name") == "not_null" and is_promise:
            model, column = node.get("attached_node"), node.get("column_name")
            if model and column:
                found.setdefault(model, set()).add(column)
    return {model: frozenset(columns) for model, columns in found.items()}


def _one_paragraph(text: str | None) -> str:
    return " ".join((text or "").split())
