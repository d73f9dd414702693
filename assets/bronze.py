"""Bronze as Dagster sees it: tables that ingestion alone writes; a run pins their versions and makes its plan."""

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from typing import Any, Final

import dagster as dg

from assets.lineage import OWNERS, table_metadata
from assets.resources import HomeResource
from lakehouse.contract import RECORD_TABLES, bronze_schemas
from lakehouse.plan import Plan

_DOCS: Final = {table.key: table.doc for table in RECORD_TABLES} | {
    "bronze/bronze_rejects": "Records that were refused, with the reason",
    "bronze/bronze_receipts": "Counts taken at the door by request: received, accepted, rejected",
    "bronze/bronze_fx_rates": "Exchange rates as they were imported, every version of a day",
    "bronze/bronze_network": "Raw addresses and user agents, kept for a set number of days",
}
_SPANS: Final = 6


class PinConfig(dg.Config):
    """How a run starts."""

    full_refresh: bool = False


@dg.multi_asset(
    name="bronze",
    specs=[
        dg.AssetSpec(
            table.partition("/")[2], group_name="bronze", description=_DOCS[table], owners=OWNERS, kinds={"deltalake"}
        )
        for table in bronze_schemas()
    ],
)
def bronze(
    context: dg.AssetExecutionContext, config: PinConfig, home: HomeResource
) -> Iterator[dg.MaterializeResult[None]]:
    """Pin the newest version of every table and plan the dates to build."""
    pin = home.pin(context.run_id, full_refresh=config.full_refresh)
    context.log.info(f"{pin.plan.mode} run: {pin.plan.reason}; dates to build: {pin.plan.sizes or 'all'}")
    lake = home.lake()
    for table in bronze_schemas():
        metadata = table_metadata(lake, table, pin.snapshot.get(table))
        yield dg.MaterializeResult(
            asset_key=table.partition("/")[2],
            metadata=metadata
            | {"mode": pin.plan.mode, "reason": pin.plan.reason, "dates_to_build": dates_to_build(pin.plan)},
        )


def dates_to_build(plan: Plan) -> dg.MetadataValue[Any]:
    """The plan for people: what each set of models builds anew, as spans of dates."""
    if plan.mode == "full":
        return dg.MetadataValue.text("all")
    if plan.is_empty:
        return dg.MetadataValue.text("none")
    return dg.MetadataValue.table(
        [
            dg.TableRecord({"set": name, "dates": len(dates), "which": _spans(dates)})
            for name, dates in sorted(plan.dates.items())
            if dates
        ]
    )


def _spans(dates: Iterable[date]) -> str:
    """Dates in a row as one span; the latest ones, if there are many spans."""
    spans: list[tuple[date, date]] = []
    for day in sorted(dates):
        if spans and day - spans[-1][1] == timedelta(days=1):
            spans[-1] = (spans[-1][0], day)
        else:
            spans.append((day, day))
    texts = [str(first) if first == last else f"{first} to {last}" for first, last in spans]
    earlier = len(texts) - _SPANS
    return ", ".join(([f"{earlier} more"] if earlier > 0 else []) + texts[-_SPANS:])
