"""The world looks like a puzzle game's: retention, money, click-to-install times, kinds of fraud, things to learn."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

import numpy as np
import polars as pl
import pytest

from simulator.activity import play
from simulator.days import AppDay
from simulator.keys import generator
from simulator.places import USD_RATE
from simulator.world import World
from tests.simulator.conftest import Told


@pytest.fixture(scope="module")
def installs(big: World) -> pl.DataFrame:
    return pl.DataFrame(big.truth().table("installs"))


@pytest.fixture(scope="module")
def activity(big: World) -> pl.DataFrame:
    """Sessions per person, age and day of installs that are not fake, drawn as the stream draws them."""
    return pl.concat([sessions_of(app) for batch in big.stream() for app in batch.apps])


def sessions_of(app: AppDay) -> pl.DataFrame:
    acts = play(generator("play", app.market.salt, app.day, 0), app.people, app.day, app.start_ms)
    who = acts.sessions.who
    people = app.people
    buys, ads = acts.purchases, acts.ads
    usd = np.bincount(buys.session, buys.micros * USD_RATE[buys.currency] / 1e6, len(who))
    usd = usd + np.bincount(ads.session, ads.micros / 1e6, len(who))
    frame = pl.DataFrame({
        "app": np.full(len(who), app.market.index), "key": people.key[who], "age": app.day - people.day[who],
        "nature": people.nature[who], "usd": usd,
    })  # fmt: skip
    genuine = frame.filter(pl.col("nature") == 0)
    return genuine.group_by("app", "key", "age").agg(sessions=pl.len(), usd=pl.sum("usd"))


@pytest.mark.parametrize(("day", "low", "high"), [(1, 0.42, 0.48), (7, 0.165, 0.215), (30, 0.045, 0.09)])
def test_retention_is_that_of_a_puzzle_game(
    big: World, installs: pl.DataFrame, activity: pl.DataFrame, day: int, low: float, high: float
) -> None:
    people = activity.with_columns(day=(pl.col("key") // 2**24).cast(pl.Int64))
    mature = people.filter(pl.col("day") < big.config.days - day)
    cohort = mature.select("app", "key").n_unique()  # everybody plays on the day of the install
    back = mature.filter(pl.col("age") == day).height
    assert low < back / cohort < high


def test_few_people_pay_and_very_few_pay_most(installs: pl.DataFrame) -> None:
    real = installs.filter(pl.col("true_source") != "fake")
    assert 0.02 < (real["purchase_micros"] > 0).mean() < 0.05
    revenue = real["revenue_usd"].sort(descending=True)
    assert 0.45 < revenue.head(len(revenue) // 50).sum() / revenue.sum() < 0.75
    ads = real["ad_revenue_usd_micros"].sum() / 1e6
    assert 0.25 < ads / revenue.sum() < 0.6


def test_some_purchases_are_refunded(big: World) -> None:
    lines = b"".join(c.data for batch in big.stream(range(36, 43)) for c in batch.chunks()).split(b"\n")
    bought, refunded = (
        {line.split(b'"order_id":"')[1][:16]: line for line in lines if b'"event_name":"%s"' % name in line}
        for name in (b"purchase", b"refund")
    )
    assert 0.005 < len(refunded) / len(bought) < 0.08
    assert all(order in bought and b'"revenue":-' in line for order, line in refunded.items())


def test_early_play_tells_of_later_value_and_of_leaving(activity: pl.DataFrame) -> None:
    early = activity.filter(pl.col("age") <= 2).group_by("app", "key").agg(early=pl.sum("sessions"))
    later = (
        activity.filter(pl.col("age").is_between(7, 30)).group_by("app", "key").agg(usd=pl.sum("usd"), days=pl.len())
    )
    people = early.join(later, on=["app", "key"], how="left").fill_null(0)
    assert people.select(pl.corr("early", "days", method="spearman")).item() > 0.3
    keen = people.filter(pl.col("early") >= 6)
    assert keen["usd"].mean() > 2.5 * people["usd"].mean()  # type: ignore[operator]


def test_campaigns_differ_in_value(installs: pl.DataFrame) -> None:
    by = installs.filter(pl.col("true_source") == "paid").group_by("true_campaign_id").agg(pl.mean("revenue_usd"))
    value = dict(by.rows())
    assert value["is-brand"] > 2 * value["iv-reward"]
    assert value["as-search"] > 1.5 * value["av-reward"]


def test_the_mix_of_records_is_realistic(big: World) -> None:
    daily = pl.DataFrame(big.truth().table("daily")).group_by("record_type").agg(pl.sum("sent_records"))
    share = {name: count / daily["sent_records"].sum() for name, count in daily.rows()}
    assert 0.35 < share["click"] + share["impression"] < 0.45
    assert 0.02 < share["install"] < 0.03
    assert 0.001 < share["skan_postback"] < 0.01


def test_clicks_lead_to_installs_in_minutes_with_a_tail_of_hours(installs: pl.DataFrame) -> None:
    clicks = installs.filter(pl.col("true_touch_type") == "click")
    minutes = clicks.select((pl.col("install_at") - pl.col("true_touch_at")).dt.total_seconds() / 60).to_series()
    assert 3 < minutes.median() < 10  # type: ignore[operator]
    assert 0.72 < (minutes < 60).mean() < 0.88
    assert 0.92 < (minutes < 24 * 60).mean() < 0.99
    assert (minutes < 1 / 6).mean() == 0, "nobody honest opens an app ten seconds after the click"


def test_methods_and_sources_are_mixed(installs: pl.DataFrame) -> None:
    methods = Counter(installs["true_method"])
    assert set(methods) == {"none", "click_id", "referrer", "ad_id", "vendor_id", "fingerprint"}
    assert min(methods.values()) > 0.02 * len(installs)
    assert 0.25 < (installs["true_source"] == "organic").mean() < 0.40
    blind = installs.filter((pl.col("true_method") == "fingerprint") & (pl.col("fraud_kind") == "none"))
    assert blind["expected_touch_id"].is_null().mean() > 0.95, "no id in common"


def test_every_kind_of_fraud_shows_its_signals(told: Told, installs: pl.DataFrame) -> None:
    kinds = Counter(installs["fraud_kind"])
    assert set(kinds) == {
        "none", "click_injection", "click_flooding", "sdk_spoofing", "device_farm", "duplicate_clicks"
    }  # fmt: skip
    assert 0.06 < 1 - kinds["none"] / len(installs) < 0.16

    touches = {r["record_id"]: r for r in told.good if r["record_type"] in ("click", "impression")}
    records = {r["install_id"]: r for r in told.good if r["record_type"] == "install"}
    rows = {kind: [r for r in told.truth["installs"] if r["fraud_kind"] == kind] for kind in kinds}

    def gaps(kind: str) -> list[float]:
        claimed = [(records[r["install_id"]], touches.get(r["fraud_touch_id"])) for r in rows[kind]]
        return [(at(i) - at(t)).total_seconds() for i, t in claimed if t is not None]

    injected = [(records[r["install_id"]], touches.get(r["fraud_touch_id"])) for r in rows["click_injection"]]
    assert all(at(t) > datetime.fromisoformat(i["install_begin_server_at"]) for i, t in injected if t)
    assert max(gaps("click_injection")) < 12
    assert np.median(gaps("click_flooding")) > 6 * 3600
    assert np.std(gaps("device_farm")) < 15
    assert len({records[r["install_id"]]["device_model"] for r in rows["device_farm"]}) <= 4
    missing = [r for r in rows["sdk_spoofing"] if "integrity_verdict" not in records[r["install_id"]]]
    assert len(missing) > 0.5 * len(rows["sdk_spoofing"])
    repeated = Counter((t["app_id"], t["click_id"]) for t in touches.values() if "click_id" in t)
    assert max(repeated.values()) >= 4


def at(record: dict[str, str]) -> datetime:
    return datetime.fromisoformat(record["event_at"])
