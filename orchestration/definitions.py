"""Top-level assembly of the code location; no assets, jobs or resources are implemented here.

Loads with an empty environment, without network and without data: settings are read when a step runs.
"""

from __future__ import annotations

from typing import Any

import dagster as dg

from assets.bronze import bronze
from assets.checks import build_checks
from assets.models import MODEL_ASSETS
from assets.project import dbt_project, dbt_resource
from assets.published import build_published
from assets.resources import HomeResource
from assets.transform import build_transform
from orchestration.jobs import JOBS, SCHEDULES
from orchestration.sensors import SENSORS


def build_definitions(**resource_overrides: Any) -> dg.Definitions:
    """A fresh Definitions; tests swap resources by name."""
    project = dbt_project()
    return dg.Definitions(
        assets=[bronze, *build_transform(project), *MODEL_ASSETS, *build_published(project)],
        asset_checks=build_checks(),
        jobs=JOBS,
        schedules=SCHEDULES,
        sensors=SENSORS,
        resources={"home": HomeResource(), "dbt": dbt_resource()} | resource_overrides,
        executor=dg.in_process_executor,
    )


@dg.definitions
def definitions() -> dg.Definitions:
    """What `dagster dev` loads."""
    return build_definitions()
