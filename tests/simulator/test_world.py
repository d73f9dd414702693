"""Same configuration, same bytes; more days change nothing before them; the size is the size asked for."""

from __future__ import annotations

import hashlib
from datetime import date
from typing import Any

import pytest

from simulator.world import World, WorldConfig, config_for, world_apps

SMALL = WorldConfig(seed=3, events=4_000, days=5)


def day_bytes(config: WorldConfig, days: list[int] | None = None, records: int = 1000) -> list[bytes]:
    return [b"".join(c.data for c in batch.chunks(records)) for batch in World(config).stream(days)]


def test_the_same_configuration_gives_the_same_bytes() -> None:
    assert day_bytes(SMALL) == day_bytes(SMALL)


def test_the_stream_is_the_one_that_was_released() -> None:
    """Fails when a change makes other bytes: then raise GENERATION in simulator.world and this digest together."""
    digest = hashlib.sha256(b"".join(day_bytes(WorldConfig(seed=1, events=2_000, days=3)))).hexdigest()
    assert digest[:16] == "5c86efa24d5c065f"


def test_another_seed_gives_other_people() -> None:
    other = WorldConfig(seed=4, events=4_000, days=5)
    assert not set(b"".join(day_bytes(SMALL)).split(b"\n")) & set(b"".join(day_bytes(other)).split(b"\n")) - {b""}


def test_the_size_of_chunks_does_not_change_the_bytes() -> None:
    assert day_bytes(SMALL, records=7) == day_bytes(SMALL, records=100_000)


def test_a_chunk_holds_whole_lines_of_one_app() -> None:
    for batch in World(SMALL).stream([4]):
        for chunk in batch.chunks(100):
            lines = chunk.data.split(b"\n")
            assert lines.pop() == b""
            assert len(lines) == chunk.records <= 100
            others = {a["app_id"] for a in world_apps(World(SMALL))} - {chunk.app_id}
            assert not any(b'"app_id":"%s"' % o.encode() in line for o in others for line in lines)


def test_more_days_begin_with_the_same_days() -> None:
    longer = day_bytes(SMALL.extended(2))
    assert len(longer) == 7
    assert longer[:5] == day_bytes(SMALL)


def test_a_single_day_is_the_day_of_the_whole() -> None:
    whole = day_bytes(SMALL.extended())
    assert day_bytes(SMALL, [3]) == [whole[3]]
    assert day_bytes(SMALL, [5]) == [whole[5]], "one day behind the last one"


def test_a_batch_can_be_read_again() -> None:
    batch = next(World(SMALL).stream([3]))
    assert [c.data for c in batch.chunks()] == [c.data for c in batch.chunks()]


def test_every_day_has_its_date() -> None:
    config = WorldConfig(events=1_000, days=3, start=date(2025, 12, 31))
    batches = list(World(config).stream())
    assert [str(b.date) for b in batches] == ["2025-12-31", "2026-01-01", "2026-01-02"]
    assert all(b'"sent_at":"2025-12-31T' in c.data for c in batches[0].chunks())


@pytest.mark.parametrize("events", [1_000, 5_000, 100_000])
def test_a_world_has_about_the_size_asked_for(events: int) -> None:
    config = config_for(events)
    world = World(config)
    made = 0
    for batch in world.stream():
        for _ in batch.blocks(with_text=False):
            pass
        made += sum(world.counts(batch.day))
    assert made == pytest.approx(events, rel=0.05)


@pytest.mark.parametrize("wrong", [{"events": 10}, {"days": 0}, {"start": date(1969, 1, 1)}])
def test_an_impossible_configuration_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at least"):
        WorldConfig(**wrong)


def test_the_name_of_a_world_stays_when_days_are_added() -> None:
    assert SMALL.world_id == SMALL.extended(5).world_id
    assert SMALL.world_id != WorldConfig(seed=3, events=4_000, days=6).world_id


def test_the_apps_fit_the_registry() -> None:
    from lakehouse.apps import App

    assert {App.model_validate(a).platform for a in world_apps(World(SMALL))} == {"ios", "android"}
