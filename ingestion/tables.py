"""From the frames of one segment to the rows of every bronze table, exactly in the contract's schemas.

Decoding is columnar: DuckDB turns canonical JSON lines into columns, Arrow kernels normalise ids and codes, and what is
constant in a request is repeated by index, so that no Python runs per row (rejects excepted). Arrays and scalars are
made from buffers, as `pyarrow.array` and `pyarrow.scalar` would import pandas.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any, Final

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.frames import Frame
from ingestion.reasons import Reject
from ingestion.values import BLANK
from lakehouse.contract import FIELDS, RECORD_TABLES, BronzeTable, Field, Kind, Origin
from lakehouse.service_tables import SERVICE_SCHEMAS

# DuckDB works on chunks of this many rows in parallel.
_CHUNK_ROWS: Final = 8_192
_EMPTY_ID: Final = BLANK + "0-"
_LOWER_CASE: Final = frozenset({"partner"})
_TIMESTAMP: Final = pa.timestamp("us", tz="UTC")
_JSON_TYPES: Final[dict[Kind, str]] = {
    Kind.INSTANT: "TIMESTAMPTZ",
    Kind.DATE: "DATE",
    Kind.MONEY: "BIGINT",
    Kind.INTEGER: "BIGINT",
    Kind.BOOLEAN: "BOOLEAN",
}
# Columns that are set here; those of origin ROUTE stand in the canonical line (`ingestion.route_fields`).
_SERVER_COLUMNS: Final[dict[str, str]] = {
    "received_at": "received_at",
    "ingest_date": "received_at::date",
    "event_at": "coalesce(j.event_at, received_at)",
    "event_date": "coalesce(j.event_at, received_at)::date",
    "is_event_at_missing": "j.event_at is null",
    "source": "source",
    "payload_hash": "left(md5(line), 16)",
    "request_id": "request_id",
    "ip_prefix": "nullif(split_part(j.ip, '|', 2), '')",
    "ip_hash": "nullif(split_part(j.ip, '|', 3), '')",
}
# Columns whose values seldom repeat within a batch.
DISTINCT: Final = tuple(
    f.column
    for f in FIELDS
    if f.name not in {"app_id", "request_id"}
    and (f.kind in {Kind.ID, Kind.DEVICE_ID} or f.name in {"payload_hash", "ip_hash", "event_at", "sent_at"})
)
_NETWORK: Final = ("network_ip", "network_user_agent")


class _Receipt(msgspec.Struct):
    requests: int = 0
    accepted: int = 0
    rejected: int = 0
    bytes: int = 0


def record_rows(connection: duckdb.DuckDBPyConnection, table: int, frames: Sequence[Frame]) -> pa.Table | None:
    """Rows of a record table (`RECORD_TABLES[table]`) with two more columns for `network_rows`; None if there are none.

    ValueError if a frame's records are not as many as its header says.
    """
    runs = [(frame, s) for frame in frames for s in frame.sections if s.table == table]
    if not runs:
        return None
    lines = _split_lines(b"".join(section.payload for _, section in runs))
    counts = [section.count for _, section in runs]
    if len(lines) != sum(counts):
        raise ValueError(f"the segment announces {sum(counts)} records and holds {len(lines)}")
    requests = [frame.request for frame, _ in runs]
    batch = pa.Table.from_arrays(
        [
            lines,
            _spread(counts, _numbers([r.received_at for r in requests], pa.int64())).cast(_TIMESTAMP),
            _spread(counts, _texts([r.request_id for r in requests])),
            _spread(counts, _texts([r.source for r in requests])),
        ],
        names=["line", "received_at", "request_id", "source"],
    )
    return _normalise(RECORD_TABLES[table], _query(connection, batch, _record_sql(RECORD_TABLES[table])))


def split_network(table: BronzeTable, rows: pa.Table) -> tuple[pa.Table, pa.Table | None]:
    """Rows as they are stored, and the network rows (address and user agent) that are kept apart from them."""
    if _NETWORK[0] not in rows.column_names:
        return rows.cast(table.schema), None
    address, agent = (rows.column(name) for name in _NETWORK)
    told = pc.or_(pc.is_valid(address), pc.is_valid(agent))
    network = rows.select(["app_id", "record_id", "received_at", "ingest_date", *_NETWORK]).filter(told)
    network = network.rename_columns(SERVICE_SCHEMAS["bronze_network"].names)
    return rows.drop_columns(list(_NETWORK)).cast(table.schema), network.cast(SERVICE_SCHEMAS["bronze_network"])


def reject_rows(connection: duckdb.DuckDBPyConnection, frames: Iterable[Frame]) -> pa.Table | None:
    """Rows of bronze_rejects; None if there are none."""
    lines = [
        {
            "app_id": frame.request.app_id,
            "received_at": frame.request.received_at,
            "request_id": frame.request.request_id,
            "route": frame.request.route,
            "position": reject.position,
            "record_id": reject.record_id,
            "reason_code": reject.code,
            "field": reject.field,
            "message": reject.message,
            "raw": _kept_raw(reject),
            "raw_length": reject.raw_length,
            "raw_sha256": reject.raw_sha256,
        }
        for frame in frames
        for reject in frame.rejects
    ]
    return _service_rows(connection, "bronze_rejects", lines) if lines else None


def receipt_rows(
    connection: duckdb.DuckDBPyConnection, frames: Iterable[Frame], *, writer: str, batch: int
) -> pa.Table:
    """Rows of bronze_receipts: one per app, day and route of the batch."""
    receipts: dict[tuple[str | None, int, str], _Receipt] = {}
    for frame in frames:
        request = frame.request
        day = request.received_at // 86_400_000_000
        receipt = receipts.setdefault((request.app_id, day, request.route), _Receipt())
        receipt.requests += 1
        receipt.accepted += frame.accepted
        receipt.rejected += len(frame.rejects)
        receipt.bytes += request.body_bytes
    lines = [
        {"app_id": app_id, "received_at": day * 86_400_000_000, "route": route, "writer": writer, "batch": batch}
        | msgspec.structs.asdict(receipt)
        | {"received": receipt.accepted + receipt.rejected}
        for (app_id, day, route), receipt in receipts.items()
    ]
    return _service_rows(connection, "bronze_receipts", lines)


def event_dates(rows: pa.Table) -> str:
    """Distinct event dates of record rows, ascending, as ISO dates with commas; "" where the table has none."""
    if "event_date" not in rows.column_names:
        return ""
    return ",".join(sorted(str(date) for date in pc.unique(rows.column("event_date")).to_pylist()))


def _record_sql(table: BronzeTable) -> str:
    types = frozenset(table.record_types)
    sent = [f for f in FIELDS if f.types & types and f.origin is not Origin.SERVER]
    structure = msgspec.json.encode({f.name: _JSON_TYPES.get(f.kind, "VARCHAR") for f in sent}).decode()
    columns = [f'{_expression(f)} as "{f.column}"' for f in table.fields]
    if "ip" in {f.name for f in sent}:
        columns += [
            f"nullif(split_part(j.ip, '|', 1), '') as {_NETWORK[0]}",
            f"nullif(j.user_agent, '') as {_NETWORK[1]}",
        ]
    parsed = f"select json_transform(line, '{structure}') as j, line, received_at, request_id, source from batch"
    return f"select {', '.join(columns)} from ({parsed})"


def _expression(field: Field) -> str:
    if field.name in _SERVER_COLUMNS:
        return _SERVER_COLUMNS[field.name]
    if field.origin is Origin.SERVER:
        return f"null::{_JSON_TYPES.get(field.kind, 'VARCHAR')}"
    return f'j."{field.name}"'


def _normalise(table: BronzeTable, rows: pa.Table) -> pa.Table:
    """Trim ids and codes, lower device ids, and make blank and zero ids null."""
    for place, field in enumerate(table.fields):
        column = rows.column(place)
        if field.origin is Origin.SERVER or column.null_count == len(column):
            continue
        if field.kind in {Kind.ID, Kind.DEVICE_ID, Kind.CODE}:
            kept = pc.ascii_trim(column, characters=BLANK)
            sense = pc.ascii_trim(kept, characters=_EMPTY_ID) if field.kind is not Kind.CODE else kept
            length = pc.binary_length(sense)
            empty = pc.equal(length, _zero(length.type))
            if pc.any(empty).as_py():
                kept = pc.if_else(empty, pa.nulls(1, kept.type)[0], kept)
            if field.kind is Kind.DEVICE_ID or field.name in _LOWER_CASE:
                kept = pc.utf8_lower(kept)
            elif field.name == "country":
                kept = pc.utf8_upper(kept)
            rows = rows.set_column(place, field.column, kept)
    return rows


def _service_rows(connection: duckdb.DuckDBPyConnection, name: str, lines: Sequence[dict[str, Any]]) -> pa.Table:
    schema = SERVICE_SCHEMAS[name]
    structure = {"received_at": "BIGINT"} | {
        f.name: "BIGINT" if f.type == pa.int64() else "VARCHAR"
        for f in schema
        if f.name not in {"received_at", "ingest_date"}
    }
    expressions = {"received_at": "make_timestamptz(j.received_at)", "raw": "from_base64(j.raw)"}
    expressions["ingest_date"] = f"{expressions['received_at']}::date"
    columns = ", ".join(f'{expressions.get(n, f"j.{n}")} as "{n}"' for n in schema.names)
    batch = pa.Table.from_arrays([_split_lines(msgspec.json.Encoder().encode_lines(lines))], names=["line"])
    text = msgspec.json.encode(structure).decode()
    sql = f"select {columns} from (select json_transform(line, '{text}') as j from batch)"
    return _query(connection, batch, sql).cast(schema)


def _kept_raw(reject: Reject) -> bytes | None:
    return reject.raw if reject.raw_sha256 is None else None


def _query(connection: duckdb.DuckDBPyConnection, batch: pa.Table, sql: str) -> pa.Table:
    chunks = batch.combine_chunks().to_batches(max_chunksize=_CHUNK_ROWS)
    connection.register("batch", pa.Table.from_batches(chunks, schema=batch.schema))
    try:
        return connection.sql(sql).to_arrow_table()
    finally:
        connection.unregister("batch")


def _split_lines(payload: bytes) -> pa.Array:
    """The lines of a text that ends with a newline, as strings."""
    offsets = pa.py_buffer(array("q", (0, len(payload))))
    whole = pa.Array.from_buffers(pa.large_binary(), 1, [None, offsets, pa.py_buffer(payload)])
    lines = pc.split_pattern(whole, pattern=b"\n").flatten()
    return lines.slice(0, len(lines) - 1).cast(pa.large_string())


def _spread(counts: Sequence[int], values: pa.Array) -> pa.Array:
    """Each value repeated as many times as its count says."""
    places = array("i")
    for place, count in enumerate(counts):
        places += array("i", (place,)) * count
    return values.take(pa.Array.from_buffers(pa.int32(), len(places), [None, pa.py_buffer(places)]))


def _numbers(values: Sequence[int], kind: pa.DataType) -> pa.Array:
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(array("q", values))])


def _zero(kind: pa.DataType) -> pa.Scalar:
    return pa.Array.from_buffers(kind, 1, [None, pa.py_buffer(bytes(kind.bit_width // 8))])[0]


def _texts(values: Sequence[str]) -> pa.Array:
    encoded = [value.encode() for value in values]
    offsets = array("q", accumulate((len(value) for value in encoded), initial=0))
    data = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.large_string(), len(values), data)
