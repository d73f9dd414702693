"""Credit of the channels of one app and month, by every model and at both levels.

Belongs here: what becomes of organic installs, exact credit for installs and money, which models there are. Does not
belong here: the models themselves (`markov`, `shapley`), and where journeys come from (`channel_effects`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from models_ml.multi_touch.apportion import apportion
from models_ml.multi_touch.journeys import Journey, without_repeats
from models_ml.multi_touch.markov import TooManyStatesError, markov
from models_ml.multi_touch.shapley import shapley

ORDERS: Final = (1, 2, 3)
SEED: Final = 7
LEVELS: Final = ("partner", "campaign")
ORGANIC: Final = ("organic", "")
_NUMBERS: Final = (
    "credited_conversions",
    "credited_revenue_d7_usd",
    "credited_revenue_d30_usd",
    "share",
    "removal_effect",
    "shapley_value",
    "standard_error",
    "journeys",
)

Channel = tuple[str, str]
Row = dict[str, Any]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Path:
    """Channels in order, and how the journeys along them ended in a month. Money is USD to day 7 and to day 30 of the
    installs, None until it is known."""

    channels: tuple[Channel, ...]
    conversions: int
    losses: int
    revenues: tuple[Decimal | None, Decimal | None]


@dataclass(frozen=True, slots=True)
class _Totals:
    """What the touched installs of a month add up to; a revenue is None while it is nowhere known."""

    conversions: int
    revenues: tuple[Decimal | None, Decimal | None]


@dataclass(frozen=True, slots=True)
class _Shares:
    """What a model says of the channels, in their order; the credit for conversions and for each revenue."""

    conversions: Floats
    revenues: tuple[Floats, ...]
    removal_effects: Floats | None = None
    shapley_values: Floats | None = None
    errors: Floats | None = None


def month_effects(paths: Sequence[Path]) -> tuple[list[Row], list[str]]:
    """Rows of all levels and models for the journeys of an app and month, and what was left out."""
    rows: list[Row] = []
    notes: list[str] = []
    touched = [path for path in paths if path.channels]
    totals = _Totals(sum(path.conversions for path in touched), _revenues(touched))
    organic = [path for path in paths if not path.channels]
    for level in LEVELS:
        names, journeys = _numbered(touched, level)
        seen: Counter[int] = Counter()
        for journey in journeys:
            seen.update(dict.fromkeys(set(journey.channels), journey.count))
        for model, shares in _models(journeys, len(names), level, notes):
            credits = {} if shares is None else _credit(names, totals, shares, seen)
            if organic:
                _add_organic(credits, organic)
            rate = totals.conversions / max(1, sum(journey.count for journey in journeys))
            rows += [
                {"level": level, "model": model, "partner": partner, "campaign_id": campaign_id}
                | {"conversion_rate": rate}
                | row
                for (partner, campaign_id), row in sorted(credits.items())
            ]
    return rows, notes


def _numbered(paths: Iterable[Path], level: str) -> tuple[list[Channel], list[Journey]]:
    """The channels of a level in order of their names, and the journeys over their numbers."""
    by_level = [
        (tuple((partner, campaign if level == "campaign" else "") for partner, campaign in path.channels), path)
        for path in paths
    ]
    names = sorted({channel for channels, _ in by_level for channel in channels})
    numbers = {name: number for number, name in enumerate(names)}
    journeys = [
        Journey(
            tuple(numbers[channel] for channel in channels),
            path.conversions,
            path.losses,
            tuple(float(revenue or 0) for revenue in path.revenues),
        )
        for channels, path in by_level
    ]
    return names, without_repeats(journeys)


def _models(
    journeys: Sequence[Journey], channel_count: int, level: str, notes: list[str]
) -> Iterator[tuple[str, _Shares | None]]:
    """Every model by name; without a touched install there is nothing to share, and None stands for it."""
    has_conversions = any(journey.conversions for journey in journeys)
    for order in ORDERS:
        try:
            chain = markov(journeys, channel_count, order=order) if has_conversions else None
        except TooManyStatesError as error:
            notes.append(f"markov_{order} by {level} is left out: {error}")
            continue
        shares = None if chain is None else _Shares(chain.shares, chain.value_shares, chain.removal_effects)
        yield f"markov_{order}", shares
    game = shapley(journeys, channel_count, seed=SEED) if has_conversions else None
    shares = None if game is None else _Shares(game.shares, game.value_shares, None, game.raw, game.share_errors)
    yield "shapley", shares


def _credit(names: Sequence[Channel], totals: _Totals, shares: _Shares, seen: Mapping[int, int]) -> dict[Channel, Row]:
    """What each channel gets; conversions and money add up to the totals exactly."""
    billionths = apportion(totals.conversions * 10**9, shares.conversions.tolist())
    d7, d30 = (_split(total, parts) for total, parts in zip(totals.revenues, shares.revenues, strict=True))
    return {
        name: {
            "credited_conversions": Decimal(billionths[number]).scaleb(-9),
            "credited_revenue_d7_usd": d7[number],
            "credited_revenue_d30_usd": d30[number],
            "share": float(shares.conversions[number]),
            "removal_effect": _number(shares.removal_effects, number),
            "shapley_value": _number(shares.shapley_values, number),
            "standard_error": _number(shares.errors, number, totals.conversions),
            "journeys": seen[number],
        }
        for number, name in enumerate(names)
    }


def _split(total: Decimal | None, parts: Floats) -> list[Decimal | None]:
    """An amount in whole micros; not known of anybody while it is not known at all."""
    if total is None:
        return [None] * len(parts)
    return [Decimal(micros).scaleb(-6) for micros in apportion(int(total.scaleb(6)), parts.tolist())]


def _add_organic(credits: dict[Channel, Row], organic: Sequence[Path]) -> None:
    """Credit installs without a touch to organic, on top of what a partner of that name may have got."""
    row = credits.setdefault(ORGANIC, dict.fromkeys(_NUMBERS))
    conversions = sum(path.conversions for path in organic)
    d7, d30 = _revenues(organic)
    added = {"credited_conversions": Decimal(conversions), "journeys": conversions}
    for column, value in (added | {"credited_revenue_d7_usd": d7, "credited_revenue_d30_usd": d30}).items():
        if value is not None:
            row[column] = value if row[column] is None else row[column] + value


def _revenues(paths: Sequence[Path]) -> tuple[Decimal | None, Decimal | None]:
    """Sums of the revenues over the paths where they are known, None where they nowhere are."""
    d7, d30 = ([path.revenues[n] for path in paths] for n in (0, 1))
    return _sum(d7), _sum(d30)


def _sum(amounts: Iterable[Decimal | None]) -> Decimal | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known, Decimal(0)) if known else None


def _number(values: Floats | None, number: int, factor: float = 1) -> float | None:
    return None if values is None else factor * float(values[number])
