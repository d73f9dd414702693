"""The story of one install: what it is, every touch that was considered and why it won or not, and what came of it.

Read from the current tables of the lake. Tables that an installation does not have are left out.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Final

import duckdb

from decisions.wording import duration, instant, money
from lakehouse.engine import connect
from lakehouse.lake import Lake
from lakehouse.settings import Settings

Row = dict[str, Any]
_REQUIRED: Final = ("gold/attributed_installs", "gold/attribution_candidates", "rules/rule_reason_codes")
_PLATFORMS: Final = {"ios": "iOS", "android": "Android", "web": "the web", "other": "an unnamed platform"}
_METHODS: Final = {
    "referrer": "the click id in the store's referrer",
    "click_id": "the click id",
    "ad_id": "the advertising id",
    "vendor_id": "the vendor id",
    "user_id": "the publisher's user id",
    "probabilistic": "likeness of device and address",
}


class UnknownInstallError(Exception):
    """There is nothing to explain; the text is a sentence that says why."""


@dataclass(slots=True)
class Story:
    """Everything that is known of one install; `meanings` explains the reason codes that occur."""

    install: Row
    candidates: list[Row]
    meanings: dict[str, str]
    revenue: Row
    consents: list[Row] = field(default_factory=list)
    flags: list[Row] = field(default_factory=list)

    def as_dict(self) -> Row:
        return asdict(self)


def explain(settings: Settings, lake: Lake, install_id: str, app_id: str = "") -> list[Story]:
    """The stories of the installs with this id, one per app that has it, ordered by app.

    UnknownInstallError with a sentence if there is none.
    """
    missing = [table for table in _REQUIRED if not lake.exists(table)]
    if missing:
        raise UnknownInstallError(f"Nothing has been decided yet ({missing[0]} does not exist): `unmogrowp run` first.")
    connection = connect(settings, lake=lake, layers=("silver", "gold", "rules"))
    try:
        installs = _rows(
            connection,
            "select * from gold.attributed_installs where install_id = ? and is_primary and ? in ('', app_id)"
            " order by app_id",
            [install_id, app_id],
        )
        if not installs:
            raise UnknownInstallError(_unknown(connection, install_id, app_id))
        return [_story(connection, lake, install) for install in installs]
    finally:
        connection.close()


def _story(connection: duckdb.DuckDBPyConnection, lake: Lake, install: Row) -> Story:
    key = [install["app_id"], install["install_id"]]
    conversion = [install["app_id"], install["conversion_id"]]
    candidates = _rows(
        connection,
        "select c.*, t.tier from gold.attribution_candidates as c"
        " left join rules.rule_touch_types as t on c.touch_type = t.touch_type and c.match_class = t.match_class"
        " where c.app_id = ? and c.conversion_id = ? order by c.touch_at, c.touch_id",
        conversion,
    )
    codes = {install["reason_code"], *(row["reason_code"] for row in candidates)}
    meanings = connection.execute(
        "select reason_code, meaning from rules.rule_reason_codes where list_contains(?, reason_code) order by 1",
        [sorted(codes)],
    ).fetchall()
    revenue = _rows(
        connection,
        "select count(*) as event_count, cast(coalesce(sum(revenue_usd), 0) as decimal(18, 6)) as revenue_usd,"
        " max(event_at) as last_revenue_at"
        " from silver.int_revenue_events semi join (select app_id, install_id from silver.int_conversions"
        " where app_id = ? and counted_install_id = ? and conversion_type != 'reengagement')"
        " using (app_id, install_id) where event_at >= ?",
        [*key, install["install_at"]],
    )[0]
    consents = _rows(
        connection,
        "select event_at, has_ad_user_data_consent, has_ad_personalization_consent from silver.stg_consents"
        " where app_id = ? and install_id = ? order by event_at, record_id",
        key,
    )
    return Story(install, candidates, dict(meanings), revenue, consents, _flags(connection, lake, conversion))


def _flags(connection: duckdb.DuckDBPyConnection, lake: Lake, conversion: list[Any]) -> list[Row]:
    """Fraud flags of the conversion and of its touches; none where they are not computed."""
    found: list[Row] = []
    if lake.exists("silver/int_conversion_flags"):
        found += _rows(
            connection,
            "select null as touch_id, flag_code, flag_value from silver.int_conversion_flags"
            " where app_id = ? and conversion_id = ? order by flag_code, flag_value",
            conversion,
        )
    if lake.exists("silver/int_touch_flags"):
        found += _rows(
            connection,
            "select touch_id, flag_code, flag_value from silver.int_touch_flags where app_id = ?"
            " and touch_id in (select touch_id from gold.attribution_candidates where app_id = ? and conversion_id = ?)"
            " order by touch_id, flag_code, flag_value",
            [conversion[0], *conversion],
        )
    return found


def _unknown(connection: duckdb.DuckDBPyConnection, install_id: str, app_id: str) -> str:
    others = connection.execute(
        "select app_id from gold.attributed_installs where install_id = ? order by app_id", [install_id]
    ).fetchall()
    if others:
        return f"App {app_id} has no install {install_id}; {others[0][0]} has one."
    again = connection.execute(
        "select app_id, conversion_type, counted_install_id from silver.int_conversions"
        " where install_id = ? and ? in ('', app_id) and conversion_type in ('reinstall', 'att_second_install')"
        " order by app_id",
        [install_id, app_id],
    ).fetchall()
    if again:
        app, kind, counted = again[0]
        told = "a reinstall" if kind == "reinstall" else "told again after the tracking prompt"
        return f"Install {install_id} of {app} is {told}; its user counts by install {counted}: explain that one."
    return (
        f"There is no install {install_id} in {app_id or 'any app'}; it may not have been built yet (`unmogrowp run`)."
    )


def _rows(connection: duckdb.DuckDBPyConnection, sql: str, parameters: list[Any]) -> list[Row]:
    found = connection.execute(sql, parameters)
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def sentences(story: Story) -> list[str]:
    """The story in plain words, one line a sentence or two."""
    install = story.install
    return [
        *_facts(install),
        *_consent(story),
        "",
        *_touches(story),
        "",
        *_decision(story),
        _earned(story.revenue),
    ]


def _facts(install: Row) -> list[str]:
    device = " ".join(str(install[name]) for name in ("device_model", "os_version") if install.get(name))
    place = f", country {install['country']}" if install.get("country") else ""
    version = f", app version {install['app_version']}" if install.get("app_version") else ""
    platform = _PLATFORMS.get(install["platform"], install["platform"])
    opened = "first record (the app sends no installs)" if install.get("is_implied") else "first open"
    return [
        f"Install {install['install_id']} of {install['app_id']}: {opened} on {instant(install['install_at'])} "
        f"on {platform}{f' ({device})' if device else ''}{place}{version}."
    ]


def _consent(story: Story) -> list[str]:
    told = []
    for row in story.consents:
        if row["has_ad_user_data_consent"] is not None:
            word = "allowed" if row["has_ad_user_data_consent"] else "refused"
            told.append(f"On {instant(row['event_at'])} the user {word} that data go to ad partners.")
    return told or ["No consent is recorded beside the install."]


def _touches(story: Story) -> list[str]:
    if not story.candidates:
        return ["No touch shares an id with it, so nothing was considered."]
    count = len(story.candidates)
    told = [f"{count} {'touch was' if count == 1 else 'touches were'} considered, in the order of time:"]
    for number, row in enumerate(story.candidates, start=1):
        told += _touch(number, row, story)
    return told


def _touch(number: int, row: Row, story: Story) -> list[str]:
    campaign = row["campaign_name"] or row["campaign_id"]
    source = f"{row['partner'] or 'an unnamed partner'}{f', campaign {campaign}' if campaign else ''}"
    age = f"{duration(row['elapsed_s'])} {'before' if row['elapsed_s'] >= 0 else 'after'} the first open"
    window = f"the window was {duration(row['window_s'])}" if row["window_s"] else "no window was in force for it"
    method = _METHODS.get(row["match_method"], row["match_method"])
    kind = str(row["touch_type"]).replace("srn_", "")
    rank = f", rank {row['candidate_rank']}" if row["candidate_rank"] is not None else ""
    meaning = story.meanings.get(row["reason_code"], row["reason_code"])
    told = [
        f"  {number}. {instant(row['touch_at'])}: {kind} of {source} (touch {row['touch_id']}), {age}; {window}.",
        f"     Matched by {method}. {row['reason_code']}{rank}: {meaning}.",
    ]
    if row.get("fraud_rule_id"):
        told.append(f"     Rejected by fraud rule {row['fraud_rule_id']}.")
    flags = [flag for flag in story.flags if flag["touch_id"] == row["touch_id"]]
    return told + [f"     Fraud flag {flag['flag_code']}: {flag['flag_value']}." for flag in flags]


def _decision(story: Story) -> list[str]:
    install = story.install
    meaning = story.meanings.get(install["reason_code"], install["reason_code"])
    if install["is_organic"]:
        told = [f"Decision: organic ({install['reason_code']}: {meaning})."]
    elif install["is_blocked"]:
        told = [f"Decision: credited to nobody ({install['reason_code']}: {meaning})."]
    else:
        campaign = install["campaign_name"] or install["campaign_id"]
        told = [
            f"Decision: credited to {install['partner']}{f', campaign {campaign}' if campaign else ''}, by touch "
            f"{install['touch_id']} ({install['reason_code']}: {meaning})."
        ]
    told.append(f"Decided under rule set {install['ruleset_id']}.")
    flags = [flag for flag in story.flags if flag["touch_id"] is None]
    return told + [f"Fraud flag of the install {flag['flag_code']}: {flag['flag_value']}." for flag in flags]


def _earned(revenue: Row) -> str:
    if not revenue["event_count"]:
        return "It has earned nothing so far."
    count = revenue["event_count"]
    return (
        f"It has earned {money(revenue['revenue_usd'])} USD so far, in {count:,} revenue "
        f"{'event' if count == 1 else 'events'}; the last on {instant(revenue['last_revenue_at'])}."
    )
