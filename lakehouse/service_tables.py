"""Bronze tables that ingestion writes beside the records: what was refused, what was counted, raw network data, rates.

Records themselves, and how a table gets its columns from the contract, are in `lakehouse.contract`.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

_TS = pa.timestamp("us", tz="UTC")

SERVICE_SCHEMAS: Final[dict[str, pa.Schema]] = {
    "bronze_rejects": pa.schema(
        [
            pa.field("app_id", pa.string(), metadata={"comment": "App, as far as it could be read"}),
            pa.field("received_at", _TS),
            pa.field("ingest_date", pa.date32()),
            pa.field("request_id", pa.string()),
            pa.field("route", pa.string()),
            pa.field(
                "position",
                pa.int64(),
                metadata={"comment": "0-based place of the record in its request or file"},
            ),
            pa.field("record_id", pa.string(), metadata={"comment": "Id of the record, as far as it could be read"}),
            pa.field("reason_code", pa.string()),
            pa.field("field", pa.string()),
            pa.field("message", pa.string()),
            pa.field("raw", pa.binary(), metadata={"comment": "The record as received, at most 64 KiB"}),
            pa.field("raw_length", pa.int64()),
            pa.field("raw_sha256", pa.string()),
        ]
    ),
    "bronze_receipts": pa.schema(
        [
            pa.field("app_id", pa.string()),
            pa.field("ingest_date", pa.date32()),
            pa.field("route", pa.string()),
            pa.field("writer", pa.string(), metadata={"comment": "Spool that took the requests"}),
            pa.field("batch", pa.int64(), metadata={"comment": "Number of the landed batch"}),
            pa.field("requests", pa.int64()),
            pa.field(
                "received",
                pa.int64(),
                metadata={"comment": "Records counted at the door; accepted + rejected"},
            ),
            pa.field("accepted", pa.int64()),
            pa.field("rejected", pa.int64()),
            pa.field("bytes", pa.int64(), metadata={"comment": "Body bytes after decompression"}),
        ]
    ),
    "bronze_network": pa.schema(
        [
            pa.field("app_id", pa.string()),
            pa.field("record_id", pa.string()),
            pa.field("received_at", _TS),
            pa.field("ingest_date", pa.date32()),
            pa.field("ip", pa.string()),
            pa.field("user_agent", pa.string()),
        ]
    ),
    "bronze_fx_rates": pa.schema(
        [
            pa.field("received_at", _TS),
            pa.field("ingest_date", pa.date32()),
            pa.field("request_id", pa.string(), metadata={"comment": "Import that brought the rate"}),
            pa.field("currency", pa.string(), metadata={"comment": "ISO 4217 code"}),
            pa.field("rate_date", pa.date32(), metadata={"comment": "First UTC date the rate holds for"}),
            pa.field(
                "usd_per_unit",
                pa.decimal128(13, 9),
                metadata={"comment": "USD for one unit of the currency"},
            ),
            pa.field("provider", pa.string(), metadata={"comment": "Who says so"}),
            pa.field(
                "version",
                pa.int64(),
                metadata={"comment": "Number of the statement; of several for a day the highest wins"},
            ),
        ]
    ),
}
