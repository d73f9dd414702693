"""One small world with its stream read once, and a middle one for shapes: making them is most of the tests' time."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from simulator.world import World, WorldConfig


@dataclass(frozen=True)
class Told:
    """A world whose stream has been read: every line, the good records by line, and the truth tables as rows."""

    world: World
    lines: list[tuple[str, bytes]]  # app, line
    good: list[dict[str, Any]]
    truth: dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="session")
def told() -> Told:
    world = World(WorldConfig(events=50_000, days=20))
    lines = [
        (chunk.app_id, line)
        for batch in world.stream()
        for chunk in batch.chunks()
        for line in chunk.data.removesuffix(b"\n").split(b"\n")
    ]
    truth = world.truth()
    tables = {name: truth.table(name).to_pylist() for name in ("installs", "daily", "revenue", "damaged", "copies")}
    damaged = {row["record_id"] for row in tables["damaged"]}
    good = []
    for _, line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and record.get("record_id") not in damaged | {None}:
            good.append(record)
    return Told(world, lines, good, tables)


@pytest.fixture(scope="session")
def big() -> World:
    return World(WorldConfig(events=400_000, days=45))
