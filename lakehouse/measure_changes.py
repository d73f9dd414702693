"""What a number was when: values of `campaign_daily` whose days are over, recorded in `ml/measure_changes`.

Which runs there were is no function of bronze, so this is a table that only grows: a row says that a value was another
one than the last recorded, and which inputs changed between. A recording is one commit, and is worked out from what
is recorded, so a run that is repeated, or was killed before or after the commit, leaves each change once. The mart
over it is `dbt_project/models/marts/predictions/mart_restatements.sql`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from lakehouse.apps import load_apps
from lakehouse.contract import bronze_schemas
from lakehouse.engine import create_view
from lakehouse.lake import Lake
from lakehouse.plan import attribution_lookback_days, create_new_views, new_files
from lakehouse.predictions import MEASURE_CHANGES, PREDICTION_SCHEMAS
from lakehouse.runs import input_hashes
from lakehouse.settings import Settings

if TYPE_CHECKING:
    import duckdb

_WRITER: Final = "measure_changes"
_KEY: Final = "app_id, date, platform, partner, campaign_id, measure"
# Value of a day that is over, and days after the date whose events count.
_MEASURES: Final = {
    "installs": ("case when is_mature_d0 then installs end", 0),
    "cost_usd": ("case when is_mature_d0 then cost_usd end", 0),
    "revenue_d0_usd": ("revenue_d0_usd", 0),
    "revenue_d7_usd": ("revenue_d7_usd", 7),
    "revenue_d30_usd": ("revenue_d30_usd", 30),
}
# An exchange rate holds until the next one; imports have gaps of weekends and holidays.
_RATE_DAYS: Final = 7

_CURRENT: Final = " union all ".join(
    f"select app_id, date, platform, partner, campaign_id, '{name}' as measure, {reach} as reach_days,"
    f" cast({value} as decimal(18, 6)) as value from gold.campaign_daily"
    for name, (value, reach) in _MEASURES.items()
)
_CHANGED: Final = f"""
    create temp table changed as
    with current as ({_CURRENT}),
    known as (
        select {_KEY}, arg_max(coalesce(new_value::varchar, ''), recording) as text
        from recorded.measure_changes group by all
    ),
    -- Until here all values were recorded; what had none was zero, as a campaign without a row has done nothing.
    covered as (select app_id, measure, max(date) as until from recorded.measure_changes group by all),
    compared as (
        select
            coalesce(c.app_id, k.app_id) as app_id, coalesce(c.date, k.date) as date,
            coalesce(c.platform, k.platform) as platform, coalesce(c.partner, k.partner) as partner,
            coalesce(c.campaign_id, k.campaign_id) as campaign_id, coalesce(c.measure, k.measure) as measure,
            coalesce(c.reach_days, 0) as reach_days, k.app_id is not null as is_known,
            nullif(k.text, '')::decimal(18, 6) as known_value,
            -- A row that went is a campaign that has done nothing; a row whose day is no longer over has no value.
            case when c.app_id is null then 0::decimal(18, 6) else c.value end as new_value
        from current c
        full outer join known k
            on c.app_id = k.app_id and c.date = k.date and c.platform = k.platform and c.partner = k.partner
            and c.campaign_id = k.campaign_id and c.measure = k.measure
    )
    select
        p.app_id, p.date, p.platform, p.partner, p.campaign_id, p.measure, p.reach_days, p.new_value,
        case when p.is_known then p.known_value when p.date <= v.until then 0::decimal(18, 6) end as old_value
    from compared p
    left join covered v on p.app_id = v.app_id and p.measure = v.measure
    where case
        when p.is_known then p.new_value is distinct from p.known_value
        else coalesce(p.new_value, 0) <> 0
    end
"""
_ARRIVED: Final = """
    create temp table arrived as
        select case when record_type = 'install' or list_contains($implied, app_id) then 'installs' else 'events' end
            as kind, app_id, event_date as date, count(*) as n
        from bronze_new.bronze_app_events group by all
        union all
        select 'touches', app_id, event_date, count(*) from bronze_new.bronze_touchpoints group by all
        union all
        select 'consents', app_id, event_date, count(*) from bronze_new.bronze_consents group by all
        union all
        select 'costs', app_id, cost_date, count(*) from bronze_new.bronze_costs group by all
        union all
        select 'rates', null, rate_date, count(*) from bronze_new.bronze_fx_rates group by all
"""
# Days that a number rests on, by what came. A consent or a touch decides about the installs after it.
_EVIDENCE: Final = f"""
    create temp table evidence as
    with places as (
        select distinct app_id, date, measure, reach_days from changed where old_value is not null
    ),
    found as (
        select p.app_id, p.date, p.measure, a.kind, sum(a.n)::bigint as n
        from places p
        inner join arrived a on p.app_id = a.app_id and case
            when a.kind = 'costs' then p.measure = 'cost_usd' and a.date = p.date
            when p.measure = 'cost_usd' then false
            when a.kind = 'events' then p.measure <> 'installs' and a.date between p.date and p.date + p.reach_days
            when a.kind = 'installs' then a.date between p.date and p.date + p.reach_days
            else a.date between p.date - $lookback::integer and p.date
        end
        group by all
        union all
        select p.app_id, p.date, p.measure, a.kind, sum(a.n)::bigint
        from places p
        inner join arrived a on a.kind = 'rates' and p.measure <> 'installs'
            and a.date between p.date - {_RATE_DAYS} and p.date + p.reach_days
        group by all
        union all
        select p.app_id, p.date, p.measure, 'blocked', b.n
        from places p
        inner join (
            select app_id, date, sum(new_value - old_value)::bigint as n from changed
            where partner = 'blocked' and measure = 'installs' group by all having n <> 0
        ) b on p.app_id = b.app_id and p.date = b.date
        where p.measure <> 'cost_usd'
    )
    select app_id, date, measure,
        coalesce(sum(n) filter (kind in ('events', 'installs')), 0) as events,
        coalesce(sum(n) filter (kind = 'touches'), 0) as touches,
        coalesce(sum(n) filter (kind = 'consents'), 0) as consents,
        coalesce(sum(n) filter (kind = 'costs'), 0) as costs,
        coalesce(sum(n) filter (kind = 'rates'), 0) as rates,
        coalesce(sum(n) filter (kind = 'blocked'), 0) as blocked
    from found group by all
"""
# Cause, the condition under which it is one, and the words for it.
_CAUSES: Final = (
    ("cost_restated", "e.costs > 0", "'the partner stated the cost of the day again (' || e.costs || ' statements)'"),
    ("late_events", "e.events > 0", "e.events || ' app events of the days it rests on came after it was recorded'"),
    ("late_touches", "e.touches > 0", "e.touches || ' touches that may have led to the installs came later'"),
    ("late_consents", "e.consents > 0", "e.consents || ' consents came later'"),
    ("fraud_blocked", "e.blocked <> 0", "'installs of the day blocked as fraud changed by ' || e.blocked"),
    ("fx_rates", "e.rates > 0 or $fx_rates and c.measure <> 'installs'", "'exchange rates changed'"),
    ("fraud_rules", "$fraud_rules and c.measure <> 'cost_usd'", "'the fraud rules changed'"),
    ("rules", "$rules and c.measure <> 'cost_usd'", "'the rules changed'"),
    ("apps", "$apps", "'the apps of the home changed'"),
    ("models", "$models", "'the models changed'"),
)
_PARTS: Final = ("models", "rules", "fraud_rules", "fx_rates", "apps")
_OTHER: Final = ("other_days", "records of other days changed who was credited, as of the same devices or sites")
_UNTOLD: Final = ("unknown", "the log of bronze no longer reaches back to the last recording")


@dataclass(frozen=True, slots=True)
class Recording:
    """Outcome of `record_changes`: `first` values were recorded for the first time, `restated` were another before."""

    table_version: int
    first: int
    restated: int


def record_changes(
    con: duckdb.DuckDBPyConnection,
    snapshot: Mapping[str, int],
    settings: Settings,
    lake: Lake,
    *,
    run_id: str,
    recorded_at: datetime,
) -> Recording:
    """Append what is new in `gold.campaign_daily` of `con` against the last recorded values.

    `snapshot` holds the bronze versions that gold reflects; `recorded_at` (aware UTC) is when the values became known.
    """
    schema = PREDICTION_SCHEMAS[MEASURE_CHANGES]
    lake.create(MEASURE_CHANGES, schema, description="Values of campaign_daily as they changed from run to run")
    apps = load_apps(settings)
    state = {
        "bronze": {table: version for table, version in snapshot.items() if table.startswith("bronze/")},
        "parts": input_hashes(settings.dbt_project, apps, settings.rules_dir),
    }
    before = _last_state(lake)
    implied = [app.app_id for app in apps.apps.values() if app.implied_installs]
    rows = _changes(con, lake, before, state, implied, attribution_lookback_days(settings.dbt_project))
    count = len(rows["app_id"])
    if not count and before == state:
        return Recording(lake.version(MEASURE_CHANGES), 0, 0)
    done = lake.open(MEASURE_CHANGES).transaction_version(_WRITER)
    recording = 0 if done is None else done + 1
    rows |= {"recording": [recording] * count, "run_id": [run_id] * count, "recorded_at": [recorded_at] * count}
    data = pa.Table.from_arrays([pa.array(rows[field.name], field.type) for field in schema], schema=schema)
    lake.append_once(
        MEASURE_CHANGES, data, writer=_WRITER, batch=recording, metadata={"state": json.dumps(state, sort_keys=True)}
    )
    restated = sum(value is not None for value in rows["old_value"])
    return Recording(lake.version(MEASURE_CHANGES), count - restated, restated)


def _last_state(lake: Lake) -> dict[str, Any]:
    """Bronze versions and hashes of the last recording; empty before the first."""
    for commit in lake.open(MEASURE_CHANGES).history():
        if "state" in commit:
            state: dict[str, Any] = json.loads(commit["state"])
            return state
    return {}


def _changes(
    con: duckdb.DuckDBPyConnection,
    lake: Lake,
    before: Mapping[str, Any],
    state: Mapping[str, Any],
    implied: list[str],
    lookback_days: int,
) -> dict[str, list[Any]]:
    """Columns of the rows to append, in a fixed order."""
    con.execute("create schema if not exists recorded")
    create_view(con, lake, MEASURE_CHANGES, schema="recorded")
    con.execute(_CHANGED)
    consumed: Mapping[str, int] = before.get("bronze", {})
    other = _OTHER if before else _UNTOLD
    try:
        new = {t: new_files(lake, t, consumed.get(t), state["bronze"].get(t)) for t in bronze_schemas() if consumed}
    except FileNotFoundError:
        new, other = {}, _UNTOLD
    create_new_views(con, lake, new, state["bronze"])
    parts = before.get("parts", {})
    values: dict[str, Any] = {part: bool(parts) and parts.get(part) != state["parts"][part] for part in _PARTS}
    con.execute(_ARRIVED, {"implied": implied})
    con.execute("drop schema bronze_new cascade")
    con.execute("drop schema recorded cascade")
    con.execute(_EVIDENCE, {"lookback": lookback_days})
    causes = ", ".join(f"case when {condition} then '{cause}' end" for cause, condition, _ in _CAUSES)
    words = ", ".join(f"case when {condition} then {text} end" for _, condition, text in _CAUSES)
    found = con.execute(
        f"""
        select c.app_id, c.date, c.platform, c.partner, c.campaign_id, c.measure, c.old_value, c.new_value,
            case when c.old_value is null then 'first_recorded'
                else coalesce(nullif(concat_ws(',', {causes}), ''), $other_cause) end as causes,
            case when c.old_value is null then 'its days were over for the first time'
                else coalesce(nullif(concat_ws('; ', {words}), ''), $other_words) end as reason
        from changed c
        left join evidence e on c.app_id = e.app_id and c.date = e.date and c.measure = e.measure
        order by all
        """,
        values | {"other_cause": other[0], "other_words": other[1]},
    )
    names = [column[0] for column in found.description]
    rows = found.fetchall()
    for table in ("changed", "arrived", "evidence"):
        con.execute(f"drop table {table}")
    return {name: [row[place] for row in rows] for place, name in enumerate(names)}
