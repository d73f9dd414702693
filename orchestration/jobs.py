"""Which assets run together, and when by the clock."""

from __future__ import annotations

from typing import Final

import dagster as dg

from assets.models import EFFECTS_GROUP

REFRESH: Final = dg.define_asset_job(
    "refresh", selection=dg.AssetSelection.all(), description="Bring everything up to date, from bronze to ClickHouse"
)

TRANSFORM: Final = dg.define_asset_job(
    "transform",
    selection=dg.AssetSelection.groups("bronze", "silver", "gold", "rules", EFFECTS_GROUP, "published"),
    description="Models and marts without training; predictions stay as they are",
)

JOBS: Final = [REFRESH, TRANSFORM]

# Stopped until an operator starts it: a laptop must not begin to work by itself.
SCHEDULES: Final = [
    dg.ScheduleDefinition(
        name="nightly_refresh",
        job=REFRESH,
        cron_schedule="30 2 * * *",
        execution_timezone="UTC",
        description="Everything, models included, once a night",
    )
]
