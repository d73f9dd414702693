"""The truth about a world: what really happened, as tables that never go near the lake.

Tables: installs (one row an install), daily (date x app x record type), revenue (sent date x event date x app x kind x
currency), damaged and copies (one row a record), costs (campaign x day, final), campaigns. Instants are UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lakehouse.contract import RECORD_TYPES
from simulator.blocks import AD, INVALID, PURCHASE, Earned, Facts
from simulator.cohorts import Cohort, draw_cohort
from simulator.damage import DAMAGES, KINDS
from simulator.keys import INSTALL_ID
from simulator.market import Fraud, Market, Method, Source
from simulator.places import CURRENCIES, PLACE_CURRENCY, PLACES, USD_RATE
from simulator.plan import Plan
from simulator.reports import true_spend
from simulator.text import DAY_MS, I64, Bools, choose, hex16, mix

MONEY_KINDS: Final = ("purchase", "invalid_purchase", "ad")
_TS: Final = pa.timestamp("ms", tz="UTC")
TABLES: Final = ("installs", "daily", "revenue", "damaged", "copies", "costs", "campaigns")


class Ledger:
    """What was noted while records were made: facts per day, and the money of every install."""

    def __init__(self) -> None:
        self.days: dict[int, list[Facts]] = {}
        self.revenue: dict[int, dict[tuple[int, int, int, int], int]] = {}  # day: (app, kind, currency, event day)
        self._money: dict[int, I64] = {}
        self._sizes: dict[int, I64] = {}

    def note(self, day: int, facts: Sequence[Facts], sizes: Sequence[I64]) -> None:
        """Enter a day once; `sizes` are each app's installs of every day up to it."""
        if day in self.days:
            return
        revenue: dict[tuple[int, int, int, int], int] = {}
        for fact in facts:
            self._book(fact, sizes[fact.app])
            _sum(revenue, fact)
        self.revenue[day] = revenue
        self.days[day] = [replace(f, earned=Earned(*(c[:0] for c in _columns(f.earned)))) for f in facts]

    def money(self, app: int, day: int) -> I64:
        """Micros per install of a day's installs: purchase, invalid purchase and ad revenue."""
        sizes = self._sizes.get(app, np.zeros(0, dtype=np.int64))
        first = int(sizes[:day].sum())
        return self._money[app][first : first + int(sizes[day])]

    def _book(self, fact: Facts, sizes: I64) -> None:
        if len(sizes) > len(self._sizes.get(fact.app, ())):
            self._sizes[fact.app] = sizes
        held = self._money.get(fact.app, np.zeros((0, 3), dtype=np.int64))
        missing = int(sizes.sum()) - len(held)
        if missing > 0:
            held = np.concatenate([held, np.zeros((missing, 3), dtype=np.int64)])
        self._money[fact.app] = held
        starts = np.concatenate([[0], np.cumsum(sizes)])
        people = fact.earned.people
        rows = starts[(people >> np.uint64(24)).astype(np.int64)] + (people & np.uint64(0xFFFFFF)).astype(np.int64)
        np.add.at(held, (rows, fact.earned.kind.astype(np.int64)), fact.earned.micros)


class Truth:
    """The tables. Those with a row per install are made day by day, so writing them needs little memory."""

    def __init__(
        self, world_id: str, days: int, start_ms: int, plan: Plan, markets: Sequence[Market], ledger: Ledger
    ) -> None:
        self.world_id = world_id
        self._days, self._start_ms, self._plan, self._markets, self._ledger = days, start_ms, plan, markets, ledger

    def write(self, folder: Path) -> dict[str, Path]:
        """Write every table to `folder`/<world id>/<table>.parquet; returns the files by table."""
        target = folder / self.world_id
        target.mkdir(parents=True, exist_ok=True)
        files = {}
        for name in TABLES:
            files[name] = target / f"{name}.parquet"
            temporary = files[name].with_suffix(".tmp")
            parts = self._install_tables() if name == "installs" else iter([self.table(name)])
            first = next(parts)
            with pq.ParquetWriter(temporary, first.schema) as writer:
                writer.write_table(first)
                for part in parts:
                    writer.write_table(part)
            temporary.replace(files[name])
        return files

    def table(self, name: str) -> pa.Table:
        """One of TABLES."""
        makers: dict[str, Callable[[], pa.Table]] = {
            "installs": lambda: pa.concat_tables(list(self._install_tables())),
            "daily": self._daily, "revenue": self._revenue, "damaged": self._damaged, "copies": self._copies,
            "costs": self._costs, "campaigns": self._campaigns,
        }  # fmt: skip
        return makers[name]()

    def _install_tables(self) -> Iterator[pa.Table]:
        for day in range(self._days):
            for market in self._markets:
                cohort = draw_cohort(market, day, self._plan.app_installs(market.index), self._start_ms)
                yield _installs(market, cohort, self._ledger.money(market.index, day))

    def _daily(self) -> pa.Table:
        rows: list[dict[str, Any]] = []
        for day, facts in sorted(self._ledger.days.items()):
            for market in self._markets:
                own = [f for f in facts if f.app == market.index]
                for code, name in enumerate(RECORD_TYPES):
                    sent = sum(int(f.sent[code]) for f in own)
                    unique = sum(int(f.unique[code]) for f in own)
                    damaged = sum(int((f.damaged.types == code).sum()) for f in own)
                    if sent or damaged:
                        rows.append({
                            "sent_date": self._date(day), "app_id": market.app.app_id, "record_type": name,
                            "sent_records": sent, "unique_records": unique, "copies": sent - unique,
                            "damaged_records": damaged,
                        })  # fmt: skip
        return pa.Table.from_pylist(rows)

    def _revenue(self) -> pa.Table:
        rows = [
            {
                "sent_date": self._date(day),
                "event_date": np.datetime64(event_day, "D").item(),
                "app_id": self._markets[app].app.app_id,
                "revenue_kind": MONEY_KINDS[kind],
                "currency": CURRENCIES[currency],
                "revenue_micros": micros,
            }
            for day, sums in sorted(self._ledger.revenue.items())
            for (app, kind, currency, event_day), micros in sorted(sums.items())
        ]
        names = ("sent_date", "event_date", "app_id", "revenue_kind", "currency", "revenue_micros")
        types = (pa.date32(), pa.date32(), pa.string(), pa.string(), pa.string(), pa.int64())
        return pa.Table.from_pylist(rows, schema=pa.schema(list(zip(names, types, strict=True))))

    def _damaged(self) -> pa.Table:
        parts = [
            pa.table({
                "sent_date": pa.array([self._date(day)] * len(f.damaged.keys), pa.date32()),
                "app_id": pa.array([self._markets[f.app].app.app_id] * len(f.damaged.keys), pa.string()),
                "record_id": hex16(f.damaged.keys),
                "record_type": choose(RECORD_TYPES, f.damaged.types),
                "damage": choose(KINDS, f.damaged.kinds),
                "expected_reason": choose(list(DAMAGES.values()), f.damaged.kinds),
            })
            for day, f in self._facts()
        ]  # fmt: skip
        return pa.concat_tables(parts)

    def _copies(self) -> pa.Table:
        parts = [
            pa.table({
                "sent_date": pa.array([self._date(day)] * len(f.copies.keys), pa.date32()),
                "app_id": pa.array([self._markets[f.app].app.app_id] * len(f.copies.keys), pa.string()),
                "record_id": hex16(f.copies.keys),
                "record_type": choose(RECORD_TYPES, f.copies.types),
                "is_sent_later": pa.array(f.copies.is_sent_later),
                "is_next_day": pa.array(f.copies.is_next_day),
            })
            for day, f in self._facts()
        ]  # fmt: skip
        return pa.concat_tables(parts)

    def _costs(self) -> pa.Table:
        rows = []
        for day in range(self._days):
            for market in self._markets:
                spend, _ = true_spend(market, day, self._plan.app_installs(market.index))
                rows += [
                    {
                        "cost_date": self._date(day),
                        "app_id": market.app.app_id,
                        "partner": c.partner,
                        "campaign_id": c.campaign_id,
                        "currency": c.currency,
                        "cost_micros": int(amount * 100) * 10_000,
                    }
                    for c, amount in zip(market.campaigns, spend, strict=True)
                ]
        return pa.Table.from_pylist(rows)

    def _campaigns(self) -> pa.Table:
        return pa.Table.from_pylist([
            {
                "app_id": m.app.app_id, "campaign_id": c.campaign_id, "campaign_name": c.name, "partner": c.partner,
                "true_share": c.share, "credited_share": float(m.credited_share[i]), "engagement": c.engagement,
                "spend": c.spend, "cpi": c.cpi, "currency": c.currency,
            }
            for m in self._markets
            for i, c in enumerate(m.campaigns)
        ])  # fmt: skip

    def _facts(self) -> Iterator[tuple[int, Facts]]:
        return ((day, f) for day, facts in sorted(self._ledger.days.items()) for f in facts)

    def _date(self, day: int) -> Any:
        return datetime.fromtimestamp((self._start_ms + day * DAY_MS) / 1000, UTC).date()


def _installs(market: Market, cohort: Cohort, money: I64) -> pa.Table:
    people, out, touches = cohort.people, cohort.outcome, cohort.touches
    names = [c.campaign_id for c in market.campaigns]
    partners = [c.partner for c in market.campaigns]
    expected = np.full(len(cohort), -1, dtype=np.int64)
    expected[out.expected >= 0] = touches.campaign[out.expected[out.expected >= 0]]
    currency = PLACE_CURRENCY[people.place]
    usd = money[:, PURCHASE] * USD_RATE[currency] / 1e6 + money[:, AD] / 1e6

    def touch(rows: I64, values: Any) -> pa.Array:
        if not len(touches):
            return pa.nulls(len(rows), values.type)
        return _masked(values.take(pa.array(np.maximum(rows, 0))), rows >= 0)

    ids, at = hex16(touches.key), pa.array(touches.at_ms, _TS)
    clicks = choose(("impression", "click"), touches.is_click.astype(np.int64))
    columns = {
        "app_id": choose([market.app.app_id], np.zeros(len(cohort), dtype=np.int64)),
        "install_id": hex16(mix(cohort.owner, INSTALL_ID)),
        "install_at": pa.array(people.install_ms, _TS),
        "country": choose([p.country for p in PLACES], people.place),
        "true_source": choose([s.name.lower() for s in Source], cohort.source),
        "true_partner": _named(partners, cohort.campaign),
        "true_campaign_id": _named(names, cohort.campaign),
        "true_method": choose([m.name.lower() for m in Method], cohort.method),
        "true_touch_id": touch(out.true, ids),
        "true_touch_at": touch(out.true, at),
        "true_touch_type": touch(out.true, clicks),
        "fraud_kind": choose([f.name.lower() for f in Fraud], cohort.fraud),
        "fraud_partner": _named(partners, cohort.thief),
        "fraud_campaign_id": _named(names, cohort.thief),
        "fraud_touch_id": touch(out.fraud, ids),
        "expected_partner": _named(partners, expected),
        "expected_campaign_id": _named(names, expected),
        "expected_method": choose([m.name.lower() for m in Method], out.expected_method),
        "expected_touch_id": touch(out.expected, ids),
        "expected_touch_sent_at": touch(out.expected, pa.array(touches.sent_ms, _TS)),
        "engagement": pa.array(people.engagement),
        "lifetime_days": pa.array(people.lifetime),
        "activity": pa.array(people.activity),
        "sessions_per_day": pa.array(people.sessions + 1),
        "ads_per_session": pa.array(people.ads),
        "purchases_per_day": pa.array(people.pay_rate),
        "is_spender": pa.array(people.pay_rate > 0),
        "currency": choose(CURRENCIES, currency),
        "purchase_micros": pa.array(money[:, PURCHASE]),
        "invalid_purchase_micros": pa.array(money[:, INVALID]),
        "ad_revenue_usd_micros": pa.array(money[:, AD]),
        "revenue_usd": pa.array(usd),
    }
    return pa.table(columns)


def _named(table: Sequence[str], index: I64) -> pa.Array:
    return _masked(choose(table, np.maximum(index, 0)), index >= 0)


def _masked(values: Any, keep: Bools) -> pa.Array:
    return pa.compute.if_else(pa.array(keep), values, pa.scalar(None, values.type))


def _columns(earned: Earned) -> tuple[Any, ...]:
    return (earned.people, earned.micros, earned.currency, earned.kind, earned.event_day)


def _sum(into: dict[tuple[int, int, int, int], int], fact: Facts) -> None:
    """Add the money of a block by kind, currency and event day, exactly."""
    earned = fact.earned
    if not len(earned.micros):
        return
    first = int(earned.event_day.min())
    code = ((earned.event_day - first).astype(np.int64) * len(CURRENCIES) + earned.currency) * 3 + earned.kind
    sums = np.zeros(int(code.max()) + 1, dtype=np.int64)
    np.add.at(sums, code, earned.micros)
    for c in np.unique(code):
        rest, kind = divmod(int(c), 3)
        day, currency = divmod(rest, len(CURRENCIES))
        key = (fact.app, kind, currency, first + day)
        into[key] = into.get(key, 0) + int(sums[c])
