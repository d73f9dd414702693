"""The world as a whole: how big, from when to when, day by day, and the truth about it.

Same configuration, same bytes. A world of N days is the beginning of the same world with more days.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Final, NamedTuple, Self

from simulator.blocks import Facts
from simulator.days import AppState, DayBatch
from simulator.incidents import Incident
from simulator.market import APPS, Market
from simulator.plan import Plan, plan_for
from simulator.truth import Ledger, Truth

DEFAULT_START: Final = date(2026, 1, 1)
DEFAULT_SEED: Final = 7
GENERATION: Final = 1  # raised whenever the same configuration would give other bytes


@dataclass(frozen=True)
class WorldConfig:
    """What a world is made from.

    `events` is about the number of records within the first `sized_for_days` days (default: `days`); `days` is how many
    there are. Raising `days` alone adds days and changes nothing before them. `incidents` change installs and costs
    from their day on, and with installs the touches that lead to them.
    """

    seed: int = DEFAULT_SEED
    events: int = 1_000_000
    days: int = 60
    start: date = DEFAULT_START
    sized_for_days: int = 0
    incidents: tuple[Incident, ...] = ()

    def __post_init__(self) -> None:
        if self.sized_for_days == 0:
            object.__setattr__(self, "sized_for_days", self.days)
        if self.events < 1000 or self.days < 1 or self.sized_for_days < 1:
            raise ValueError("a world has at least 1,000 events and 1 day")
        if not 1990 <= self.start.year < 2190:
            raise ValueError("a world begins at least in 1990 and before 2190")

    def extended(self, days: int = 1) -> Self:
        """The same world with some days more."""
        return replace(self, days=self.days + days)

    @property
    def world_id(self) -> str:
        """Name of the world, the same however many days of it are taken."""
        parts = "/".join(
            map(str, (GENERATION, self.seed, self.events, self.sized_for_days, self.start, *self.incidents))
        )
        return f"world-{self.seed}-{self.events}-{hashlib.sha256(parts.encode()).hexdigest()[:8]}"


def config_for(events: int, seed: int = DEFAULT_SEED) -> WorldConfig:
    """A sensible configuration for a size: 60 days from 200,000 events on, fewer below."""
    days = 60 if events >= 200_000 else 30 if events >= 20_000 else 14 if events >= 5_000 else 7
    return WorldConfig(seed=seed, events=events, days=days)


class Counts(NamedTuple):
    """Records of a day: new ones, those sent again, and damaged ones."""

    unique: int
    copies: int
    damaged: int


class World:
    """A world. Records are made as they are read; memory is bounded by the people alive on a day, not by the size."""

    def __init__(self, config: WorldConfig) -> None:
        self.config = config
        self.plan: Plan = plan_for(config.events, config.sized_for_days)
        self.markets = tuple(Market(i, config.seed, config.incidents) for i in range(len(APPS)))
        self._start_ms = int(datetime.combine(config.start, datetime.min.time(), UTC).timestamp() * 1000)
        self._ledger = Ledger()
        self._counts: dict[int, Counts] = {}

    def stream(self, days: Collection[int] | None = None) -> Iterator[DayBatch]:
        """The days in order, all of them or those named (0 = first; days behind the last one are allowed).

        Days that are left out are passed through without making their records.
        """
        wanted = sorted(set(range(self.config.days) if days is None else days))
        if wanted and wanted[0] < 0:
            raise ValueError("days are numbered from 0")
        states = [AppState(market, self.plan, self._start_ms) for market in self.markets]
        for day in range(wanted[-1] + 1 if wanted else 0):
            apps = [state.advance() for state in states]
            if day in wanted:
                yield DayBatch(day, self.config.start + timedelta(days=day), apps, self._note)

    def truth(self) -> Truth:
        """What is true of the days of this world. Days whose records were read already are not made again."""
        missing = [d for d in range(self.config.days) if d not in self._ledger.days]
        for batch in self.stream(missing):
            for _ in batch.blocks(with_text=False):
                pass
        return Truth(self.config.world_id, self.config.days, self._start_ms, self.plan, self.markets, self._ledger)

    def counts(self, day: int) -> Counts:
        """How many records a day had. KeyError before its records have been read to the end."""
        return self._counts[day]

    def _note(self, batch: DayBatch, facts: list[Facts]) -> None:
        unique = sum(int(f.unique.sum()) for f in facts)
        copies = sum(int(f.sent.sum()) for f in facts) - unique
        self._counts[batch.day] = Counts(unique, copies, sum(len(f.damaged.keys) for f in facts))
        if batch.day < self.config.days:
            self._ledger.note(batch.day, facts, [app.sizes for app in batch.apps])


def world_apps(world: World) -> list[dict[str, str]]:
    """The apps of a world, as an app registry wants them: app_id, platform, time_zone, currency."""
    return [
        {
            "app_id": m.app.app_id,
            "platform": m.app.platform,
            "time_zone": m.app.time_zone,
            "currency": m.app.currency,
        }
        for m in world.markets
    ]
