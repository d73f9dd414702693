"""The people of one app as compact arrays: who they are, how they play and pay, and when they stop.

One row is one install. About 70 bytes a row; rows whose last day is over are dropped (`alive`), which is what keeps a
long world in bounded memory.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from simulator.keys import people_keys
from simulator.places import PLACE_SPEND
from simulator.text import F64, I64, U64, Bools, mix

GENUINE: Final = 0
SPOOFED: Final = 1  # no device at all: records written by a script
FARMED: Final = 2  # real device, nobody who plays


@dataclass(frozen=True)
class People:
    """Columns of equal length.

    key: day x 2^24 + number, unique in the app. place, device: rows of the tables in `places`. engagement: latent
    quality, standard normal around the campaign's. lifetime: last age in days with play. activity: chance to play on a
    day while young. sessions: mean of further sessions on an active day. ads: mean ads per session. pay_rate: purchases
    per active day, 0 for most. price: mean of the log of the price. last_day: world day after which the row is not
    needed. uninstall_day, withdraw_day: world day of the uninstall notice and of the withdrawn consent, -1 for none.
    """

    key: U64
    install_ms: I64
    place: NDArray[np.int8]
    device: NDArray[np.int8]
    nature: NDArray[np.int8]
    engagement: NDArray[np.float32]
    lifetime: NDArray[np.int32]
    activity: NDArray[np.float32]
    sessions: NDArray[np.float32]
    ads: NDArray[np.float32]
    pay_rate: NDArray[np.float32]
    price: NDArray[np.float32]
    last_day: NDArray[np.int32]
    uninstall_day: NDArray[np.int32]
    withdraw_day: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.key)

    def take(self, index: Any) -> Self:
        """Rows by mask, slice or index."""
        return type(self)(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def plus(self, other: Self) -> Self:
        """These rows and then the other's."""
        return type(self)(
            **{f.name: np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self)}
        )

    def alive(self, day: int) -> Self:
        """The rows still needed on or after a day."""
        keep = self.last_day >= day
        return self if bool(keep.all()) else self.take(keep)

    @property
    def day(self) -> I64:
        """World day of the install."""
        return (self.key >> np.uint64(24)).astype(np.int64)


def draw_people(
    rng: np.random.Generator,
    day: int,
    install_ms: I64,
    place: I64,
    device: I64,
    nature: I64,
    shifts: tuple[F64, F64],
    is_ios: bool,
) -> People:
    """The installs of one day; `shifts` are the campaign's engagement and spend.

    Engagement drives everything: lifetime, activity, sessions, ads and the chance to pay. So what a person does on its
    first days tells of its later value, and campaigns differ in both. Lifetime is log-normal, which with the activity
    below gives about 45 % on day 1, 19 % on day 7 and 7 % on day 30.
    """
    n = len(install_ms)
    engagement = shifts[0] + rng.normal(size=n)
    lifetime = np.exp(0.62 + 1.25 * engagement + 1.60 * rng.normal(size=n)).astype(np.int64)
    activity = _logistic(1.0 + 0.55 * engagement + 0.35 * rng.normal(size=n))
    sessions = np.exp(-0.60 + 0.32 * engagement + 0.25 * rng.normal(size=n))
    ads = np.exp(0.15 * engagement + 0.35 * rng.normal(size=n))
    chance = _logistic(-3.30 + 1.0 * engagement + shifts[1] + PLACE_SPEND[place] + (0.2 if is_ios else -0.1))
    pays = rng.random(n) < chance
    pay_rate = np.where(pays, 0.11 * np.exp(0.3 * engagement + 0.5 * rng.normal(size=n)), 0.0)
    price = 0.45 + 0.25 * engagement + 0.95 * rng.normal(size=n)

    spoofed, farmed = nature == SPOOFED, nature == FARMED
    lifetime = np.where(spoofed, rng.integers(0, 3, n), np.where(farmed, 0, np.minimum(lifetime, 3000)))
    activity = np.where(spoofed | farmed, 1.0, np.clip(activity, 0.05, 0.98))
    sessions = np.where(spoofed, 1.0, np.where(farmed, 0.05, sessions))
    ads = np.where(spoofed, 0.0, np.where(farmed, 0.1, ads))
    pay_rate = np.where(spoofed & (rng.random(n) < 0.25), 0.6, np.where(spoofed | farmed, 0.0, pay_rate))

    delay = rng.integers(9, 12, n) if is_ios else rng.integers(1, 3, n)
    leaves = (rng.random(n) < 0.45) & (nature == GENUINE)
    uninstall = np.where(leaves, day + lifetime + delay, -1)
    withdraws = (rng.random(n) < 0.01) & (lifetime > 2)
    withdraw = np.where(withdraws, day + 1 + (lifetime * rng.random(n)).astype(np.int64) // 2, -1)
    return People(
        key=people_keys(day, n),
        install_ms=install_ms,
        place=place.astype(np.int8),
        device=device.astype(np.int8),
        nature=nature.astype(np.int8),
        engagement=engagement.astype(np.float32),
        lifetime=lifetime.astype(np.int32),
        activity=activity.astype(np.float32),
        sessions=sessions.astype(np.float32),
        ads=ads.astype(np.float32),
        pay_rate=pay_rate.astype(np.float32),
        price=price.astype(np.float32),
        last_day=np.maximum(np.maximum(day + lifetime, uninstall), withdraw).astype(np.int32),
        uninstall_day=uninstall.astype(np.int32),
        withdraw_day=withdraw.astype(np.int32),
    )


def has_account(keys: U64, seed: int) -> Bools:
    """Three of ten give the publisher a user id."""
    return np.asarray(mix(keys, seed ^ 0xACC) % np.uint64(10) < np.uint64(3))


def _logistic(x: F64) -> F64:
    return np.asarray(1.0 / (1.0 + np.exp(-x)), dtype=np.float64)
