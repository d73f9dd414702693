"""The plan of dirty dates: complete, and no larger than its rules say."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from lakehouse.apps import App, load_apps, save_apps
from lakehouse.plan import SILVER, make_plan
from lakehouse.plan_dates import COHORT_DAYS, DEVICE_INSTALLS
from lakehouse.plan_returns import ACTIVITY_DAYS
from lakehouse.runs import code_version, record_run
from lakehouse.settings import load_settings
from tests.lakehouse.plan_world import BRONZE, NOON, World, days, event, table


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_what_the_date_sets_read_has_a_view_and_nothing_else() -> None:
    modules = Path(make_plan.__code__.co_filename).parent.glob("plan_*.py")
    named = {name for module in modules for name in re.findall(r"\bsilver\.(\w+)", module.read_text(encoding="utf-8"))}
    assert named == set(SILVER)


def test_the_first_run_builds_everything(world: World) -> None:
    assert (world.plan().mode, world.plan().reason) == ("full", "first run")


def test_nothing_new_means_nothing_to_build(world: World) -> None:
    world.build([])
    assert world.plan().is_empty


def test_a_new_session_dirties_its_day_and_the_cohort_of_its_install(world: World) -> None:
    known = [event("a", -50, "install"), event("b", 0)]
    world.land("bronze/bronze_app_events", known)
    world.build(known)
    world.land("bronze/bronze_app_events", [event("c", -20)])
    dates = world.plan().dates
    assert dates["event_dates"] == days(-20)
    assert dates["install_dates"] == []
    assert dates["cohort_dates"] == days(-50)
    assert dates["touch_dates"] == []


def test_a_later_watermark_dirties_cohorts_that_come_of_age(world: World) -> None:
    known = [event("a", -25, "install"), event("b", -60, "install", "i2"), event("c", 0)]
    world.land("bronze/bronze_app_events", known)
    world.build(known)
    world.land("bronze/bronze_app_events", [event("d", 1)])
    dates = world.plan().dates
    assert dates["cohort_dates"] == days(-25)
    assert set(days(1, 0, -25, -29)) <= set(dates["campaign_dates"])
    assert not set(days(-60)) & set(dates["campaign_dates"])


def test_a_touch_decides_again_the_installs_its_window_reaches(world: World) -> None:
    known = [event(f"i{n}", n, "install", f"i{n}") for n in (-9, -8, -3, 0)]
    world.land("bronze/bronze_app_events", known)
    world.build(known)
    world.land("bronze/bronze_touchpoints", [event("t", -8, "click")])
    dates = world.plan().dates
    assert dates["touch_dates"] == days(-8)
    assert dates["install_dates"] == days(-8, -3)
    assert dates["event_dates"] == []


def test_a_touch_and_an_install_look_again_at_the_journeys_within_the_look_back(world: World) -> None:
    """Seven days to both sides; an install that a touch merely reaches matches the same journeys as before."""
    known = [event(f"i{n}", n, "install", f"i{n}") for n in (-40, -38)]
    world.land("bronze/bronze_app_events", known)
    world.build(known)
    world.land("bronze/bronze_touchpoints", [event("t", -42, "click")])
    world.land("bronze/bronze_app_events", [event("new", -20, "install", "new")])
    dates = world.plan().dates
    assert dates["journey_dates"] == days(*range(-49, -34), *range(-27, -12))
    assert dates["path_dates"] == sorted({*dates["journey_dates"], *dates["cohort_dates"]})
    assert set(days(-40, -38, -20)) <= set(dates["cohort_dates"])


def test_a_project_without_a_look_back_is_refused(world: World, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "dbt_project.yml").write_text("name: other\n")
    changed = world.settings.model_copy(update={"dbt_project": project})
    known = [event("a", 0, "install")]
    world.land("bronze/bronze_app_events", known)
    world.build(known)
    record_run(
        world.lake,
        run_id="other",
        mode="full",
        reason="first run",
        code_version=code_version(project, load_apps(changed)),
        snapshot=world.lake.pin(),
        plan={},
        finished_at=NOON,
    )
    world.land("bronze/bronze_app_events", [event("b", 1)])
    with pytest.raises(ValueError, match="does not set the variable attribution_lookback_days"):
        make_plan(changed, world.lake, world.lake.pin())


def test_a_late_click_makes_the_clicks_of_the_next_day_repeats(world: World) -> None:
    known = [event(f"i{n}", n, "install", f"i{n}") for n in (-8, -1, 0)]
    touches = [event("later", -7, "click"), event("much_later", -6, "click")]
    world.land("bronze/bronze_app_events", known)
    world.land("bronze/bronze_touchpoints", touches)
    world.build(known, touches=touches)
    world.land("bronze/bronze_touchpoints", [event("t", -8, "click")])
    dates = world.plan().dates
    assert dates["touch_dates"] == days(-8)
    assert dates["touch_flag_dates"] == days(-8, -7)
    assert dates["install_dates"] == days(-8, -1, 0), "a week from the last of these clicks"


def test_late_installs_and_clicks_judge_their_sites_again_on_the_days_after_them(world: World) -> None:
    known = [event(f"i{n}", n, "install", f"i{n}") for n in (-20, -12, -11, -1)]
    world.land("bronze/bronze_app_events", known)
    world.build(known, site_days=4)
    world.land("bronze/bronze_app_events", [event("late", -14, "install", "late")])
    assert world.plan().dates["install_dates"] == days(-14, -12, -11)


def test_a_click_judges_its_site_on_the_days_after_the_installs_it_reaches(world: World) -> None:
    known = [event(f"i{n}", n, "install", f"i{n}") for n in (-21, -14, -11, -10)]
    world.land("bronze/bronze_app_events", known)
    world.build(known, site_days=4)
    world.land("bronze/bronze_touchpoints", [event("t", -21, "click")])
    assert world.plan().dates["install_dates"] == days(-21, -14, -11)


def test_a_refused_receipt_decides_again_the_install_that_sent_it(world: World) -> None:
    known = [event("in", -40, "install", "i1"), event("other", -39, "install", "i2"), event("x", -38, "event", "i2")]
    known[2]["receipt_state"] = "invalid"
    world.land("bronze/bronze_app_events", known)
    world.build(known)
    world.land("bronze/bronze_app_events", [event("e", -36, "event", "i1") | {"receipt_state": "invalid"}])
    assert world.plan().dates["install_dates"] == days(-40)
    world.land("bronze/bronze_app_events", [event("x", -39, "event", "i2")])
    assert world.plan().dates["install_dates"] == days(-40, -39), "the copy in force is no longer refused"


def test_a_consent_decides_again_the_installs_that_heard_it(world: World) -> None:
    known = [event(f"in{n}", n, "install", f"i{n}") for n in (-9, -3, 0)]
    world.land("bronze/bronze_app_events", known)
    world.build(known)
    before, after, nobody = (
        event("c1", -4, "consent", "i-3"),
        event("c2", -8, "consent", "i-9"),
        event("c3", -9, "consent", "stranger"),
    )
    world.land("bronze/bronze_consents", [before, after, nobody])
    plan = world.plan()
    assert plan.mode == "incremental"
    assert plan.dates["install_dates"] == days(-3)
    assert plan.dates["event_dates"] == []


def test_a_consent_that_comes_again_with_another_time_is_taken_from_whom_it_named(world: World) -> None:
    known = [event(f"in{n}", n, "install", f"i{n}") for n in (-9, -3)]
    said = [event("c1", -10, "consent", "i-9")]
    world.land("bronze/bronze_app_events", known)
    world.land("bronze/bronze_consents", said)
    world.build(known, consents=said)
    world.land("bronze/bronze_consents", [event("c1", -11, "consent", "i-3")])
    assert world.plan().dates["install_dates"] == days(-9, -3)


def test_an_id_that_comes_again_with_another_time_dirties_both_days(world: World) -> None:
    known = [event("a", -40, "install"), event("x", -5)]
    world.land("bronze/bronze_app_events", known)
    world.build(known)
    world.land("bronze/bronze_app_events", [event("x", -7)])
    dates = world.plan().dates
    assert dates["event_dates"] == days(-7, -5)


def test_an_earlier_copy_of_an_install_dirties_the_old_and_the_new_install_day(world: World) -> None:
    known = [event("a", -40, "install"), event("z", 0, install_id="other")]
    world.land("bronze/bronze_app_events", known)
    world.build(known)
    world.land("bronze/bronze_app_events", [event("a2", -42, "install")])
    assert world.plan().dates["install_dates"] == days(-42, -40)


def test_an_install_dirties_all_installs_of_its_device(world: World) -> None:
    """The first shares an id with the second only, the second another one with the third."""
    known = [
        event("a", -40, "install", "i1") | {"gaid": "g1", "android_id": "v"},
        event("b", -30, "install", "i2") | {"gaid": "g2", "android_id": "v"},
        event("c", -20, "install", "i3") | {"gaid": "g3"},
    ]
    world.land("bronze/bronze_app_events", known)
    world.build(known)
    world.land("bronze/bronze_app_events", [event("d", 0, "install", "i4") | {"gaid": "g1"}])
    dates = world.plan().dates
    assert dates["install_dates"] == days(-40, -30, 0)
    assert set(days(-40, -30, 0)) <= set(dates["cohort_dates"])


def test_a_retargeting_touch_dirties_the_days_on_which_it_may_bring_users_back(world: World) -> None:
    known = [event("a", -40, "install") | {"gaid": "g"}, event("b", -3), event("z", 0)]
    world.land("bronze/bronze_app_events", known)
    world.build(known)
    world.land("bronze/bronze_touchpoints", [event("t", -4, "click") | {"gaid": "g", "is_retargeting": True}])
    dates = world.plan().dates
    assert dates["conversion_dates"] == days(*range(-4, 4))
    assert dates["install_dates"] == []


def test_an_open_of_a_user_whom_retargeting_touched_dirties_its_day(world: World) -> None:
    known = [event("a", -40, "install") | {"gaid": "g"}, event("b", -40, "install", "i2") | {"gaid": "h"}]
    touches = [event("t", -4, "click") | {"gaid": "g", "is_retargeting": True}]
    world.land("bronze/bronze_app_events", known)
    world.land("bronze/bronze_touchpoints", touches)
    world.build(known, touches=touches)
    world.land("bronze/bronze_app_events", [event("c", -2), event("d", -1, install_id="i2")])
    assert world.plan().dates["conversion_dates"] == days(-2)


def test_an_open_of_a_user_whose_referrer_retargeting_shares_dirties_its_day(world: World) -> None:
    known = [event("a", -40, "install") | {"referrer_click_id": "k"}, event("b", -9, install_id="i2")]
    touches = [event("t", -10, "click") | {"click_id": "k", "is_retargeting": True}]
    world.land("bronze/bronze_app_events", known)
    world.land("bronze/bronze_touchpoints", touches)
    world.build(known, touches=touches)
    late = event("c", -40, "install", "i2") | {"referrer": "utm=x%26click_id%3Dk"}
    world.land("bronze/bronze_app_events", [event("d", -5), late])
    assert set(days(-9, -5)) <= set(world.plan().dates["conversion_dates"])


def test_a_decision_dirties_the_days_on_which_its_user_was_active(world: World) -> None:
    known = [event("a", -9, "install"), event("b", -8, "event"), event("c", 0, "event"), event("d", -1)]
    known += [event("e", -30, "install", "i2"), event("f", -5, "event", "i2")]
    world.land("bronze/bronze_app_events", known)
    world.build(known)
    world.land("bronze/bronze_touchpoints", [event("t", -10, "click")])
    assert world.plan().dates["credit_dates"] == days(-8, 0)


def test_the_first_order_of_a_subscription_dirties_its_renewals(world: World) -> None:
    known = [
        event("a", -9, "install"),
        event("r", -1, "event", "") | {"install_id": None, "original_order_id": "o", "is_inherited": False},
        event("x", -2, "event", "") | {"install_id": None, "original_order_id": "p", "is_inherited": False},
    ]
    world.land("bronze/bronze_app_events", known)
    world.build(known)
    world.land("bronze/bronze_app_events", [event("b", -9, "event") | {"order_id": "o"}])
    assert world.plan().dates["event_dates"] == days(-9, -1)


def test_an_install_that_comes_late_dirties_the_renewals_of_its_orders(world: World) -> None:
    renewal = event("r", -1, "event", "i2") | {"original_order_id": "o", "is_inherited": True}
    known = [event("a", -9, "install"), event("b", -9, "event", "i2"), renewal]
    world.land("bronze/bronze_app_events", known)
    world.build(known)
    told = [*known[:2], renewal | {"install_id": None}]
    world.lake.overwrite("silver/stg_app_events", table(BRONZE["bronze/bronze_app_events"], told))
    world.record()
    world.land("bronze/bronze_app_events", [event("c", -10, "install", "i2")])
    assert world.plan().dates["credit_dates"] == days(-10, -9, -1)


def test_a_rate_dirties_the_amounts_of_its_currency_until_the_day_of_the_next_rate(world: World) -> None:
    installs = [event(f"in{n}", n, "install", f"i{n}") for n in (-30, -20)]
    world.land("bronze/bronze_app_events", installs)
    world.build(installs)
    names = ("app_id", "install_id", "currency", "reporting_currency", "past_order_id", "entry_code")
    amounts = pa.schema([(name, pa.string()) for name in names]).append(pa.field("is_inherited", pa.bool_()))
    amounts = amounts.append(pa.field("event_at", BRONZE["bronze/bronze_app_events"].field("event_at").type))
    revenue = [
        ("EUR", -11, "i-30"),
        ("EUR", -10, "i-30"),
        ("EUR", -6, "i-20"),
        ("EUR", -5, "i-20"),
        ("JPY", -9, "i-20"),
    ]
    world.lake.overwrite(
        "silver/int_money_events",
        table(
            amounts.append(pa.field("event_date", pa.date32())),
            [
                {"app_id": "app", "install_id": install, "currency": currency, "event_date": days(day)[0]}
                for currency, day, install in revenue
            ],
        ),
    )
    known_rates = [("EUR", -100), ("EUR", -5), ("JPY", -100)]
    rates = pa.schema([("currency", pa.string()), ("valid_from", pa.date32())])
    rows = [{"currency": currency, "valid_from": days(day)[0]} for currency, day in known_rates]
    world.lake.overwrite("silver/int_fx_rates", table(rates, rows))
    world.lake.overwrite(
        "silver/int_link_install_costs",
        table(pa.schema([("install_date", pa.date32())]), [{"install_date": day} for day in days(-12, -7, -4)]),
    )
    world.lake.overwrite(
        "silver/stg_costs",
        table(
            BRONZE["bronze/bronze_costs"],
            [{"cost_date": days(day)[0], "currency": "EUR"} for day in (-12, -8, -5)],
        ),
    )
    touches = [("EUR", -9, 1), ("EUR", -8, None), ("JPY", -9, 1), ("EUR", -12, 1)]
    world.lake.overwrite(
        "silver/stg_touchpoints",
        table(
            BRONZE["bronze/bronze_touchpoints"],
            [{"event_date": days(day)[0], "currency": c, "cost_micros": price} for c, day, price in touches],
        ),
    )
    world.record()
    world.land("bronze/bronze_fx_rates", [{"currency": "EUR", "rate_date": days(-10)[0], "ingest_date": days(0)[0]}])
    dates = world.plan().dates
    assert dates["event_dates"] == days(-10, -6)
    assert dates["touch_dates"] == days(-9)
    assert dates["cost_dates"] == days(-8)
    assert dates["install_dates"] == days(-7)
    assert dates["cohort_dates"] == days(-30, -20, -7)
    assert set(days(-30, -20, -9, -8, -7)) == set(dates["campaign_dates"])


def test_changed_rules_ask_for_a_full_run(world: World, tmp_path: Path) -> None:
    world.build([])
    project = tmp_path / "project"
    (project / "models").mkdir(parents=True)
    (project / "dbt_project.yml").write_text("name: other\n")
    (project / "models" / "a.sql").write_text("select 1")
    changed = world.settings.model_copy(update={"dbt_project": project})
    plan = make_plan(changed, world.lake, world.lake.pin())
    assert (plan.mode, plan.reason) == ("full", "models, rules or apps changed")


def test_a_missing_table_or_a_wish_asks_for_a_full_run(world: World) -> None:
    world.record()
    assert world.plan().reason == "silver/stg_app_events does not exist"
    assert make_plan(world.settings, world.lake, world.lake.pin(), full_refresh=True).reason == "asked for"


def test_a_cost_that_was_received_before_its_known_copy_dirties_the_day_of_that_copy(world: World) -> None:
    known = [event("c", 0, "cost", received=5)]
    world.land("bronze/bronze_costs", known)
    world.build([], costs=known)
    world.land("bronze/bronze_costs", [event("c", 0, "cost", received=3)])
    assert world.plan().dates["ingest_dates"] == days(3, 5)


def test_a_cost_told_again_for_another_day_dirties_both_days(world: World) -> None:
    known = [event("c", 0, "cost") | {"cost_date": days(-4)[0]}, event("d", 0, "cost") | {"cost_date": days(-2)[0]}]
    world.land("bronze/bronze_costs", known)
    world.build([], costs=known)
    world.land("bronze/bronze_costs", [event("c", 0, "cost") | {"cost_date": days(-6)[0]}])
    assert world.plan().dates["cost_dates"] == days(-6, -4)


def test_a_postback_dirties_the_days_on_which_it_was_delivered_before(world: World) -> None:
    """Under its own record id, and as a repeat of its transaction; a copy may take the record to another one."""

    def delivered(record_id: str, day: int, transaction: str, sequence: int | None = None) -> dict[str, Any]:
        told = {"transaction_id": transaction, "postback_sequence_index": sequence}
        return event(record_id, day, "skan_postback") | told

    known = [
        delivered("r1", -9, "t1", 0),
        delivered("r2", -8, "t1", 0),
        delivered("r3", -7, "t1", 1),
        delivered("r4", -6, "t2", 0),
        delivered("r5", -5, "t3", 0),
    ]
    world.land("bronze/bronze_skan_postbacks", known)
    world.build([], postbacks=known)
    world.land("bronze/bronze_skan_postbacks", [delivered("new", -1, "t1")])
    assert world.plan().dates["skan_dates"] == days(-9, -8, -1), "the first of its three postbacks is meant"
    world.build([], postbacks=known)
    world.land("bronze/bronze_skan_postbacks", [delivered("r1", -2, "t2", 0)])
    assert world.plan().dates["skan_dates"] == days(-9, -8, -6, -2)


def test_activity_is_counted_anew_until_nobody_can_be_lost_any_more(world: World) -> None:
    known = [event("a", -200, "install"), event("z", 0)]
    world.land("bronze/bronze_app_events", known)
    world.churn_days = 40
    world.build(known)
    world.land("bronze/bronze_app_events", [event("b", -120)])
    # One day more on either side, as dates are those of the app's zone; the watermark stays, its dates are looked at.
    assert world.plan().dates["activity_dates"] == days(*range(-121, -78), -1, 0, 1)
    world.build([*known, event("b", -120)])
    world.land("bronze/bronze_app_events", [event("c", 3)])
    assert world.plan().dates["activity_dates"] == days(*range(-1, 5))


@pytest.mark.parametrize(("platform", "begins_at"), [("ios", -90), ("android", -90)])
def test_a_first_install_on_another_day_begins_the_dates_of_its_app_anew(
    world: World, platform: str, begins_at: int
) -> None:
    known = [event("a", -60, "install", "i1") | {"platform": "ios"}, event("z", 0)]
    world.land("bronze/bronze_app_events", known)
    world.build(known)
    world.land("bronze/bronze_app_events", [event("b", begins_at, "install", "i2") | {"platform": platform}])
    assert world.plan().dates["activity_dates"] == days(*range(begins_at - 1, 2))
    # The only install of the app turns out to have been later.
    world.build(known)
    world.land("bronze/bronze_app_events", [event("a", -60, "install", "i1") | {"event_at": NOON - timedelta(days=55)}])
    assert set(days(*range(-60, 2))) <= set(world.plan().dates["activity_dates"])


def test_an_id_that_a_crowd_shares_does_not_bring_its_installs_back(world: World) -> None:
    crowd = [event(f"c{n}", -60 - n, "install", f"c{n}") | {"gaid": "broken"} for n in range(DEVICE_INSTALLS)]
    world.land("bronze/bronze_app_events", crowd)
    world.build(crowd)
    one_more = event("x", 0, "install", "x") | {"gaid": "broken"}
    world.land("bronze/bronze_app_events", [one_more])
    # With it the id has one install too many for a device: all of them change, once.
    assert set(days(*range(-60 - DEVICE_INSTALLS + 1, -59))) <= set(world.plan().dates["install_dates"])

    world.build([*crowd, one_more])
    world.land("bronze/bronze_app_events", [event("y", 1, "install", "y") | {"gaid": "broken"}])
    assert world.plan().dates["install_dates"] == days(1)


def test_a_later_record_of_an_app_without_installs_leaves_its_install_alone(world: World) -> None:
    save_apps(world.settings, [App(app_id="app", platform="web", implied_installs=True)])
    known = [event("a", -50, "install")]
    world.land("bronze/bronze_app_events", known)
    world.build(known)
    world.land("bronze/bronze_app_events", [event("b", 0)])
    assert world.plan().dates["install_dates"] == []
    world.land("bronze/bronze_app_events", [event("c", -51)])
    assert world.plan().dates["install_dates"] == days(-51, -50)


def test_the_plan_and_the_models_have_the_same_limits() -> None:
    project = yaml.safe_load((load_settings({}).dbt_project / "dbt_project.yml").read_text(encoding="utf-8"))
    assert project["vars"]["max_installs_per_device_id"] == DEVICE_INSTALLS
    assert project["vars"]["activity_lookback_days"] == ACTIVITY_DAYS
    assert project["vars"]["cohort_days"] == COHORT_DAYS


def test_a_consent_told_again_dirties_both_of_its_days(world: World) -> None:
    known = [event("s", -9, "consent")]
    world.land("bronze/bronze_consents", known)
    world.build([], known)
    world.land("bronze/bronze_consents", [event("s", -3, "consent")])
    assert world.plan().dates["consent_dates"] == days(-9, -3)
