"""A small mobile world as bronze rows: every record type, late, repeated, colliding and restated records."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import deltalake
import pyarrow as pa

from lakehouse.apps import App, save_apps
from lakehouse.contract import bronze_schemas
from lakehouse.lake import Lake
from lakehouse.settings import Settings, load_settings

SCHEMAS = bronze_schemas()
START = datetime(2026, 1, 1, tzinfo=UTC)
APPS = (
    App(app_id="game.android", platform="android"),
    App(app_id="game.ios", platform="ios", time_zone="Asia/Kolkata"),
    App(app_id="shop", platform="web", implied_installs=True),
)
Row = dict[str, Any]
# Rules of their own for each app, some of which change midway.
CHANGE = date(2026, 1, 6)
OTHER_RULES: dict[str, list[Row]] = {
    "rule_policies": [
        {"app_id": "game.android", "reattribution_window_days": 3, "inactivity_days": 1, "event_attribution": "double",
         "reengagement_window_days": 2, "valid_until": CHANGE},
        {"app_id": "game.android", "reinstall_policy": "new_after_window", "reattribution_window_days": 2,
         "rank_order": "tier_method_time", "event_attribution": "to_latest_reattribution", "valid_from": CHANGE},
        {"app_id": "game.ios", "event_attribution": "to_latest_reattribution", "inactivity_days": 2},
        {"app_id": "shop", "reinstall_policy": "keep_original", "event_attribution": "double", "valid_from": CHANGE},
    ],
    "rule_attribution_windows": [
        {"app_id": "game.android", "match_class": "probabilistic", "window_hours": 24},
        {"app_id": "game.ios", "window_hours": 100, "valid_from": CHANGE},
    ],
    "rule_revenue_policies": [{"app_id": "game.ios", "reporting_currency": "EUR", "small_business_from": CHANGE}],
    "rule_partners": [{"app_id": "game.ios", "partner": "nettwo", "is_enabled": False, "valid_from": CHANGE}],
}  # fmt: skip


@dataclass
class Home:
    """A home folder with its lake; batches are numbered as they land."""

    folder: Path
    batch: int = 0
    settings: Settings = field(init=False)
    lake: Lake = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.settings = load_settings({"UNMOGROWP_HOME": str(self.folder)})
        self.lake = Lake(self.settings.lake)
        save_apps(self.settings, APPS)

    def add_rules(self, lines: Mapping[str, Sequence[Row]]) -> None:
        """Append lines to rules that `dbt seed` wrote; what a line leaves out is as in the rule's first line."""
        for name, some in lines.items():
            table = self.lake.open(f"rules/{name}").to_pyarrow_table()
            first = next(iter(table.slice(0, 1).to_pylist()), {})
            rows = pa.Table.from_pylist([first | line for line in some], table.schema)
            deltalake.write_deltalake(self.lake.uri(f"rules/{name}"), rows, mode="append")

    def land(self, rows: Iterable[tuple[str, Row]]) -> None:
        """Append rows (table, row), one commit per table."""
        tables: dict[str, list[Row]] = {}
        for name, row in rows:
            tables.setdefault(name, []).append(row)
        for name, some in sorted(tables.items()):
            schema = SCHEMAS[name]
            self.lake.create(name, schema, ["ingest_date"])
            columns = [pa.array([row.get(f.name) for row in some], f.type) for f in schema]
            self.lake.append_once(name, pa.Table.from_arrays(columns, schema=schema), writer="w", batch=self.batch)
        self.batch += 1


def record(kind: str, record_id: str, at: datetime, received: datetime | None = None, **values: Any) -> Row:
    """A bronze row; `payload_hash` follows the sender's values, as the endpoint makes it."""
    got = received or at + timedelta(seconds=30)
    sent = {"record_type": kind, "record_id": record_id, "event_at": at, **values}
    payload = hashlib.sha256(repr(sorted(sent.items(), key=lambda item: item[0])).encode()).hexdigest()
    return {
        "app_id": "game.android", "source": "sdk", "is_event_at_missing": False, "properties": "{}",
        "request_id": hashlib.sha256(f"{payload}{got}".encode()).hexdigest()[:12], "payload_hash": payload,
        "event_date": at.date(), "received_at": got, "ingest_date": got.date(), **sent,
    }  # fmt: skip


def simulate(seed: int, installs: int = 60, days: int = 12) -> list[tuple[str, Row]]:
    """Rows (table, row) of a world, each record once, in no particular order."""
    rng = random.Random(seed)
    rows: list[tuple[str, Row]] = []
    for n in range(installs):
        rows += _life(rng, n, days)
    for day in range(days):
        for campaign in ("c1", "c2") if day % 4 else ():  # some days are priced by links only
            for statement in range(rng.choice((1, 1, 2))):
                at = START + timedelta(days=day + 1, hours=statement)
                values = {
                    "partner": rng.choice(("NetOne", "nettwo")), "campaign_id": campaign,
                    "cost_micros": rng.randrange(10**8), "currency": ("USD", "EUR")[day % 2], "as_of": at,
                    "cost_date": (START + timedelta(days=day)).date(),
                }  # fmt: skip
                rows.append(("bronze/bronze_costs", record("cost", f"co{day}{campaign}{statement}", at, **values)))
    rows += _strangers(random.Random(seed), days)
    rows += _subscriptions(random.Random(seed), installs, days)
    for n in range(12):
        at = START + timedelta(days=n / 2, hours=3)
        values = {
            "transaction_id": f"tx{n // 2}", "postback_sequence_index": n % 3 // 2,
            "skan_version": ("4.0", "3.0")[n % 2],
            "ad_network_id": "four.skadnetwork", "partner": ("NetOne", None)[n % 2], "source_identifier": "5239",
            "conversion_value": n if n % 4 else None, "signature_state": (None, "valid", "invalid")[n % 3],
            "did_win": n != 7,
        }  # fmt: skip
        rows.append(
            ("bronze/bronze_skan_postbacks", record("skan_postback", f"sk{n}", at, app_id="game.ios", **values))
        )
    return rows


def exchange_rates() -> list[tuple[str, Row]]:
    """Rates of two days, one of them stated twice; they belong to no app."""
    stated = (("EUR", 3, "1.2", 1), ("EUR", 3, "1.25", 2), ("JPY", 5, "0.007", 1))
    return [
        (
            "bronze/bronze_fx_rates",
            {
                "received_at": START, "ingest_date": START.date(), "request_id": "rates", "currency": currency,
                "rate_date": (START + timedelta(days=day)).date(), "usd_per_unit": Decimal(rate), "provider": "bank",
                "version": version,
            },
        )
        for currency, day, rate, version in stated
    ]  # fmt: skip


def _life(rng: random.Random, n: int, days: int) -> list[tuple[str, Row]]:
    app = ("game.android", "game.ios", "shop")[n % 3]
    at = START + timedelta(days=rng.random() * (days - 2))
    install = {"app_id": app, "install_id": f"i{n}"}
    ad_id = {"gaid" if app == "game.android" else "idfa": f"ad-{n}"}
    rows: list[tuple[str, Row]] = []
    if app != "shop":
        more: Row = (
            {"click_id": f"ck{n}"} if n % 4 == 0 else {"referrer": f"utm=x%26click_id%3Dck{n}"} if n % 4 == 1 else {}
        )
        if n % 7 == 0:
            more["install_begin_server_at"] = at - timedelta(minutes=5)
        if app == "game.ios":
            more |= {"idfv": f"v-{n}", "att_status": "not_determined"}
        values = {**install, **(ad_id if n % 4 else {}), "country": "DE", **more}
        rows.append(("bronze/bronze_app_events", record("install", f"in{n}", at, **values)))
        for t in range(rng.randrange(4)):
            touched = at - timedelta(hours=rng.choice((-1, 0.05, 1, 23, 25, 100, 167, 169, 190)))
            touch = {
                "app_id": app, "partner": rng.choice(("NetOne", "nettwo")), "campaign_id": rng.choice(("c1", "c2")),
                "is_signature_valid": rng.choice((None, None, True, False)), **ad_id,
                **({"click_id": f"ck{n}"} if t == 0 else {}),
                **({"cost_model": ("cpc", "cpm", "cpi")[n % 3]} if n % 5 else {}),
                **({"cost_micros": 10**6, "currency": "EUR"} if n % 2 else {}),
            }  # fmt: skip
            kind = rng.choice(("click", "impression"))
            rows.append(("bronze/bronze_touchpoints", record(kind, f"to{n}-{t}", touched, **touch)))
    if n % 4 == 0:
        values = {**install, "has_ad_user_data_consent": n % 8 != 0}
        rows.append(("bronze/bronze_consents", record("consent", f"cs{n}", at - timedelta(minutes=1), **values)))
    for e in range(rng.randrange(1, 8)):
        when = at + timedelta(days=rng.random() * 6)
        kind = rng.choice(("session", "event", "ad_revenue", "uninstall"))
        values = dict(install)
        if kind in {"event", "ad_revenue"}:
            values |= {"revenue_micros": rng.randrange(-(10**6), 10**7), "currency": rng.choice(("USD", "EUR", "JPY"))}
        if kind == "event":
            values |= {"event_name": "buy", "receipt_state": rng.choice((None, "valid", "invalid"))}
        if e == 0 and n % 9 == 0:
            values["environment"] = "sandbox"
        rows.append(("bronze/bronze_app_events", record(kind, f"ev{n}-{e}", when, **values)))
    return rows + _returns(rng, n, at, days) + _tracking_prompt(rng, n, at) + _later_words(rng, n, app, at)


def _returns(rng: random.Random, n: int, at: datetime, days: int) -> list[tuple[str, Row]]:
    """What some users do later: install again on the same device, come back after an ad, renew by their server."""
    rows: list[tuple[str, Row]] = []
    if n % 3 == 0 and n % 2:
        again = at + timedelta(days=rng.random() * (days - 2))
        values = {"install_id": f"i{n}again", "gaid": f"ad-{n}", "ip_prefix": "203.0.113.0/24", "os_name": "android",
                  "device_model": f"m{n % 2}", "locale": "de-DE"}  # fmt: skip
        rows.append(("bronze/bronze_app_events", record("install", f"in{n}again", again, **values)))
        for e in range(2):
            earned = again + timedelta(hours=rng.randrange(1, 60))
            money = {"revenue_micros": 10**6 + e, "currency": "USD", "event_name": "buy", "order_id": f"or{n}-{e}"}
            rows.append(
                ("bronze/bronze_app_events", record("event", f"ea{n}-{e}", earned, install_id=f"i{n}again", **money))
            )
        renewed = again + timedelta(days=rng.randrange(1, 5))
        money = {"revenue_micros": 10**6, "currency": "USD", "event_name": "renew", "original_order_id": f"or{n}-0"}
        rows.append(("bronze/bronze_app_events", record("event", f"rn{n}", renewed, user_id="u", **money)))
        alike = {"ip_prefix": "203.0.113.0/24", "os_name": "android", "device_model": f"m{n % 2}", "locale": "de"}
        touched = again - timedelta(hours=rng.choice((1, 2, 5, 7)))
        rows.append(
            (
                "bronze/bronze_touchpoints",
                record("click", f"al{n}", touched, partner="nettwo", campaign_id="c3", **alike),
            )
        )
    if n % 5 == 0:
        app, ad_id = (("game.android", "gaid"), ("game.ios", "idfa"), ("shop", "gaid"))[n % 3]
        touched = at + timedelta(days=rng.random() * 5)
        touch = {"app_id": app, ad_id: f"ad-{n}", "partner": "back", "is_retargeting": True}
        rows.append(("bronze/bronze_touchpoints", record("click", f"rt{n}", touched, **touch)))
        for e in range(2):
            opened = touched + timedelta(hours=rng.randrange(1, 200))
            values = {"app_id": app, "install_id": f"i{n}"}
            rows.append(("bronze/bronze_app_events", record("session", f"rs{n}-{e}", opened, **values)))
    return rows


def _strangers(rng: random.Random, days: int) -> list[tuple[str, Row]]:
    """Touches of people who never install, by themselves and in journeys of days."""
    rows: list[tuple[str, Row]] = []
    for n in range(20):
        for t in range(rng.randrange(1, 6)):
            at = START + timedelta(days=rng.random() * days)
            touch = {
                "app_id": "game.android", "gaid": f"stranger-{n}", "partner": rng.choice(("NetOne", "nettwo")),
                "campaign_id": rng.choice(("c1", "c2")), "is_retargeting": rng.choice((None, None, False, True)),
            }  # fmt: skip
            kind = rng.choice(("click", "click", "impression"))
            rows.append(("bronze/bronze_touchpoints", record(kind, f"st{n}-{t}", at, **touch)))
    return rows


def _subscriptions(rng: random.Random, installs: int, days: int) -> list[tuple[str, Row]]:
    """Trials whose charges, refunds and ends a server tells without an install, and totals of a network by the day."""
    rows: list[tuple[str, Row]] = []
    for n in range(0, installs, 6):
        app = ("game.android", "game.ios")[n // 6 % 2]
        at = START + timedelta(days=rng.random() * 3)
        install = {"app_id": app, "install_id": f"i{n // 6 * 3 + n // 6 % 2}"}
        tried: Row = {"event_name": "start_trial", "order_id": f"su{n}"}
        rows.append(("bronze/bronze_app_events", record("event", f"su{n}", at, **install, **tried)))
        for charge in range(4):
            charged = at + timedelta(days=rng.random() * days)
            money: Row = {
                "app_id": app, "event_name": rng.choice(("did_renew", "charge", "cancellation")), "currency": "EUR",
                "order_id": f"su{n}-{charge}", "original_order_id": f"su{n}", "revenue_micros": rng.randrange(10**7),
            }  # fmt: skip
            rows.append(("bronze/bronze_app_events", record("event", f"su{n}-{charge}", charged, **money)))
            if charge % 2:
                money |= {"event_name": "refund", "revenue_micros": -rng.randrange(10**6), "receipt_state": "refunded"}
                back = charged + timedelta(hours=rng.randrange(40))
                rows.append(("bronze/bronze_app_events", record("event", f"sb{n}-{charge}", back, **money)))
    for day in range(0, days, 2):
        total: Row = {"ad_network": "totals", "revenue_micros": rng.randrange(10**7), "currency": "JPY"}
        for app in ("game.android", "game.ios"):
            told = START + timedelta(days=day, hours=5)
            rows.append(("bronze/bronze_app_events", record("ad_revenue", f"to{day}{app}", told, app_id=app, **total)))
    return rows


def fraud() -> list[list[tuple[str, Row]]]:
    """Three frauds in two parts; only with the second, which is late, can it be seen what the first one was.

    A farm of twelve phones in one hour; clicks of one device around midnight, of which the first comes late; and a site
    whose clicks are sprayed over days, with the installs of its first days late. All on days of their own, so that
    nothing but these records makes a run build those days, and further apart than a touch reaches.
    """
    begin = START + timedelta(days=40)
    parts: list[list[tuple[str, Row]]] = [[], []]

    def pair(part: int, name: str, at: datetime, ago: timedelta, site: str, **install: Any) -> None:
        click: Row = {"partner": "nettwo", "campaign_id": "c9", "site_id": site, "click_id": f"k-{name}"}
        opened: Row = {"install_id": name, "click_id": f"k-{name}", "app_version": "1.0", **install}
        parts[part] += [
            ("bronze/bronze_touchpoints", record("click", f"t-{name}", at - ago, **click)),
            ("bronze/bronze_app_events", record("install", f"in-{name}", at, **opened)),
        ]

    for n in range(12):
        at = begin + timedelta(days=4, hours=12, minutes=n)
        pair(n % 2, f"farm{n}", at, timedelta(minutes=10 + n), "farm", ip_prefix="203.0.113.0/24", device_model="x")
    for n in range(36):
        at = begin + timedelta(days=n // 6 + (0 if n < 18 else 12), hours=20, minutes=n)
        pair(1 if n < 18 else 0, f"spray{n}", at, timedelta(hours=5 + n % 9), "spray", integrity_verdict="valid")
    again: Row = {"partner": "nettwo", "campaign_id": "c9", "site_id": "twice", "click_id": "k-twice"}
    midnight = begin + timedelta(days=30)
    for part, name, at in ((1, "t-first", midnight - timedelta(seconds=5)), (0, "t-second", midnight)):
        parts[part].append(("bronze/bronze_touchpoints", record("click", name, at, **again)))
    opened = {"install_id": "twice", "click_id": "k-twice"}
    parts[0].append(
        ("bronze/bronze_app_events", record("install", "in-twice", midnight + timedelta(hours=1), **opened))
    )
    return parts


def _tracking_prompt(rng: random.Random, n: int, at: datetime) -> list[tuple[str, Row]]:
    """Some iOS users allow tracking and are told as an install again, or do so too late for that; they go on to buy."""
    if n % 3 != 1 or n % 2:
        return []
    again = at + timedelta(hours=rng.choice((1, 71, 73, 100)))
    install = {"app_id": "game.ios", "install_id": f"i{n}att"}
    allowed = {"idfv": f"v-{n}", "idfa": f"ad-{n}", "att_status": "authorized"}
    rows = [("bronze/bronze_app_events", record("install", f"in{n}att", again, **install, **allowed))]
    for e in range(2):
        earned = again + timedelta(hours=rng.randrange(1, 60))
        money = {"revenue_micros": 10**6, "currency": "EUR", "event_name": "buy"}
        rows.append(("bronze/bronze_app_events", record("event", f"at{n}-{e}", earned, **install, **money)))
    return rows


def _later_words(rng: random.Random, n: int, app: str, at: datetime) -> list[tuple[str, Row]]:
    """Some users change their mind, so that a return is decided otherwise than the install."""
    if n % 5 or n % 2:
        return []
    said = at + timedelta(days=rng.random() * 6)
    values = {"app_id": app, "install_id": f"i{n}", "has_ad_user_data_consent": rng.random() < 0.5}
    return [("bronze/bronze_consents", record("consent", f"cl{n}", said, **values))]


def delivered(rows: Sequence[tuple[str, Row]], seed: int, parts: int) -> list[list[tuple[str, Row]]]:
    """The same world as a bad network delivers it: shuffled, repeated, late, some ids with another time, in parts."""
    rng = random.Random(seed)
    copies = list(rows)
    for table, row in rng.sample(list(rows), len(rows) // 4):
        got = row["received_at"] + timedelta(days=rng.choice((-1, 0, 0, 1, 3)), minutes=rng.randrange(1, 600))
        copies.append(
            (table, row | {"received_at": got, "ingest_date": got.date(), "request_id": f"again{rng.random()}"})
        )
    for table, row in rng.sample([r for r in rows if r[0] != "bronze/bronze_costs"], len(rows) // 15):
        moved = row["event_at"] + timedelta(days=rng.choice((-2, -1, 1)), hours=rng.randrange(20))
        copies.append(
            (table, row | {"event_at": moved, "event_date": moved.date(), "payload_hash": f"h{rng.random()}"})
        )
    rng.shuffle(copies)
    return [copies[n::parts] for n in range(parts)]


def trickled(rows: Sequence[tuple[str, Row]], seed: int, parts: int, each: int) -> list[list[tuple[str, Row]]]:
    """Nearly everything at once, then a few records at a time that reach others on days without any news of their own.

    What is held back: installs of known devices, first orders, opens, words of consent and ads for existing users.
    """

    def reaches_others(row: Row) -> bool:
        is_again = row["record_type"] == "install" and row["record_id"].endswith(("again", "att"))
        is_telling = row["record_type"] in {"consent", "session"} or "order_id" in row or row.get("is_retargeting")
        return bool(is_again or is_telling)

    rng = random.Random(seed)
    held = [entry for entry in rows if reaches_others(entry[1])]
    rng.shuffle(held)
    late = [held[n * each : (n + 1) * each] for n in range(parts)]
    ids = {(row["app_id"], row["record_id"]) for part in late for _, row in part}
    return [[entry for entry in rows if (entry[1]["app_id"], entry[1]["record_id"]) not in ids], *late]
