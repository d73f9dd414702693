"""Incidents of the simulated market through files, dbt and marts: what `make bench SECTION=alerts` leaves out."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from bench.pipeline import land_world
from lakehouse.engine import connect
from models_ml.anomalies.robust import MIN_DAYS
from models_ml.anomalies.watch import find_alerts
from simulator.incidents import Incident
from simulator.world import World, WorldConfig
from tests.end_to_end.home import Home

BEGIN, LAST = 50, 53  # days of the world: the incidents', and the last one that is sent
# What each is to be seen by.
PLANTED = {
    "dearer:ao-alike:50": {"cost", "ecpi"},
    "stopped:is-generic:50": {"cost", "installs"},
    "lost:as-search:50": {"cvr"},
}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_incidents_are_found_in_the_marts_and_quiet_campaigns_are_left_alone(tmp_path: Path) -> None:
    home = Home(tmp_path)
    incidents = tuple(Incident.parse(text) for text in PLANTED)
    config = WorldConfig(events=1_500_000, days=60, incidents=incidents)
    land_world(home.settings, World(config), range(LAST + 1))
    home.full_build()
    with connect(home.settings, lake=home.lake, layers=("silver", "gold")) as connection:
        alerts = find_alerts(connection)
        [(series,)] = connection.execute(
            "select count(distinct (app_id, campaign_id)) from gold.campaign_daily"
        ).fetchall()
    begin = config.start + timedelta(days=BEGIN)
    for incident, (text, metrics) in zip(incidents, PLANTED.items(), strict=True):
        of_campaign = [row for row in alerts if row["campaign_id"] == incident.campaign_id]
        assert all(row["date"] >= begin for row in of_campaign), text
        soon = {row["metric"] for row in of_campaign if row["date"] < begin + timedelta(days=3)}
        assert soon & metrics, text
    hit = {incident.campaign_id for incident in incidents}
    quiet = [
        row for row in alerts if row["date"] < begin or (row["level"] == "campaign" and row["campaign_id"] not in hit)
    ]
    assert series > 15
    assert len(quiet) < 0.01 * series * (BEGIN - MIN_DAYS)
