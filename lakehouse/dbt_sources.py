"""dbt's view of what it does not make itself: the sources file, written from the record contract.

`python -m lakehouse.dbt_sources` rewrites `dbt_project/models/_sources.yml`; a test fails while the two differ. Models
are documented by hand, in the yml beside them.
"""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa
import yaml

from lakehouse.contract import RECORD_TABLES, bronze_schemas
from lakehouse.predictions import PREDICTION_SCHEMAS
from lakehouse.settings import load_settings

FILE: Final = "models/_sources.yml"
_HEAD: Final = "# Written by `python -m lakehouse.dbt_sources` from the record contract; do not edit.\n"
_DOCS: Final = {
    "bronze_rejects": "Records that were refused, with the reason",
    "bronze_receipts": "What each landed batch counted at the door",
    "bronze_network": "Raw addresses and user agents, dropped after some days",
    "bronze_fx_rates": "Exchange rates as they were imported, every version kept",
    "predictions_ltv": "Predicted revenue of each install",
    "predictions_churn": "Predicted churn of each install",
    "channel_effects": "Credit of channels by Markov and Shapley models",
    "predictions_metric_alerts": "Days of business metrics that are unlike the weeks before",
    "predictions_fraud_sites": "Statistical tests of the traffic of sites",
    "measure_changes": "Values of campaign_daily as they changed from run to run",
}
_GRAINS: Final = {
    "bronze_rejects": "rejected record",
    "bronze_receipts": "app, day of receipt, route, writer and batch",
    "bronze_network": "received copy of a record",
    "bronze_fx_rates": "currency, rate_date, provider and version",
    "predictions_ltv": "app, install, as_of, horizon and model version",
    "predictions_churn": "app, install, as_of, horizon and model version",
    "channel_effects": "app, month, level, model, partner and campaign",
    "predictions_metric_alerts": "app, date, level, platform, partner, campaign and metric",
    "predictions_fraud_sites": "app, month, partner, site and test",
    "measure_changes": "recording, app, date, platform, partner, campaign and measure",
}
_APPS: Final[list[tuple[str, str]]] = [
    ("app_id", "App the rest of the row is about"),
    ("platform", "Platform of the app, for records that do not say"),
    ("time_zone", "IANA time zone the publisher reports in"),
    ("currency", "ISO 4217 currency the publisher reports in"),
    ("implied_installs", "The app sends no installs: the first record of an install id is its install"),
]


def sources_yaml() -> str:
    """Text of the sources file."""
    docs = _DOCS | {table.name: table.doc for table in RECORD_TABLES}
    bronze = [_table(key, schema, docs) for key, schema in bronze_schemas().items()]
    ml = [_table(key, schema, docs) for key, schema in PREDICTION_SCHEMAS.items()]
    apps = {
        "name": "apps",
        "description": "Apps of this home, from apps.toml; one row per app.",
        "columns": [{"name": name, "description": f"{doc}."} for name, doc in _APPS],
    }
    sources = [
        _source("bronze", "Records as they were received. Append-only, written by ingestion alone.", bronze),
        _source("ml", "Scores that models have written, and values as they were recorded.", ml),
        _source("config", "What the home's files say, made by the plugin on connecting.", [apps]),
    ]
    text = yaml.safe_dump({"version": 2, "sources": sources}, sort_keys=False, allow_unicode=True, width=110)
    return _HEAD + str(text)


def _source(name: str, doc: str, tables: list[dict[str, Any]]) -> dict[str, Any]:
    return {"name": name, "schema": name, "description": doc, "tables": tables}


def _table(key: str, schema: pa.Schema, docs: dict[str, str]) -> dict[str, Any]:
    name = key.partition("/")[2]
    return {
        "name": name,
        "description": f"{docs[name]}; one row per {_GRAINS.get(name, 'received copy of a record')}.",
        "config": {"meta": {"dagster": {"asset_key": [name]}}},
        "columns": [{"name": f.name, "description": _doc(f)} for f in schema],
    }


def _doc(column: pa.Field) -> str:
    comment = (column.metadata or {}).get(b"comment", b"").decode()
    words = comment or column.name.replace("_", " ").capitalize()
    unit = "; millionths of one unit of `currency`" if column.name.endswith("_micros") else ""
    return f"{words}{unit}."


if __name__ == "__main__":
    (load_settings().dbt_project / FILE).write_text(sources_yaml(), encoding="utf-8")
