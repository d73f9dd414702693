"""A home whose silver tables are written by hand, for tests of what a plan names."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from lakehouse.apps import load_apps
from lakehouse.contract import bronze_schemas
from lakehouse.lake import Lake
from lakehouse.plan import Plan, make_plan
from lakehouse.runs import code_version, record_run
from lakehouse.settings import Settings, load_settings

BRONZE = bronze_schemas()
DEVICE_IDS = ("gaid", "idfa", "oaid", "idfv", "app_set_id", "android_id")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def days(*offsets: int) -> list[date]:
    return sorted(NOON.date() + timedelta(days=n) for n in offsets)


def table(schema: pa.Schema, rows: list[dict[str, Any]]) -> pa.Table:
    columns = [pa.array([row.get(field.name) for row in rows], field.type) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def event(
    record_id: str, day: int, kind: str = "session", install_id: str = "i1", received: int | None = None
) -> dict[str, Any]:
    at = NOON + timedelta(days=day)
    got = NOON + timedelta(days=day if received is None else received)
    return {
        "app_id": "app", "record_id": record_id, "record_type": kind, "install_id": install_id,
        "event_at": at, "event_date": at.date(), "received_at": got, "ingest_date": got.date(),
    }  # fmt: skip


class World:
    """A home whose silver tables are written by hand, as the plan reads only a few columns of them."""

    def __init__(self, home: Path) -> None:
        self.settings: Settings = load_settings({"UNMOGROWP_HOME": str(home)})
        self.lake = Lake(self.settings.lake)
        self.batch = 0
        self.filters: list[dict[str, Any]] = []
        self.churn_days = 30
        for name, schema in BRONZE.items():
            self.lake.create(name, schema, ["ingest_date"])

    def land(self, name: str, rows: list[dict[str, Any]]) -> None:
        self.lake.append_once(name, table(BRONZE[name], rows), writer="w", batch=self.batch)
        self.batch += 1

    def build(
        self,
        events: list[dict[str, Any]],
        consents: list[dict[str, Any]] | None = None,
        touches: list[dict[str, Any]] | None = None,
        costs: list[dict[str, Any]] | None = None,
        postbacks: list[dict[str, Any]] | None = None,
        site_days: int = 1,
    ) -> None:
        """Silver as if a run had consumed everything that landed; sites are judged over `site_days` days."""
        installs = [
            e | {"install_date": e["event_date"], "install_at": e["event_at"]}
            for e in events
            if e["record_type"] == "install"
        ]
        conversions = [
            install
            | {"device_id": install["install_id"], "conversion_date": install["install_date"]}
            | {"counted_install_date": install["install_date"], "is_counted": True}
            for install in installs
        ]
        for name, schema, rows in (
            ("silver/stg_app_events", BRONZE["bronze/bronze_app_events"], events),
            ("silver/stg_touchpoints", BRONZE["bronze/bronze_touchpoints"], touches or []),
            ("silver/stg_consents", BRONZE["bronze/bronze_consents"], consents or []),
            ("silver/stg_cost_statements", BRONZE["bronze/bronze_costs"], costs or []),
            ("silver/stg_costs", BRONZE["bronze/bronze_costs"], costs or []),
            ("silver/stg_skan_deliveries", BRONZE["bronze/bronze_skan_postbacks"], postbacks or []),
            ("silver/stg_skan_postbacks", BRONZE["bronze/bronze_skan_postbacks"], postbacks or []),
        ):
            self.lake.overwrite(name, table(schema, rows))
        instant = BRONZE["bronze/bronze_app_events"].field("event_at").type
        install = [("app_id", pa.string()), ("install_id", pa.string()), ("install_date", pa.date32())]
        ids = [(name, pa.string()) for name in ("click_id", "referrer_click_id", *DEVICE_IDS, "user_id")]
        conversion = [
            ("device_id", pa.string()),
            ("conversion_date", pa.date32()),
            ("counted_install_date", pa.date32()),
            ("is_counted", pa.bool_()),
            ("platform", pa.string()),
        ]
        opened = [("conversion_date", pa.date32()), ("conversion_at", instant)]
        order = [("original_order_id", pa.string()), ("event_date", pa.date32()), ("is_inherited", pa.bool_())]
        entry = [(name, pa.string()) for name in ("past_order_id", "entry_code", "currency", "reporting_currency")]
        entry += [("event_at", instant), *order[1:]]
        renewals = [e for e in events if e.get("original_order_id")]
        entries = [e | {"past_order_id": e["original_order_id"]} for e in renewals]
        lived = [min(e["event_at"], e["received_at"]) for e in events]
        watermarks = [
            {"app_id": "app", "watermark_at": until, "watermark_date": until.date()} for until in sorted(lived)[-1:]
        ]
        watermark = [("app_id", pa.string()), ("watermark_at", instant), ("watermark_date", pa.date32())]
        for name, columns, rows in (
            ("int_installs", [*install, ("install_at", instant), *ids], installs),
            ("int_conversions", [*install, *conversion], conversions),
            ("int_reengagement_opens", [*install[:2], *opened], []),
            ("int_revenue_events", [*install[:2], *order], renewals),
            ("int_money_events", [*install[:2], *entry], entries),
            ("int_subscriptions", [*install[:2], order[0]], []),
            ("int_watermarks", watermark, watermarks),
            ("int_fx_rates", [("currency", pa.string()), ("valid_from", pa.date32())], []),
            ("int_link_install_costs", [("install_date", pa.date32())], []),
        ):
            self.lake.overwrite(f"silver/{name}", table(pa.schema(columns), rows))
        self.lake.overwrite("gold/campaign_daily", table(pa.schema([("date", pa.date32())]), []))
        windows = table(pa.schema([("window_hours", pa.int32())]), [{"window_hours": 168}])
        self.lake.overwrite("rules/rule_attribution_windows", windows)
        churn = table(pa.schema([("churn_days", pa.int32())]), [{"churn_days": self.churn_days}])
        self.lake.overwrite("rules/rule_activity", churn)
        thresholds = pa.schema([("threshold", pa.string()), ("threshold_value", pa.float64())])
        filters = pa.schema([(name, pa.string()) for name in ("app_id", "filter_kind", "filter_value")])
        self.lake.overwrite("rules/rule_internal_traffic", table(filters, self.filters))
        bounds = [{"threshold": "site_window_days", "threshold_value": float(site_days)}]
        self.lake.overwrite("rules/rule_fraud_thresholds", table(thresholds, bounds))
        self.record()

    def record(self) -> None:
        record_run(
            self.lake,
            run_id="before",
            mode="full",
            reason="first run",
            code_version=code_version(self.settings.dbt_project, load_apps(self.settings)),
            snapshot=self.lake.pin(),
            plan={},
            finished_at=NOON,
        )

    def plan(self) -> Plan:
        return make_plan(self.settings, self.lake, self.lake.pin())
