"""What starts a run when data arrives."""

import json
from typing import Final

import dagster as dg

from assets.resources import HomeResource
from lakehouse.contract import RECORD_TABLES
from orchestration.jobs import TRANSFORM


@dg.sensor(job=TRANSFORM, minimum_interval_seconds=60)
def new_bronze_versions(context: dg.SensorEvaluationContext, home: HomeResource) -> dg.SensorResult | dg.SkipReason:
    """Run the transforms when a bronze table has a newer version than at the last request."""
    lake = home.lake()
    versions = {table.key: lake.version(table.key) for table in RECORD_TABLES if lake.exists(table.key)}
    if not versions:
        return dg.SkipReason("bronze is empty")
    cursor = json.dumps(versions, sort_keys=True)
    if cursor == context.cursor:
        return dg.SkipReason("no new bronze version")
    return dg.SensorResult(run_requests=[dg.RunRequest(run_key=cursor)], cursor=cursor)


SENSORS: Final = [new_bronze_versions]
