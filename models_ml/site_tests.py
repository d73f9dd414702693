"""Statistical tests of sites: does the traffic of a partner's site behave like traffic of people?

Belongs here: the tests as pure functions of counts and times, and the judging of all sites of a lake. They accuse no
touch and block nothing: their table is where a person finds what to write a rule about. The flags that rules act on are
SQL, in `dbt_project/models/intermediate/int_site_flags.sql`.

A site is judged per app and calendar month of install (UTC) from 50 installs on, by the last click before each install
that shares an id with it, whoever won: a rule that rejects a site must not make it look clean. Beside a site stands a
baseline: the clean sources of `rule_fraud_baselines`, or else all other sites of the app. Many tests at once find
something by chance, so the p-values of an app's month become q-values by Benjamini and Hochberg: of the rows with q
below 0.01, at most one in a hundred is expected to be chance. `is_suspicious` asks for that and for an effect that
matters, as with many installs any difference is certain.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final, Literal

from lakehouse.lake import Lake
from lakehouse.predictions import PREDICTION_SCHEMAS
from models_ml.results import ScoringResult
from models_ml.tracking import delta_tags

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from lakehouse.settings import Settings

    Array = NDArray[np.float64]

TABLE: Final = "ml/predictions_fraud_sites"
INPUTS: Final = ("gold/attribution_candidates", "silver/stg_touchpoints", "rules/rule_fraud_baselines")
MIN_INSTALLS: Final = 50
SHORT_S: Final = 10
HOUR_S: Final = 3_600
MAX_Q: Final = 0.01
# How far from the baseline is far enough to matter: shares, and the Kolmogorov-Smirnov distance.
MIN_SHORT_EXCESS: Final = 0.05
MIN_HOUR_GAP: Final = 0.25
MIN_DISTANCE: Final = 0.3

# Touches after the install, in another environment or out of their window tell nothing about what led to it.
_CLICKS: Final = """
    select app_id, conversion_id, date_trunc('month', install_date)::date as period_date,
        coalesce(partner, '') as partner, coalesce(site_id, '') as site_id, elapsed_s::double as elapsed_s,
        row_number() over (partition by app_id, conversion_id order by touch_at desc, touch_id) as recency
    from gold.attribution_candidates
    where touch_type = 'click' and elapsed_s between 0 and window_s and reason_code <> 'environment_mismatch'
"""
_SITES: Final = f"""
    with clicks as ({_CLICKS}),
    installs as (
        select app_id, period_date, partner, site_id,
            list(elapsed_s order by elapsed_s) filter (recency = 1) as times,
            count(distinct conversion_id) filter (recency = 1) as last_clicks,
            count(distinct conversion_id) as touched
        from clicks group by all
    ),
    sent as (
        select app_id, date_trunc('month', event_date)::date as period_date, coalesce(partner, '') as partner,
            coalesce(site_id, '') as site_id, count(*) as clicks
        from silver.stg_touchpoints
        where record_type = 'click' and environment = 'production' group by all
    ),
    clean as (select distinct app_id, partner, site_id from rules.rule_fraud_baselines)
    select i.app_id, i.period_date, i.partner, i.site_id, i.times, i.last_clicks, i.touched,
        coalesce(s.clicks, 0) as clicks,
        exists (
            from clean c where c.app_id in (i.app_id, '*') and c.partner = i.partner and c.site_id in (i.site_id, '*')
        ) as is_clean
    from installs i left join sent s using (app_id, period_date, partner, site_id)
    where i.last_clicks > 0
    order by all
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One test of one site; `p_value` is None for what only ranks."""

    test: str
    n: int
    statistic: float
    baseline: float | None
    p_value: float | None
    is_large: bool


@dataclass(frozen=True, slots=True)
class Others:
    """Sorted times from click to open to compare with: `pool` without the site's own times, if it `holds_own`.

    Taking the site out by counting, not by copying, keeps thousands of sites cheap.
    """

    pool: Array
    own: Array
    holds_own: bool

    def __len__(self) -> int:
        return len(self.pool) - (len(self.own) if self.holds_own else 0)

    def up_to(self, seconds: Any, *, side: Literal["left", "right"] = "right") -> Any:
        """How many of the others are at or below (right) or below (left) each value."""
        import numpy as np

        counts = np.searchsorted(self.pool, seconds, side=side)
        return counts - np.searchsorted(self.own, seconds, side=side) if self.holds_own else counts


def short_share(times: Array, others: Others) -> Finding:
    """Share of installs within 10 s of the click: exact one-sided binomial test against the share of the others."""
    from scipy.stats import binom

    count = int((times < SHORT_S).sum())
    # One install more and one less keep a baseline of none from making one of ours impossible.
    usual = (float(others.up_to(SHORT_S, side="left")) + 1) / (len(others) + 2)
    share = count / len(times)
    p = float(binom.sf(count - 1, len(times), usual))
    return Finding("ctit_under_10s", len(times), share, usual, p, share - usual > MIN_SHORT_EXCESS)


def hour_share(times: Array, others: Others) -> Finding:
    """Share of installs within the hour of the click: two-sided z test of two proportions."""
    ours, theirs = float((times <= HOUR_S).mean()), float(others.up_to(HOUR_S)) / len(others)
    p = two_proportions(ours, len(times), theirs, len(others))
    return Finding("ctit_in_hour_1", len(times), ours, theirs, p, abs(ours - theirs) > MIN_HOUR_GAP)


def two_proportions(ours: float, n: int, theirs: float, m: int) -> float:
    """p of the two-sided z test that two shares are equal, by their pooled variance; 1 if both are 0 or both 1."""
    from scipy.stats import norm

    pooled = (ours * n + theirs * m) / (n + m)
    spread = pooled * (1 - pooled) * (1 / n + 1 / m)
    if spread <= 0:
        return 1.0
    return float(2 * norm.sf(abs(ours - theirs) / spread**0.5))


def ctit_distance(times: Array, others: Others) -> Finding:
    """Largest gap between the two distributions of click to open: Kolmogorov-Smirnov, two-sided, asymptotic p.

    Between two of our times only the other distribution rises, so the gap is largest at or just before one of them.
    """
    import numpy as np
    from scipy.stats import kstwo

    n, m = len(times), len(others)
    at = np.abs(np.searchsorted(times, times, side="right") / n - others.up_to(times) / m)
    before = np.abs(np.searchsorted(times, times) / n - others.up_to(times, side="left") / m)
    distance = float(max(at.max(), before.max()))
    p = float(kstwo.sf(distance, round(n * m / (n + m))))
    return Finding("ctit_distance", n, distance, 0.0, p, distance > MIN_DISTANCE)


def percentile(value: float, others: Array) -> float:
    """Part of all values at or below `value`, ties counted half; 0 is the least, 1 the greatest."""
    if not len(others):
        return 0.5
    return (float((others < value).sum()) + 0.5 * float((others == value).sum())) / len(others)


def q_values(p_values: Array) -> Array:
    """Benjamini-Hochberg: the least false discovery rate at which each test would be rejected."""
    import numpy as np

    order = np.argsort(p_values, kind="stable")
    ranked = p_values[order] * len(p_values) / np.arange(1, len(p_values) + 1)
    out = np.empty(len(p_values))
    out[order] = np.minimum(np.minimum.accumulate(ranked[::-1])[::-1], 1.0)
    return out


def judge_sites(con: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Rows of the table, ordered by its key. `con` shows gold, silver and rules."""
    import numpy as np

    sites = con.sql(_SITES).to_arrow_table().to_pylist()
    for site in sites:
        site["times"] = np.array(site["times"], dtype=np.float64)
    groups: dict[tuple[str, date], list[dict[str, Any]]] = {}
    for site in sites:
        groups.setdefault((site["app_id"], site["period_date"]), []).append(site)
    return [row for _, group in sorted(groups.items()) for row in _judge_group(group)]


def score_sites(
    con: duckdb.DuckDBPyConnection, snapshot: Mapping[str, int], settings: Settings, *, lake: Lake | None = None
) -> ScoringResult:
    """Judge all sites and write the table; nothing is written if it already holds exactly these rows."""
    import pyarrow as pa

    started = time.monotonic()
    lake = lake or Lake(settings.lake, settings.storage_options)
    rows = judge_sites(con)
    schema = PREDICTION_SCHEMAS[TABLE]
    columns = [pa.array([row[field.name] for row in rows], field.type) for field in schema]
    table = pa.Table.from_arrays(columns, schema=schema)
    versions = {name: int(snapshot[name]) for name in INPUTS if name in snapshot}
    is_changed = not _holds(lake, table)
    if is_changed:
        lake.overwrite(TABLE, table, metadata=delta_tags(versions))
    return ScoringResult(
        task="fraud_sites",
        table=TABLE,
        table_version=lake.version(TABLE),
        rows=len(rows),
        is_changed=is_changed,
        models={},
        as_of={},
        delta_versions=versions,
        seconds=time.monotonic() - started,
    )


def _judge_group(sites: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All tests of an app's month, with their q-values."""
    import numpy as np

    found: list[tuple[dict[str, Any], Finding]] = []
    pools = _pools(sites)
    large = [site for site in sites if site["last_clicks"] >= MIN_INSTALLS]
    rates = np.array([site["last_clicks"] / site["clicks"] for site in large if site["clicks"]])
    assists = np.array([_assist_share(site) for site in large])
    for site in large:
        others = _others(site, *pools)
        if len(others) >= MIN_INSTALLS:
            tests = (short_share, hour_share, ctit_distance)
            found += [(site, test(site["times"], others)) for test in tests]
        n = int(site["last_clicks"])
        if site["clicks"]:
            rank = percentile(n / site["clicks"], rates)
            found.append((site, Finding("cvr_percentile", n, rank, None, None, False)))
        rank = percentile(_assist_share(site), assists)
        found.append((site, Finding("assist_percentile", n, rank, None, None, False)))
    told = [finding.p_value for _, finding in found if finding.p_value is not None]
    q = iter(q_values(np.array(told)))
    return [_row(site, finding, None if finding.p_value is None else float(next(q))) for site, finding in found]


def _pools(sites: list[dict[str, Any]]) -> tuple[Array, Array]:
    """Sorted times of the clean sources and of all sites."""
    import numpy as np

    clean = [site["times"] for site in sites if site["is_clean"]]
    return np.sort(np.concatenate([np.zeros(0), *clean])), np.sort(np.concatenate([site["times"] for site in sites]))


def _others(site: dict[str, Any], clean: Array, everything: Array) -> Others:
    """The clean sources beside the site if they are enough, else all other sites of the app."""
    known = Others(clean, site["times"], site["is_clean"])
    return known if len(known) >= MIN_INSTALLS else Others(everything, site["times"], holds_own=True)


def _assist_share(site: dict[str, Any]) -> float:
    """Part of the installs a site touched in which another click came later."""
    return float(1 - site["last_clicks"] / site["touched"])


def _row(site: dict[str, Any], finding: Finding, q: float | None) -> dict[str, Any]:
    return {
        "app_id": site["app_id"],
        "period_date": site["period_date"],
        "partner": site["partner"],
        "site_id": site["site_id"],
        "test": finding.test,
        "n": finding.n,
        "statistic": finding.statistic,
        "baseline": finding.baseline,
        "p_value": finding.p_value,
        "q_value": q,
        "is_suspicious": q is not None and q < MAX_Q and finding.is_large,
    }


def _holds(lake: Lake, table: pa.Table) -> bool:
    if not lake.exists(TABLE) or lake.schema(TABLE).names != table.schema.names:
        return False
    keys = [(name, "ascending") for name in ("app_id", "period_date", "partner", "site_id", "test")]
    kept = lake.open(TABLE).to_pyarrow_table().cast(table.schema).sort_by(keys)
    return bool(kept.equals(table.sort_by(keys)))
