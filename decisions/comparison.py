"""Decisions of a scenario beside the current ones, with money: the `whatif_*` tables of the scenario.

Revenue is what the current tables hold, on both sides, so a difference is one of credit, never of data. Every table
has a total order, and nothing but the inputs of the scenario is written, so the same inputs give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import duckdb

from decisions.earnings import EARNINGS
from decisions.scenario import COMPARED, Scenario
from lakehouse.engine import connect, create_view
from lakehouse.lake import Lake
from lakehouse.settings import Settings

INSTALLS: Final = "gold/whatif_installs"
MOVES: Final = "gold/whatif_moves"
CAMPAIGNS: Final = "gold/whatif_campaigns"
REASONS: Final = "gold/whatif_reasons"
TOTALS: Final = "gold/whatif_totals"

_SIDE: Final = """
    app_id, install_id, conversion_id, install_at, install_date, platform, is_organic, partner,
    coalesce(campaign_id, '') as campaign_id, campaign_name, touch_id, touch_type, touch_at, match_method,
    reason_code, ruleset_id
"""
_PREPARE: Final = f"""
    create temp table before as select {_SIDE} from gold.attributed_installs where is_primary;
    create temp table after as select {_SIDE} from scenario.attributed_installs where is_primary;
    create temp table known as
        select app_id, install_id, min(install_date) as install_date, min(install_at) as install_at
        from (from before union all by name from after) group by app_id, install_id;
"""

# A campaign is told by partner and campaign_id; `absent` stands for an install that the other side does not have.
_INSTALLS: Final = """
    create temp table changed as
    select
        coalesce(b.app_id, a.app_id) as app_id,
        coalesce(b.install_id, a.install_id) as install_id,
        coalesce(b.install_at, a.install_at) as install_at,
        coalesce(b.install_date, a.install_date) as install_date,
        coalesce(b.partner, 'absent') as from_partner,
        coalesce(b.campaign_id, '') as from_campaign_id,
        b.campaign_name as from_campaign_name,
        coalesce(a.partner, 'absent') as to_partner,
        coalesce(a.campaign_id, '') as to_campaign_id,
        a.campaign_name as to_campaign_name,
        (coalesce(b.partner, 'absent'), coalesce(b.campaign_id, ''))
            != (coalesce(a.partner, 'absent'), coalesce(a.campaign_id, '')) as is_moved,
        b.touch_id as from_touch_id, b.touch_type as from_touch_type, b.touch_at as from_touch_at,
        a.touch_id as to_touch_id, a.touch_type as to_touch_type, a.touch_at as to_touch_at,
        b.reason_code as from_reason_code, a.reason_code as to_reason_code,
        -- Of the touch that won before: what is said of it now. Of the one that wins now: what was said of it.
        case when b.touch_id is not null then coalesce(lost.reason_code, 'not_considered') end as loss_reason_code,
        case when a.touch_id is not null then coalesce(gained.reason_code, 'not_considered') end as gain_reason_code,
        money.revenue_d7_usd, money.revenue_d30_usd, money.revenue_usd
    from before as b
    full join after as a on b.app_id = a.app_id and b.install_id = a.install_id
    join money
        on coalesce(b.app_id, a.app_id) = money.app_id and coalesce(b.install_id, a.install_id) = money.install_id
    left join scenario.attribution_candidates as lost
        on b.app_id = lost.app_id and b.conversion_id = lost.conversion_id and b.touch_id = lost.touch_id
    left join gold.attribution_candidates as gained
        on a.app_id = gained.app_id and a.conversion_id = gained.conversion_id and a.touch_id = gained.touch_id
    where b.touch_id is distinct from a.touch_id
        or b.partner is distinct from a.partner
        or b.campaign_id is distinct from a.campaign_id
        or b.reason_code is distinct from a.reason_code
"""

_QUERIES: Final[Mapping[str, tuple[str, str]]] = {
    INSTALLS: (
        "Installs that are decided differently; one row per app_id and install_id.",
        "select * from changed order by app_id, install_id",
    ),
    MOVES: (
        "Installs that moved, by the campaign they had and the one they get; one row per app_id and pair of campaigns.",
        """
        select
            app_id, from_partner, from_campaign_id, max(from_campaign_name) as from_campaign_name,
            to_partner, to_campaign_id, max(to_campaign_name) as to_campaign_name,
            count(*) as installs,
            count(revenue_d7_usd) as mature_installs_d7, cast(sum(revenue_d7_usd) as decimal(18, 6)) as revenue_d7_usd,
            count(revenue_d30_usd) as mature_installs_d30,
            cast(sum(revenue_d30_usd) as decimal(18, 6)) as revenue_d30_usd,
            cast(sum(revenue_usd) as decimal(18, 6)) as revenue_usd
        from changed where is_moved
        group by app_id, from_partner, from_campaign_id, to_partner, to_campaign_id
        order by installs desc, app_id, from_partner, from_campaign_id, to_partner, to_campaign_id
        """,
    ),
    CAMPAIGNS: (
        "Installs, spend and revenue of every campaign before and after; one row per app_id, partner and campaign_id.",
        """
        with spent as (
            select
                app_id, partner, campaign_id, max(campaign_name) as campaign_name,
                cast(sum(cost_usd) as decimal(18, 6)) as cost_usd,
                cast(sum(case when is_mature_d7 then cost_usd else 0 end) as decimal(18, 6)) as cost_d7_usd,
                cast(sum(case when is_mature_d30 then cost_usd else 0 end) as decimal(18, 6)) as cost_d30_usd
            from gold.campaign_daily group by app_id, partner, campaign_id
        ),
        credited as (
            select 'before' as side, * from before union all by name select 'after' as side, * from after
        ),
        earned as (
            select
                app_id, partner, campaign_id, max(campaign_name) as campaign_name, side, count(*) as installs,
                cast(sum(coalesce(revenue_d7_usd, 0)) as decimal(18, 6)) as revenue_d7_usd,
                cast(sum(coalesce(revenue_d30_usd, 0)) as decimal(18, 6)) as revenue_d30_usd,
                cast(sum(revenue_usd) as decimal(18, 6)) as revenue_usd
            from credited join money using (app_id, install_id)
            group by app_id, partner, campaign_id, side
        ),
        keys as (
            select app_id, partner, campaign_id from spent union select app_id, partner, campaign_id from earned
        )
        select
            keys.app_id, keys.partner, keys.campaign_id,
            coalesce(spent.campaign_name, b.campaign_name, a.campaign_name) as campaign_name,
            coalesce(b.installs, 0) as installs_before, coalesce(a.installs, 0) as installs_after,
            cast(coalesce(spent.cost_usd, 0) as decimal(18, 6)) as cost_usd,
            cast(coalesce(spent.cost_d7_usd, 0) as decimal(18, 6)) as cost_d7_usd,
            cast(coalesce(spent.cost_d30_usd, 0) as decimal(18, 6)) as cost_d30_usd,
            cast(coalesce(b.revenue_d7_usd, 0) as decimal(18, 6)) as revenue_d7_before_usd,
            cast(coalesce(a.revenue_d7_usd, 0) as decimal(18, 6)) as revenue_d7_after_usd,
            cast(coalesce(b.revenue_d30_usd, 0) as decimal(18, 6)) as revenue_d30_before_usd,
            cast(coalesce(a.revenue_d30_usd, 0) as decimal(18, 6)) as revenue_d30_after_usd,
            cast(coalesce(b.revenue_usd, 0) as decimal(18, 6)) as revenue_before_usd,
            cast(coalesce(a.revenue_usd, 0) as decimal(18, 6)) as revenue_after_usd
        from keys
        left join spent using (app_id, partner, campaign_id)
        left join earned as b
            on keys.app_id = b.app_id and keys.partner = b.partner and keys.campaign_id = b.campaign_id
            and b.side = 'before'
        left join earned as a
            on keys.app_id = a.app_id and keys.partner = a.partner and keys.campaign_id = a.campaign_id
            and a.side = 'after'
        order by keys.app_id, keys.partner, keys.campaign_id
        """,
    ),
    REASONS: (
        "What is said now of touches that won, and was said of those that win; one row per app_id, subject and pair.",
        """
        select app_id, subject, from_reason_code, to_reason_code, count(*) as installs from (
            select app_id, 'touch that won' as subject, 'won' as from_reason_code, loss_reason_code as to_reason_code
            from changed where loss_reason_code != 'won'
            union all
            select app_id, 'touch that wins', gain_reason_code, 'won' from changed where gain_reason_code != 'won'
            union all
            select app_id, 'install', coalesce(from_reason_code, 'absent'), coalesce(to_reason_code, 'absent')
            from changed where from_reason_code is distinct from to_reason_code
        )
        group by all order by app_id, subject, installs desc, from_reason_code, to_reason_code
        """,
    ),
    TOTALS: (
        "Installs, paid and organic, before and after; one row per app_id.",
        """
        with sides as (select 'before' as side, * from before union all by name select 'after' as side, * from after)
        select
            app_id,
            count(*) filter (side = 'before') as installs_before, count(*) filter (side = 'after') as installs_after,
            count(*) filter (side = 'before' and touch_id is not null) as paid_before,
            count(*) filter (side = 'after' and touch_id is not null) as paid_after,
            (select count(*) from changed where changed.app_id = sides.app_id and is_moved) as moved,
            (select count(*) from changed where changed.app_id = sides.app_id) as changed,
            max(ruleset_id) filter (side = 'before') as ruleset_id_before,
            max(ruleset_id) filter (side = 'after') as ruleset_id_after
        from sides group by app_id order by app_id
        """,
    ),
}


def compare(settings: Settings, lake: Lake, scenario: Scenario) -> None:
    """Write the `whatif_*` tables of a scenario that is built."""
    own = scenario.lake(lake)
    connection = connect(settings, lake=lake, layers=())
    try:
        _make_views(connection, lake, scenario)
        connection.execute(_PREPARE)
        connection.execute(EARNINGS)
        connection.execute(_INSTALLS)
        for table, (description, query) in _QUERIES.items():
            own.overwrite(table, connection.sql(query).to_arrow_table(), description=description)
    finally:
        connection.close()


def read(lake: Lake, scenario: Scenario) -> dict[str, list[dict[str, Any]]]:
    """The rows of every `whatif_*` table, by its name, in their order."""
    own = scenario.lake(lake)
    return {table.partition("/")[2]: own.open(table).to_pyarrow_table().to_pylist() for table in _QUERIES}


def _make_views(connection: duckdb.DuckDBPyConnection, lake: Lake, scenario: Scenario) -> None:
    for schema in ("silver", "gold", "scenario"):
        connection.execute(f"create schema {schema}")
    for table in COMPARED:
        create_view(connection, lake, table, scenario.snapshot[table])
    own = scenario.lake(lake)
    for table in ("gold/attributed_installs", "gold/attribution_candidates"):
        create_view(connection, own, table, schema="scenario")
