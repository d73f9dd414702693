"""One day of the world: the state it starts from, and its records as blocks and chunks.

`AppState` moves one app from day to day without making records; a `DayBatch` holds what one day needs and makes its
records whenever asked, always the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

import numpy as np

from simulator.activity import play, uninstalls, withdrawals
from simulator.app_records import consent_parts, install_part, uninstall_part, withdrawal_part
from simulator.blocks import Block, Facts, seal
from simulator.cohorts import Cohort, draw_cohort
from simulator.crowd import draw_crowd
from simulator.journeys import LOOKBACK_DAYS, Touches
from simulator.keys import generator
from simulator.market import Market
from simulator.parts import Part
from simulator.people import People
from simulator.plan import DAMAGE_SHARE, DUPLICATE_SHARE, Plan
from simulator.play_records import play_parts
from simulator.reports import Postbacks, draw_costs, draw_postbacks
from simulator.text import DAY_MS, I64, raw
from simulator.touch_records import cost_part, skan_part, touch_parts

PEOPLE_SLICE: Final = 40_000  # people whose day is made at once
CROWD_SLICE: Final = 60_000  # touches made at once
RESENT_NEXT_DAY: Final = 0.006  # of the installs of a day come again on the next


@dataclass(frozen=True)
class AppDay:
    """What the records of one app and day are made from. `sizes` are the installs of every day so far."""

    market: Market
    plan: Plan
    start_ms: int
    day: int
    cohort: Cohort
    yesterday: Cohort | None
    people: People
    touches: Touches
    postbacks: Postbacks
    sizes: I64

    def blocks(self, with_text: bool) -> Iterator[Block]:
        """The records of the day; each block stays below some 200,000 of them."""
        market, day, app = self.market, self.day, self.market.index
        made, number = 0, 0
        slices = range(0, max(len(self.people), 1), PEOPLE_SLICE)
        parts: list[Part] = []
        for index, first in enumerate(slices):
            if parts:
                yield seal(generator("block", market.salt, day, number), app, parts, with_text)
                number += 1
            parts = self._people_parts(self.people.take(slice(first, first + PEOPLE_SLICE)), index)
            made += sum(len(p) for p in parts)
        others = [
            *self._cohort_parts(),
            *touch_parts(market, self.touches),
            cost_part(market, day, draw_costs(market, day, self.plan.app_installs(app)), self.start_ms),
            skan_part(market, day, self.postbacks),
        ]
        made += sum(len(p) for p in others)
        parts += others
        usual = self.plan.crowd(app)
        wanted = max(int(self.plan.records(app, day) / (1 + DUPLICATE_SHARE + DAMAGE_SHARE)) - made, usual // 3)
        for index, first in enumerate(range(0, max(wanted, 1), CROWD_SLICE)):
            rng = generator("crowd", market.salt, day, index)
            rows = min(CROWD_SLICE, wanted - first)
            parts += touch_parts(market, draw_crowd(rng, market, day, index, rows, usual, self.start_ms))
            yield seal(generator("block", market.salt, day, number), app, parts, with_text)
            parts, number = [], number + 1

    def _people_parts(self, people: People, index: int) -> list[Part]:
        market, day = self.market, self.day
        rng = generator("play", market.salt, day, index)
        acts = play(rng, people, day, self.start_ms)
        gone, unwilling = people.take(uninstalls(people, day)), people.take(withdrawals(people, day))
        return [
            *play_parts(market, people, acts, day, index),
            uninstall_part(market, gone, day, self._times(rng, len(gone)), index),
            withdrawal_part(market, unwilling, day, self._times(rng, len(unwilling)), index),
        ]

    def _cohort_parts(self) -> list[Part]:
        parts = [install_part(self.market, self.cohort), *consent_parts(self.market, self.cohort)]
        if self.yesterday is not None:
            rng = generator("resent", self.market.salt, self.day)
            rows = np.flatnonzero(rng.random(len(self.yesterday)) < RESENT_NEXT_DAY)
            parts.append(install_part(self.market, self.yesterday, rows, resent_after_ms=DAY_MS))
        return parts

    def _times(self, rng: np.random.Generator, rows: int) -> I64:
        """Times of the day for what has no habit."""
        return self.start_ms + self.day * DAY_MS + rng.integers(0, DAY_MS - 10_000, rows)


class AppState:
    """One app on its way through time: who is alive, and what is due on which day."""

    def __init__(self, market: Market, plan: Plan, start_ms: int) -> None:
        self._market, self._plan, self._start_ms = market, plan, start_ms
        self._cohorts: dict[int, Cohort] = {}
        self._touches: dict[int, list[Touches]] = {}
        self._postbacks: dict[int, list[Postbacks]] = {}
        self._people: People | None = None
        self._sizes: list[int] = []
        self._next_draw = 0

    def advance(self) -> AppDay:
        """The next day, beginning with 0. Cohorts are drawn ahead, as their touches come before them."""
        day = len(self._sizes)
        while self._next_draw <= day + LOOKBACK_DAYS:
            self._draw(self._next_draw)
            self._next_draw += 1
        cohort = self._cohorts[day]
        living = cohort.people if self._people is None else self._people.plus(cohort.people)
        self._people = living.alive(day)
        self._sizes.append(len(cohort))
        return AppDay(
            market=self._market,
            plan=self._plan,
            start_ms=self._start_ms,
            day=day,
            cohort=cohort,
            yesterday=self._cohorts.pop(day - 1, None),
            people=self._people,
            touches=Touches.stack([cohort.touches.take(slice(0)), *self._touches.pop(day, [])]),
            postbacks=Postbacks.stack([Postbacks.none(), *self._postbacks.pop(day, [])]),
            sizes=np.array(self._sizes, dtype=np.int64),
        )

    def _draw(self, day: int) -> None:
        cohort = draw_cohort(self._market, day, self._plan.app_installs(self._market.index), self._start_ms)
        self._cohorts[day] = cohort
        due = (cohort.touches.sent_ms - self._start_ms) // DAY_MS
        for d in np.unique(due):
            self._touches.setdefault(int(d), []).append(cohort.touches.take(due == d))
        postbacks = draw_postbacks(self._market, cohort)
        due = (postbacks.arrived_ms - self._start_ms) // DAY_MS
        for d in np.unique(due):
            self._postbacks.setdefault(int(d), []).append(postbacks.take(due == d))


@dataclass(frozen=True)
class Chunk:
    """Some lines of one app, ready to send; `data` is NDJSON."""

    app_id: str
    data: bytes
    records: int


@dataclass(frozen=True)
class DayBatch:
    """The records of one day of the world (0 = first), by the day of their sending.

    Nothing is made before `blocks` or `chunks` is called, and both may be called again.
    """

    day: int
    date: date
    apps: Sequence[AppDay]
    when_done: Callable[[DayBatch, list[Facts]], None] = field(repr=False)

    def blocks(self, with_text: bool = True) -> Iterator[Block]:
        """Blocks of the first app, then of the next."""
        facts = []
        for app in self.apps:
            for block in app.blocks(with_text):
                facts.append(block.facts)
                yield block
        self.when_done(self, facts)

    def chunks(self, records: int = 1000) -> Iterator[Chunk]:
        """The same as NDJSON, at most `records` lines each. A chunk holds lines of one app, as write keys do.

        Joined together, the chunks are the same bytes whatever `records` is.
        """
        for block in self.blocks():
            if block.lines is None:
                continue
            app_id = self.apps[block.facts.app].market.app.app_id
            data, starts = raw(block.lines)
            for first in range(0, len(block.lines), records):
                last = min(first + records, len(block.lines))
                yield Chunk(app_id, bytes(data[starts[first] : starts[last]]), last - first)
