"""Where the people of the world live, when they play, what they pay in and what device they hold. Tables only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from simulator.text import DAY_MS, F64, I64, Ints


@dataclass(frozen=True, slots=True)
class Place:
    """A country, or a part of one with a clock of its own.

    `offset_h` is standard time and only shapes the hours people play at (no daylight saving). `ad_value` and
    `spend` are relative to the United States.
    """

    country: str
    time_zone: str
    offset_h: float
    currency: str
    locale: str
    weight: float
    ad_value: float
    spend: float
    is_gdpr: bool = False


PLACES: Final = (
    Place("US", "America/New_York", -5, "USD", "en-US", 0.20, 1.0, 0.0),
    Place("US", "America/Chicago", -6, "USD", "en-US", 0.11, 1.0, 0.0),
    Place("US", "America/Los_Angeles", -8, "USD", "en-US", 0.13, 1.05, 0.1),
    Place("CA", "America/Toronto", -5, "USD", "en-CA", 0.05, 0.8, -0.1),
    Place("GB", "Europe/London", 0, "GBP", "en-GB", 0.08, 0.8, 0.0, True),
    Place("DE", "Europe/Berlin", 1, "EUR", "de-DE", 0.09, 0.7, -0.1, True),
    Place("FR", "Europe/Paris", 1, "EUR", "fr-FR", 0.06, 0.6, -0.2, True),
    Place("BR", "America/Sao_Paulo", -3, "BRL", "pt-BR", 0.09, 0.2, -0.7),
    Place("JP", "Asia/Tokyo", 9, "JPY", "ja-JP", 0.06, 0.9, 0.4),
    Place("IN", "Asia/Kolkata", 5.5, "USD", "hi-IN", 0.07, 0.12, -1.2),
    Place("MX", "America/Mexico_City", -6, "USD", "es-MX", 0.06, 0.22, -0.7),
)

# Price tiers of the shop, in micros of each currency, and what one unit is worth in USD in this world, on every day.
CURRENCIES: Final = ("USD", "EUR", "GBP", "JPY", "BRL")
PRICES: Final = {
    "USD": (0.99, 1.99, 4.99, 9.99, 19.99, 49.99, 99.99),
    "EUR": (0.99, 1.99, 4.99, 9.99, 19.99, 49.99, 99.99),
    "GBP": (0.79, 1.79, 4.49, 8.99, 17.99, 44.99, 89.99),
    "JPY": (160.0, 320.0, 800.0, 1600.0, 3200.0, 8000.0, 16000.0),
    "BRL": (4.9, 9.9, 24.9, 49.9, 99.9, 249.9, 499.9),
}
USD_RATES: Final = {"USD": 1.0, "EUR": 1.08, "GBP": 1.27, "JPY": 0.0067, "BRL": 0.18}
PRODUCTS: Final = ("gems_1", "gems_2", "gems_3", "bundle_4", "bundle_5", "chest_6", "vault_7")

PRICE_MICROS: Final[I64] = np.array([[round(p * 1_000_000) for p in PRICES[c]] for c in CURRENCIES], dtype=np.int64)
USD_RATE: Final[F64] = np.array([USD_RATES[c] for c in CURRENCIES])

PLACE_WEIGHT: Final[F64] = np.array([p.weight for p in PLACES])
PLACE_OFFSET_MS: Final[I64] = np.array([int(p.offset_h * 3_600_000) for p in PLACES], dtype=np.int64)
PLACE_CURRENCY: Final[I64] = np.array([CURRENCIES.index(p.currency) for p in PLACES], dtype=np.int64)
PLACE_AD_VALUE: Final[F64] = np.array([p.ad_value for p in PLACES])
PLACE_SPEND: Final[F64] = np.array([p.spend for p in PLACES])
PLACE_GDPR: Final = np.array([p.is_gdpr for p in PLACES])


@dataclass(frozen=True, slots=True)
class Device:
    """A device model with its system version."""

    model: str
    os_version: str


DEVICES: Final = {
    "ios": tuple(
        Device(model, version)
        for model in ("iPhone12,1", "iPhone13,2", "iPhone14,5", "iPhone15,2", "iPhone16,1", "iPhone17,3", "iPad13,4")
        for version in ("17.7", "18.5", "26.1")
    ),
    "android": tuple(
        Device(model, version)
        for model in ("Pixel 7", "Pixel 8a", "SM-S918B", "SM-A546E", "SM-A155F", "Redmi Note 12", "moto g54", "CPH2591")
        for version in ("13", "14", "15")
    ),
}
OS_NAMES: Final = {"ios": "iOS", "android": "Android"}

# Share of play per local hour: low at night, highest in the evening.
_HOURS: Final = (
    2.2, 1.4, 0.9, 0.6, 0.5, 0.7, 1.5, 2.8, 3.6, 3.8, 4.0, 4.3,
    4.9, 4.8, 4.6, 4.7, 5.0, 5.4, 6.0, 6.8, 7.6, 7.8, 6.6, 4.3,
)  # fmt: skip
_HOUR_EDGES: Final[F64] = np.concatenate([[0.0], np.cumsum(_HOURS) / sum(_HOURS)])


def draw_places(rng: np.random.Generator, rows: int) -> I64:
    """A place per row."""
    return pick(rng, PLACE_WEIGHT, rows)


def draw_times(rng: np.random.Generator, place: Ints) -> I64:
    """A time of the UTC day per row, in milliseconds, by the habits of the place's local hours."""
    local = np.interp(rng.random(len(place)), _HOUR_EDGES, np.arange(25)) * 3_600_000
    return np.asarray((local.astype(np.int64) - PLACE_OFFSET_MS[place]) % DAY_MS, dtype=np.int64)


def pick(rng: np.random.Generator, weights: F64, rows: int) -> I64:
    """An index per row, drawn by weight; quicker than `Generator.choice`."""
    edges = np.cumsum(weights) / np.sum(weights)
    return np.minimum(np.searchsorted(edges, rng.random(rows), side="right"), len(weights) - 1).astype(np.int64)
