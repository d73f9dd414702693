"""Rounds of faults: whatever happens, in whatever order, nothing acknowledged is lost and nothing is double."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.ingestion.accounts import check
from tests.ingestion.fault_world import World
from tests.ingestion.faults import FAULTS

ROUNDS = 42
FEW = ("flipped_frame", "full_spool_disk", "clock_jump", "kill_lander")


def play(folder: Path, seed: int, names: list[str]) -> World:
    """One world that everything named happens to, in this order; an error says how to see it again."""
    world = World(folder, seed)
    done: list[str] = []
    try:
        for name in names:
            done.append(name)
            FAULTS[name](world)
        writers = world.finish()
        check(world, writers)
    except BaseException as error:
        error.add_note(f"seed {seed}, after round {len(done)} of {len(names)}: {' '.join(done)}\n{world.first.log()}")
        raise
    finally:
        world.close()
    return world


def test_some_faults_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    world = play(tmp_path, seed=20_260_301, names=list(FEW))
    assert world.first.crowd.acknowledged


@pytest.mark.slow
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("seed", range(5))
def test_many_faults_lose_nothing_and_double_nothing(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    names = [*FAULTS, *rng.choices(sorted(FAULTS), k=ROUNDS - len(FAULTS))]
    rng.shuffle(names)
    world = play(tmp_path, seed, names)
    assert len(world.first.crowd.acknowledged) > 20 * ROUNDS
