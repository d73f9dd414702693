"""What the models look at: journeys over numbered channels, counted by how they ended.

Belongs here: the journey and its one transformation. Does not belong here: where journeys come from
(`channel_effects`), and what is made of them (`markov`, `shapley`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Journey:
    """All people who took one path.

    `channels` are numbers from 0 in the order of the touches, at least one. `values` are sums over the conversions, one
    per measure (for example USD to day 7 and to day 30); the same length in all journeys that are looked at together.
    """

    channels: tuple[int, ...]
    conversions: int
    losses: int = 0
    values: tuple[float, ...] = ()

    @property
    def count(self) -> int:
        return self.conversions + self.losses


def without_repeats(journeys: Iterable[Journey]) -> list[Journey]:
    """The journeys with touches of a channel that follow each other directly counted as one, equal paths merged.

    Ordered by path, so that sums of floating point numbers do not depend on the order of the input.
    """
    merged: dict[tuple[int, ...], list[Journey]] = {}
    for journey in journeys:
        path = tuple(c for n, c in enumerate(journey.channels) if n == 0 or c != journey.channels[n - 1])
        merged.setdefault(path, []).append(journey)
    return [_merge(path, merged[path]) for path in sorted(merged)]


def _merge(path: tuple[int, ...], parts: list[Journey]) -> Journey:
    values = zip(*sorted(part.values for part in parts), strict=True)
    return Journey(
        path,
        sum(part.conversions for part in parts),
        sum(part.losses for part in parts),
        tuple(sum(column) for column in values),
    )
