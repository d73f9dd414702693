"""Section `fraud`: what the shipped fraud rules find of the fraud that the simulator planted, and what they cost.

Thirty days of the simulated world, a million records, decided by the rules as they come. Per kind of fraud: recall is
the share of its installs of which the fraud gets no credit (of repeated clicks: of which a repeat was rejected). Per
rule: precision is the share of the rejected touches that fraud had sent. Beside them the share of honest paid installs
that lost their true touch to a rule, and the seconds of the models that there are for fraud alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from bench.pipeline import land_world, make_home
from bench.rows import Row, row
from lakehouse.engine import connect
from lakehouse.lake import Lake
from lakehouse.settings import Settings
from simulator.world import World, WorldConfig

EVENTS: Final = 1_000_000
DAYS: Final = 30
MODELS: Final = (
    "int_touch_flags", "int_conversion_flags", "int_site_flags", "int_candidate_flags", "fraud_signals", "fraud_daily",
    "fraud_dry_run",
)  # fmt: skip
_DBT: Final = str(Path(sys.executable).with_name("dbt"))

_JUDGED: Final = """
    create temp table judged as
    select t.*, i.conversion_id, a.touch_id, a.campaign_id, t.fraud_kind <> 'none' as is_fraud
    from truth t
    join silver.int_installs i using (app_id, install_id)
    join gold.attributed_installs a using (app_id, install_id)
"""
_RECALL: Final = """
    select fraud_kind, count(*) as installs, count(*) filter (
        case when fraud_kind = 'duplicate_clicks'
            then (app_id, conversion_id) in (
                select app_id, conversion_id from gold.attribution_candidates where fraud_rule_id = 'duplicate_click')
            else campaign_id is distinct from fraud_campaign_id end
    ) / count(*) as recall
    from judged where is_fraud group by all order by all
"""
_PRECISION: Final = """
    select fraud_rule_id, count(*) as touches,
        count(*) filter (is_fraud and c.campaign_id = j.fraud_campaign_id) / count(*) as share
    from gold.attribution_candidates c join judged j using (app_id, conversion_id)
    where c.fraud_rule_id is not null group by all order by all
"""
_HONEST: Final = """
    select count(*), count(*) filter ((app_id, true_touch_id) in (
        select app_id, touch_id from gold.attribution_candidates where fraud_rule_id is not null)) / count(*)
    from judged where not is_fraud and true_source = 'paid'
"""


def run() -> list[Row]:
    """Rows of the table; each value of a share has the number it is a share of in its unit."""
    with tempfile.TemporaryDirectory() as folder:
        settings = make_home(Path(folder))
        world = World(WorldConfig(events=EVENTS, days=DAYS))
        land_world(settings, world, range(DAYS))
        truth = world.truth().write(Path(folder) / "truth")["installs"]
        seconds = _build(settings)
        return [*measure(settings, truth), row("models_of_fraud_seconds", seconds, "s")]


def measure(settings: Settings, truth: Path) -> list[Row]:
    """Recall by kind, precision by rule and harm to honest installs in a lake that is built."""
    connection = connect(settings, lake=Lake(settings.lake), layers=("silver", "gold"))
    try:
        connection.execute(f"create view truth as select * from '{truth}'")
        connection.execute(_JUDGED)
        rows = [
            row(f"recall {kind}", share, f"of {n:,} installs")
            for kind, n, share in connection.execute(_RECALL).fetchall()
        ]
        rows += [
            row(f"precision {rule}", share, f"of {n:,} touches")
            for rule, n, share in connection.execute(_PRECISION).fetchall()
        ]
        honest, harmed = connection.execute(_HONEST).fetchall()[0]
        return [*rows, row("honest installs harmed", harmed, f"of {honest:,} installs")]
    finally:
        connection.close()


def _build(settings: Settings) -> float:
    """Build silver and gold whole; the seconds that the models of fraud took, one after the other."""
    target = settings.home / "dbt"
    project = ["--project-dir", str(settings.dbt_project), "--profiles-dir", str(settings.dbt_project)]
    environment = dict(os.environ) | {
        "UNMOGROWP_HOME": str(settings.home), "DBT_TARGET_PATH": str(target), "DBT_LOG_PATH": str(target / "logs"),
    }  # fmt: skip
    kinds = ["--resource-type", "model", "--resource-type", "seed"]
    subprocess.run(
        [_DBT, "--quiet", "build", *kinds, "--select", "tag:core", "--threads", "1", *project],
        env=environment, check=True, cwd=settings.home,
    )  # fmt: skip
    results = json.loads((target / "run_results.json").read_text(encoding="utf-8"))["results"]
    names = {f"model.unmogrowp.{name}" for name in MODELS}
    return float(sum(result["execution_time"] for result in results if result["unique_id"] in names))
