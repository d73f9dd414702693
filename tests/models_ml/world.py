"""Two sources of rows for the model tests: a small seeded mobile world, and the CDNOW purchases.

Both fill a raw table of app records; the views that features read are then built from it the way dbt builds them, so
that a test can cut or add raw rows and rebuild everything.
"""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb
import numpy as np
import pandas as pd

START = datetime(2026, 1, 1, tzinfo=UTC)
_DAY_US = 86_400_000_000
_START_US = int(START.timestamp()) * 1_000_000

VIEWS = """
create schema if not exists silver;
create schema if not exists gold;
create or replace table silver.stg_app_events as
    select app_id, record_id, record_type, 'production' as environment, make_timestamptz(event_us) as event_at,
        make_timestamptz(received_us) as received_at, install_id, event_name, quantity, session_length_s
    from raw;
create or replace table silver.int_revenue_events as
    select app_id, record_id, install_id, make_timestamptz(event_us) as event_at,
        case record_type when 'ad_revenue' then 'ad' else 'purchase' end as revenue_kind,
        (micros::decimal(18, 0) * 0.000001::decimal(7, 6))::decimal(18, 6) as revenue_usd
    from raw where micros is not null;
create or replace table silver.int_installs as
    select app_id, install_id,
        coalesce(min(make_timestamptz(event_us)) filter (record_type = 'install'), min(make_timestamptz(event_us)))
            as install_at,
        not bool_or(record_type = 'install') as is_implied,
        any_value(platform) as platform, any_value(country) as country, any_value(device_model) as device_model,
        '17' as os_version, '1.0' as app_version
    from raw group by app_id, install_id
    -- only the shop that never sends installs has implied ones
    having app_id = 'cdnow' or bool_or(record_type = 'install');
create or replace table gold.attributed_installs as
    select app_id, install_id, any_value(partner) as partner, any_value(campaign_id) as campaign_id,
        'click_id' as match_method, true as is_primary
    from raw group by app_id, install_id;
"""


def connect(raw: pd.DataFrame) -> duckdb.DuckDBPyConnection:
    """A connection with the views built from raw records."""
    con = duckdb.connect(":memory:", config={"threads": 2})
    con.execute("set TimeZone = 'UTC'")
    con.register("raw_frame", raw)
    con.execute("create table raw as select * from raw_frame")
    con.unregister("raw_frame")
    con.execute(VIEWS)
    return con


def rebuild(con: duckdb.DuckDBPyConnection) -> None:
    """Build the views again after the raw table was changed."""
    con.execute(VIEWS)


@dataclass(frozen=True)
class Size:
    installs: int = 4_000
    days: int = 80
    seed: int = 7


def mobile_world(size: Size) -> pd.DataFrame:
    """Records of one app: users of unequal zeal leave at their own rate, see ads in sessions, and some buy."""
    rng = np.random.default_rng(size.seed)
    n = size.installs
    partner = rng.choice(["organic", "alpha", "beta", "gamma"], n, p=[0.4, 0.3, 0.2, 0.1])
    zeal = rng.gamma(1.5, 1.0, n) * np.select([partner == "alpha", partner == "beta"], [1.3, 0.6], 1.0)
    install_us = _START_US + (rng.random(n) * size.days * _DAY_US).astype(np.int64)
    lifetime = np.minimum(rng.exponential(2 + 9 * zeal), (size.days * _DAY_US + _START_US - install_us) / _DAY_US)
    buys = rng.random(n) < 0.06 + 0.08 * np.tanh(zeal)
    users = pd.DataFrame(
        {
            "install_id": [f"u{i:06d}" for i in range(n)],
            "partner": partner,
            "campaign_id": np.where(partner == "organic", None, partner.astype(object) + "-c1"),
            "platform": "ios",
            "country": rng.choice(["US", "DE", "BR"], n),
            "device_model": rng.choice(["m1", "m2"], n),
        }
    )

    def records(kind: str, rate: np.ndarray, name: str | None) -> pd.DataFrame:
        count = rng.poisson(rate * lifetime)
        who = np.repeat(np.arange(n), count)
        when = install_us[who] + (rng.random(len(who)) * lifetime[who] * _DAY_US).astype(np.int64)
        return pd.DataFrame({"who": who, "event_us": when, "record_type": kind, "event_name": name})

    installs = pd.DataFrame({"who": np.arange(n), "event_us": install_us, "record_type": "install"})
    sessions = records("session", 0.3 + 0.7 * zeal, None)
    sessions["session_length_s"] = rng.integers(20, 900, len(sessions))
    ads = records("ad_revenue", 0.4 * zeal, None)
    ads["micros"] = rng.integers(1_000, 30_000, len(ads))
    levels = records("event", 0.5 * zeal, "level_up")
    bought = records("event", np.where(buys, 0.15 * zeal, 0), "purchase")
    bought["micros"] = (rng.choice([0.99, 4.99, 19.99], len(bought), p=[0.6, 0.3, 0.1]) * 1e6).astype(np.int64)
    bought["quantity"] = 1
    raw = pd.concat([installs, sessions, ads, levels, bought], ignore_index=True)
    late = rng.random(len(raw)) < 0.02
    delay = np.where(late, rng.random(len(raw)) * 3 * _DAY_US, 2_000_000).astype(np.int64)
    raw["received_us"] = raw["event_us"] + delay
    raw["record_id"] = [f"r{i:07d}" for i in range(len(raw))]
    raw["app_id"] = "puzzle.demo.ios"
    raw = raw.merge(users, left_on="who", right_index=True).drop(columns="who")
    for column in ("micros", "quantity", "session_length_s"):
        raw[column] = raw[column].astype("Int64")
    return raw


def cdnow_file() -> str:
    """Path of the purchase file; the package around it is never imported."""
    files = importlib.metadata.distribution("lifetimes").files or []
    return str(next(file for file in files if file.name == "CDNOW_master.txt").locate())


def cdnow_raw() -> pd.DataFrame:
    """CDNOW as imported purchases: received long after their date, without install records."""
    table = pd.read_csv(
        cdnow_file(),
        sep=r"\s+",
        skiprows=1,
        names=["customer", "day", "items", "usd"],
        dtype={"customer": str, "day": str},
    )
    day = pd.to_datetime(table["day"], format="%Y%m%d", utc=True)
    return pd.DataFrame(
        {
            "app_id": "cdnow",
            "record_id": [f"p{i:06d}" for i in range(len(table))],
            "record_type": "event",
            "event_us": day.astype("datetime64[us, UTC]").astype("int64"),
            "received_us": _START_US,
            "install_id": table["customer"],
            "event_name": "purchase",
            "quantity": table["items"],
            "session_length_s": pd.array([None] * len(table), dtype="Int64"),
            "micros": (table["usd"] * 100).round().astype("int64") * 10_000,
            "partner": "organic",
            "campaign_id": None,
            "platform": None,
            "country": None,
            "device_model": None,
        }
    )
