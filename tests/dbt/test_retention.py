"""Retention and activity, worked out on paper: every expectation below follows from the handful of opens above it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import duckdb
import pytest

from lakehouse.apps import App
from tests.dbt.world import Home, Row, record

# The same users in apps that report in different zones; America/New_York puts its clocks forward on 2026-03-08.
ZONES = {"utc": "UTC", "kolkata": "Asia/Kolkata", "york": "America/New_York"}


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-{text}").replace(tzinfo=UTC)


# name: (install, opens). The last open of `clock`, on 2026-03-25 12:00, is how far the data of each app reach.
USERS: dict[str, tuple[str, tuple[str, ...]]] = {
    # The open a second before 24 hours is day 0, the one at exactly 24 hours is day 1.
    "edge": ("03-02 18:00", ("03-03 17:59:59", "03-04 18:00")),
    # 20:00 UTC is 01:30 of the next day in Kolkata, 03:00 UTC the evening before in New York.
    "night": ("03-02 20:00", ("03-03 03:00",)),
    "gone": ("03-02 12:00", ()),
    # New York has 23 hours on the 8th: 04:30 UTC is 23:30 there before, 00:30 after.
    "spring": ("03-08 04:30", ("03-09 04:30",)),
    "clock": ("03-24 12:00", ("03-25 12:00",)),
}  # fmt: skip


RULES: dict[str, list[Row]] = {
    "rule_activity": [{"app_id": "utc", "churn_days": 3}, {"app_id": "kolkata", "week_starts_on": 7}]
}


@pytest.fixture(scope="module")
def marts(worked_examples: Home) -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect()
    for table in ("retention_curves", "activity_daily", "cohort_retention"):
        connection.register(table, worked_examples.lake.open(f"gold/{table}").to_pyarrow_table())
    yield connection
    connection.close()


def apps() -> list[App]:
    return [App(app_id=app, platform="android", time_zone=zone) for app, zone in ZONES.items()]


def records() -> list[tuple[str, Row]]:
    return [row for app in ZONES for row in lives(app)]


def lives(app: str) -> list[tuple[str, Row]]:
    rows = []
    for name, (install, opens) in USERS.items():
        who = {"app_id": app, "install_id": f"{app}-{name}", "country": "IN" if name == "gone" else "US"}
        rows.append(record("install", f"{app}-{name}", at(install), at(install), **who))
        for n, when in enumerate(opens):
            length = {"session_length_s": 60} if name == "edge" and n == 0 else {}
            rows.append(record("session", f"{app}-{name}-{n}", at(when), at(when), **who, **length))
    bought = {"app_id": app, "install_id": f"{app}-edge", "event_name": "purchase"}
    rows.append(record("event", f"{app}-buy", at("03-03 17:59:59"), at("03-03 17:59:59"), **bought))
    rows.append(record("event", f"{app}-buy2", at("03-04 18:00"), at("03-04 18:00"), **bought))
    sandbox = {"app_id": app, "install_id": f"{app}-gone", "environment": "sandbox"}
    rows.append(record("session", f"{app}-sandbox", at("03-03 12:00"), at("03-03 12:00"), **sandbox))
    return [("bronze/bronze_app_events", row) for row in rows]


def curve(
    marts: duckdb.DuckDBPyConnection, app: str, unit: str, clock: str, **where: Any
) -> dict[int, tuple[Any, ...]]:
    """Period: (cohort, mature, classic, rolling, cumulative) of all dates of a cohort kind (or those of `where`)."""
    chosen = {"cohort_kind": "install", "dimension": "campaign"} | where
    conditions = " and ".join(f"{name} = '{value}'" for name, value in chosen.items())
    rows = marts.execute(
        "select period_n, sum(cohort_users), sum(mature_users), sum(active_users), sum(rolling_users),"
        f" sum(cumulative_users) from retention_curves where app_id = ? and unit = ? and day_clock = ? and {conditions}"
        " group by period_n",
        [app, unit, clock],
    ).fetchall()
    return {n: tuple(None if value is None else int(value) for value in values) for n, *values in rows}


def test_exactly_24_hours_begin_the_next_block(marts: duckdb.DuckDBPyConnection) -> None:
    days = curve(marts, "utc", "day", "elapsed_24h", cohort_date="2026-03-02")
    assert days[0] == (3, 3, 3, 3, None)
    assert days[1] == (3, 3, 0, 1, 0)
    assert days[2] == (3, 3, 1, 1, 1)
    assert days[3] == (3, 3, 0, 0, 1)
    # The purchase at 17:59:59 on the 3rd founds a cohort; the next one comes 24 hours and a second later.
    assert curve(marts, "utc", "day", "elapsed_24h", cohort_kind="first_purchase")[1] == (1, 1, 1, 1, 1)


def test_dates_change_with_the_zone_and_blocks_do_not(marts: duckdb.DuckDBPyConnection) -> None:
    utc = curve(marts, "utc", "day", "calendar", cohort_date="2026-03-02")
    assert utc[1] == (3, 3, 2, 2, 2)  # edge and night on the 3rd
    assert utc[2] == (3, 3, 1, 1, 2)
    # In Kolkata edge installs at 23:30 on the 2nd and opens at 23:29:59 on the 3rd; night installs on the 3rd, 01:30,
    # and is back the same day, at 08:30.
    kolkata = curve(marts, "kolkata", "day", "calendar", cohort_date="2026-03-02")
    assert kolkata[0] == (2, 2, 2, 2, None)
    assert kolkata[1] == (2, 2, 1, 1, 1)
    assert curve(marts, "kolkata", "day", "calendar", cohort_date="2026-03-03")[1] == (1, 1, 0, 0, 0)
    # In New York night is back at 22:00 of the same day.
    york = curve(marts, "york", "day", "calendar", cohort_date="2026-03-02")
    assert york[1] == (3, 3, 1, 1, 1)
    for n in range(5):
        assert len({curve(marts, app, "day", "elapsed_24h")[n] for app in ZONES}) == 1


def test_a_day_of_23_hours_is_a_day(marts: duckdb.DuckDBPyConnection) -> None:
    # 04:30 UTC is 23:30 on the 7th in winter; a day later it is 00:30 on the 9th: two dates, one block of 24 hours.
    york = curve(marts, "york", "day", "calendar", cohort_date="2026-03-07")
    assert [york[n][2] for n in range(4)] == [1, 0, 1, 0]
    assert curve(marts, "york", "day", "elapsed_24h", cohort_date="2026-03-07")[1][2] == 1
    assert [curve(marts, "utc", "day", "calendar", cohort_date="2026-03-08")[n][2] for n in range(3)] == [1, 1, 0]


def test_what_is_not_over_is_empty(marts: duckdb.DuckDBPyConnection) -> None:
    late = curve(marts, "utc", "day", "calendar", cohort_date="2026-03-24")
    assert late[0] == (1, 1, 1, 1, None)
    assert late[1] == (1, 0, None, None, None)
    # A block that ended at the very instant of the watermark is over.
    assert curve(marts, "utc", "day", "elapsed_24h", cohort_date="2026-03-24")[0] == (1, 1, 1, 1, None)
    assert curve(marts, "utc", "month", "calendar")[0] == (5, 0, None, None, None)


def test_weeks_begin_on_the_day_the_rules_say(marts: duckdb.DuckDBPyConnection) -> None:
    # 2026-03-02 is a Monday. Spring installs on Sunday the 8th and is back on Monday.
    assert curve(marts, "utc", "week", "calendar", cohort_date="2026-03-02")[1] == (4, 4, 1, 1, 1)
    # With weeks from Sunday on both of spring's days lie in one week.
    assert curve(marts, "kolkata", "week", "calendar", cohort_date="2026-03-01")[1] == (3, 3, 0, 0, 0)
    assert curve(marts, "kolkata", "week", "calendar", cohort_date="2026-03-08")[0] == (1, 1, 1, 1, None)
    # Weeks of seven blocks: all but clock have lived two.
    assert curve(marts, "utc", "week", "elapsed_24h")[1] == (5, 4, 0, 0, 0)


def test_a_bracket_counts_a_user_once(marts: duckdb.DuckDBPyConnection) -> None:
    brackets = curve(marts, "utc", "bracket", "calendar", cohort_date="2026-03-02")
    assert brackets[1] == (3, 3, 2, 2, 2)  # days 1 to 3: edge is there on two of them
    assert brackets[2] == (3, 3, 0, 0, 2)  # days 4 to 7
    assert brackets[4] == (3, 0, None, None, None)  # days 15 to 30 end after the data


def test_users_come_go_and_come_back(marts: duckdb.DuckDBPyConnection) -> None:
    rows = marts.execute(
        "select day(date), active_users, weekly_users, monthly_users, live_users, new_users, retained_users,"
        " resurrected_users, churned_users, sessions, session_length_s, sessions_with_length, is_complete"
        " from activity_daily where app_id = 'utc' order by date"
    ).fetchall()
    days = {row[0]: row[1:] for row in rows}
    assert list(days) == list(range(2, 26)), "also days on which nobody came"
    assert days[2] == (3, 3, 3, 3, 3, 0, 0, 0, 0, 0, 0, True)
    assert days[3] == (2, 3, 3, 3, 0, 2, 0, 0, 2, 60, 1, True)
    assert days[4] == (1, 3, 3, 3, 0, 1, 0, 0, 1, 0, 0, True)
    assert days[5] == (0, 3, 3, 2, 0, 0, 0, 1, 0, 0, 0, True)  # gone: no activity for three days
    assert days[9] == (1, 3, 4, 1, 0, 1, 0, 0, 1, 0, 0, True)  # the week from the 3rd: edge, night and spring
    assert days[25] == (None,) * 11 + (False,)


def test_cohort_retention_is_the_classic_curve_of_installs(marts: duckdb.DuckDBPyConnection) -> None:
    different = marts.execute(
        """
        with curves as (
            select day_clock, cohort_date, period_n, cohort_users, mature_users, active_users from retention_curves
            where app_id = 'utc' and cohort_kind = 'install' and dimension = 'campaign' and unit = 'day'
        ),
        cohorts as (
            select day_clock, install_date, day_n, cohort_installs, mature_installs, retained_installs
            from cohort_retention where app_id = 'utc'
        )
        (from curves except from cohorts) union all (from cohorts except from curves)
        """
    ).fetchall()
    assert different == []
