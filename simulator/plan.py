"""How big a world is: installs a day, and how many records each day should have.

The number of installs follows from what an install brings on average; touches that lead nowhere then fill each day up
to its plan, so that a world has the size that was asked for, however its people behave.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from simulator.market import APPS, CAMPAIGNS, Market
from simulator.text import F64

# Records that an install brings by itself, touches apart, per day of its age: measured in worlds of a million events
# (a test holds worlds against the share of touches that follows). TOUCHES is all touches per install, those of people
# who never install too.
RECORDS_AT_AGE: Final = {0: 6.28, 1: 2.10, 3: 1.48, 7: 0.96, 14: 0.61, 30: 0.37, 60: 0.165, 120: 0.06, 365: 0.01}
TOUCHES: Final = 16.5
COST_ROWS: Final = 1.9 * sum(len(c) for c in CAMPAIGNS.values())  # statements a day

DUPLICATE_SHARE: Final = 0.008
DAMAGE_SHARE: Final = 0.002


def records_by_age(days: int) -> F64:
    """Records of an install per day of its age, touches apart."""
    ages, records = np.array(list(RECORDS_AT_AGE)), np.array(list(RECORDS_AT_AGE.values()))
    wanted = np.log1p(np.arange(days, dtype=np.float64))
    return np.asarray(np.exp(np.interp(wanted, np.log1p(ages), np.log(records))), dtype=np.float64)


@dataclass(frozen=True)
class Plan:
    """`installs`: mean installs a day of both apps before season; later days go on likewise."""

    installs: float

    def records(self, app: int, day: int) -> int:
        """Lines the app should send on a day, copies and damaged ones included."""
        weekday = np.array([Market.weekday(d) for d in range(day, -1, -1)])
        grown = float(records_by_age(day + 1) @ weekday) + TOUCHES * Market.weekday(day)
        costs = COST_ROWS * len(CAMPAIGNS[APPS[app].app_id]) / sum(len(c) for c in CAMPAIGNS.values())
        return round(self.installs * APPS[app].share * grown + costs)

    def app_installs(self, app: int) -> float:
        """Mean installs a day of one app."""
        return self.installs * APPS[app].share

    def crowd(self, app: int) -> int:
        """Usual number of touches a day that lead nowhere."""
        return max(round(self.app_installs(app) * TOUCHES * 0.85), 1)


def plan_for(events: int, days: int) -> Plan:
    """The plan that makes about `events` records within `days`."""
    age = records_by_age(days)
    per_install = sum(
        sum(float(age[a]) * Market.weekday(d - a) for a in range(d + 1)) + TOUCHES * Market.weekday(d)
        for d in range(days)
    )
    return Plan(installs=max(events - COST_ROWS * days, events * 0.1) / per_install)
