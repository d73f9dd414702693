"""Planted incidents change the campaign they name, from their day on, and nothing before."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner

from orchestration.commands.simulate import command
from simulator.incidents import Incident, Kind
from simulator.world import World, WorldConfig

QUIET = WorldConfig(events=200_000, days=8)
FROM = 4


def planted(*texts: str) -> WorldConfig:
    return WorldConfig(events=200_000, days=8, incidents=tuple(map(Incident.parse, texts)))


def truth(config: WorldConfig) -> tuple[list[dict[str, Any]], dict[tuple[str, int], int]]:
    """Installs, and what each campaign cost on each day."""
    told = World(config).truth()
    costs = {
        (row["campaign_id"], (row["cost_date"] - config.start).days): row["cost_micros"]
        for row in told.table("costs").to_pylist()
    }
    return told.table("installs").to_pylist(), costs


def installs_of(rows: list[dict[str, Any]], campaign_id: str) -> Counter[int]:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    return Counter(
        (row["install_at"] - start) // timedelta(days=1) for row in rows if row["true_campaign_id"] == campaign_id
    )


def test_a_campaign_is_stopped_lost_or_dearer_from_its_day_on() -> None:
    quiet_installs, quiet_costs = truth(QUIET)
    installs, costs = truth(planted(f"stopped:as-search:{FROM}:2", f"lost:ao-broad:{FROM}", f"dearer:io-alike:{FROM}"))
    for campaign in ("as-search", "ao-broad", "io-alike", "iv-reward"):
        before, after = installs_of(quiet_installs, campaign), installs_of(installs, campaign)
        assert [after[day] for day in range(FROM)] == [before[day] for day in range(FROM)]
        assert all(costs[campaign, day] == quiet_costs[campaign, day] for day in range(FROM))
    stopped, lost = installs_of(installs, "as-search"), installs_of(installs, "ao-broad")
    assert (stopped[FROM], stopped[FROM + 1]) == (0, 0)
    assert stopped[FROM + 2] > 0, "two days, as asked"
    assert (costs["as-search", FROM], costs["as-search", FROM + 2]) == (0, quiet_costs["as-search", FROM + 2])
    usual = installs_of(quiet_installs, "ao-broad")
    part = sum(lost[day] for day in range(FROM, 8)) / sum(usual[day] for day in range(FROM, 8))
    assert 0.3 < part < 0.5
    for day in range(FROM, 8):
        assert costs["ao-broad", day] == quiet_costs["ao-broad", day]
        assert costs["io-alike", day] == pytest.approx(2 * quiet_costs["io-alike", day], abs=20_000)
        assert costs["iv-reward", day] == quiet_costs["iv-reward", day]


def test_a_world_with_incidents_is_another_world() -> None:
    assert planted("stopped:as-search:4").world_id != QUIET.world_id
    assert str(Incident.parse("lost:ao-broad:4:2")) == str(Incident(Kind.LOST, "ao-broad", 4, 2))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("broken:as-search:4", "KIND:CAMPAIGN:DAY"),
        ("stopped", "KIND:CAMPAIGN:DAY"),
        ("stopped:as-search:x", "KIND:CAMPAIGN:DAY"),
        ("stopped:nobody:4", "there is no campaign nobody; there are is-brand"),
        ("stopped:as-search:4:0", "takes at least a day"),
    ],
)
def test_an_incident_that_cannot_be_is_refused_with_a_sentence(text: str, sentence: str, tmp_path: Any) -> None:
    with pytest.raises(ValueError, match=sentence):
        Incident.parse(text)
    result = CliRunner().invoke(command, ["--out", str(tmp_path), "--incident", text])
    assert result.exit_code == 2
    assert sentence.split(":")[0] in result.output
