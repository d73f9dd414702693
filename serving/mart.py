"""A mart as ClickHouse will hold it: typed columns, sort order, comments, and its statements.

Everything follows from the Delta schema and the dbt document, never from the data, so that the same mart gets the same
table every day. Nothing is executed here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import pyarrow as pa

from serving.errors import ServingError
from serving.manifest import MartDocument
from serving.sql import literal, quoted

Kind = Literal["text", "integer", "decimal", "float", "boolean", "date", "instant", "list"]

# The scope key and the first date order every mart, so they are never null in gold; a null there stops the publish.
SCOPE_KEY: Final = "app_id"
_DATE_KEYS: Final = ("date", "install_date", "ingest_date", "event_date", "as_of")
_MAX_ORDER_BY: Final = 5
# Ids of few things. Other ids name single users, touches or runs: dictionary encoding costs more than it saves there.
_FEW_IDS: Final = frozenset(
    {"app_id", "campaign_id", "adset_id", "creative_id", "site_id", "product_id", "ruleset_id", "store_id"}
)
_FREE_TEXT: Final = frozenset({"top_reasons", "properties", "description"})
_INTEGERS: Final = {pa.int8(): "Int8", pa.int16(): "Int16", pa.int32(): "Int32", pa.int64(): "Int64"}
_TEXTS: Final = (pa.string(), pa.large_string(), pa.string_view())


@dataclass(frozen=True, slots=True)
class Column:
    """`base` is the ClickHouse type without Nullable and LowCardinality."""

    name: str
    kind: Kind
    base: str
    is_nullable: bool
    is_dimension: bool = False
    comment: str = ""

    @property
    def type(self) -> str:
        kind = f"Nullable({self.base})" if self.is_nullable else self.base
        return f"LowCardinality({kind})" if self.is_dimension else kind

    @property
    def declaration(self) -> str:
        # Large parts would silently get ZSTD(3), which doubles the CPU of a scan.
        codec = " CODEC(LZ4)" if self.kind not in ("text", "list") else ""
        return f"{quoted(self.name)} {self.type}{_comment(self.comment)}{codec}"


@dataclass(frozen=True, slots=True)
class Mart:
    """A gold table and its ClickHouse shape; `name` is the same in both."""

    name: str
    columns: tuple[Column, ...]
    order_by: tuple[str, ...]
    comment: str = ""

    @property
    def source(self) -> str:
        """Name of the Delta table in the lake."""
        return f"gold/{self.name}"

    def create_sql(self, database: str, table: str) -> str:
        columns = ",\n    ".join(column.declaration for column in self.columns)
        order = ", ".join(quoted(name) for name in self.order_by)
        return (
            f"CREATE TABLE {quoted(database)}.{quoted(table)} (\n    {columns}\n)\n"
            f"ENGINE = MergeTree ORDER BY ({order}){_comment(self.comment)}"
        )

    def insert_from_delta_sql(self, database: str, table: str, folder: str, version: int) -> str:
        """Statement with which an engine that sees `folder` copies one Delta version into a table."""
        names = ", ".join(quoted(column.name) for column in self.columns)
        return (
            f"INSERT INTO {quoted(database)}.{quoted(table)} ({names}) SELECT {names} "
            f"FROM deltaLakeLocal({literal(folder)}) SETTINGS delta_lake_snapshot_version = {int(version)}"
        )

    def select_gold_sql(self) -> str:
        """The same columns from gold, in DuckDB."""
        return f'SELECT {", ".join(quoted(c.name, chr(34)) for c in self.columns)} FROM gold."{self.name}"'

    def definition(self, table_id: str) -> str:
        """Fingerprint of the table's shape and of the Delta table it comes from."""
        return hashlib.sha256(f"{table_id}\n{self.create_sql('', self.name)}".encode()).hexdigest()[:32]


def describe(name: str, schema: pa.Schema, document: MartDocument | None) -> Mart:
    """The ClickHouse shape of gold table `name`. ServingError for a type or an order no mart can have."""
    document = document or MartDocument()
    names = list(schema.names)
    if missing := [column for column in document.order_by if column not in names]:
        raise ServingError(f"Mart {name} cannot be ordered by {', '.join(missing)}: gold has no such column.")
    keys = document.order_by or tuple(column for column in (SCOPE_KEY, _date_key(schema)) if column in names)
    required = document.not_null | set(keys)
    columns = tuple(_column(name, f, f.name not in required, document) for f in schema)
    order = document.order_by or _order(columns, keys)
    return Mart(name, columns, order, document.description)


def _column(mart: str, field: pa.Field, is_nullable: bool, document: MartDocument) -> Column:
    kind, base = _clickhouse_type(mart, field.name, field.type)
    is_dimension = kind == "text" and (
        field.name in document.dimensions if document.dimensions is not None else _looks_like_dimension(field.name)
    )
    return Column(
        field.name, kind, base, is_nullable and kind != "list", is_dimension, document.columns.get(field.name, "")
    )


def _clickhouse_type(mart: str, column: str, kind: pa.DataType) -> tuple[Kind, str]:
    if kind in _TEXTS:
        return "text", "String"
    if kind in _INTEGERS:
        return "integer", _INTEGERS[kind]
    if pa.types.is_decimal(kind):
        return "decimal", f"Decimal({kind.precision}, {kind.scale})"
    if pa.types.is_floating(kind):
        return "float", "Float32" if kind == pa.float32() else "Float64"
    if pa.types.is_boolean(kind):
        return "boolean", "Bool"
    if pa.types.is_date(kind):
        return "date", "Date"
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return "instant", "DateTime64(6, 'UTC')"
    if pa.types.is_list(kind) and kind.value_type in _TEXTS:
        return "list", "Array(String)"
    raise ServingError(f"Mart {mart} cannot be published: column {column} has type {kind}, which no mart may have.")


def _looks_like_dimension(name: str) -> bool:
    return name in _FEW_IDS or not (name.endswith("_id") or name in _FREE_TEXT)


def _date_key(schema: pa.Schema) -> str:
    for name in _DATE_KEYS:
        if name in schema.names:
            return name
    return next((field.name for field in schema if pa.types.is_date(field.type)), "")


def _order(columns: Sequence[Column], keys: tuple[str, ...]) -> tuple[str, ...]:
    dimensions = [c.name for c in columns if c.is_dimension and not c.is_nullable and c.name not in keys]
    return (*keys, *dimensions)[:_MAX_ORDER_BY]


def _comment(text: str) -> str:
    return f" COMMENT {literal(text)}" if text else ""
