"""BG/NBD and Gamma-Gamma by their closed likelihoods: the classic baseline for repeat purchases.

Belongs here: the two models of Fader, Hardie and Lee (2005), fitted by maximum likelihood. Does not belong here: how
their forecast is compared (`cdnow_benchmark`). Purchases of one day count as one; time is in weeks.

Known limits: a customer without a repeat purchase has P(alive) = 1, so `1 - P(alive)` is not a churn score, and two new
installs with equal history get equal forecasts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    import duckdb
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


# Purchases per day, then per customer of the spine; the mean is over repeat days with revenue, as the model asks.
_SUMMARY_SQL: Final = """
with days as (
    select s.row_id, a.event_us // 86400000000 as day, sum(a.amount_micros)::double / 1e6 as usd
    from ml_spine as s
    inner join ml_activity as a
        on s.inst = a.inst and a.event_us < s.as_of_us and a.known_us < s.known_by_us and a.kind = 'p'
    group by all
), numbered as (
    select row_id, day, usd, min(day) over (partition by row_id) as first_day from days
)
select
    (count(*) - 1)::double as frequency,
    (max(day) - min(day)) / 7.0::double as recency,
    (any_value(s.as_of_us) // 86400000000 - min(day)) / 7.0::double as age,
    count(*) filter (day > first_day and usd > 0)::double as paid_repeats,
    coalesce(sum((usd * 100)::bigint) filter (day > first_day and usd > 0), 0)::double / 100 as repeat_usd
from numbered inner join ml_spine as s on numbered.row_id = s.row_id
group by s.row_id
order by s.row_id
"""


@dataclass(frozen=True, slots=True)
class Summary:
    """Sufficient statistics by customer: repeat purchase days, week of the last one, weeks observed, repeat spend."""

    frequency: Array
    recency: Array
    age: Array
    paid_repeats: Array
    repeat_usd: Array


def read_summary(con: duckdb.DuckDBPyConnection) -> Summary:
    """Statistics of the purchases known before `as_of` of each row of `ml_spine`, in its order; buyers only."""
    columns = con.execute(_SUMMARY_SQL).fetchnumpy()
    return Summary(*(columns[name] for name in Summary.__dataclass_fields__))


@dataclass(frozen=True, slots=True)
class BgNbd:
    """Purchases are Poisson with gamma rates (r, alpha); after each a customer drops out with beta(a, b) chance."""

    r: float
    alpha: float
    a: float
    b: float

    def expected_purchases(self, weeks: float, summary: Summary) -> Array:
        """Expected purchase days in the next `weeks` weeks, given each customer's history."""
        import numpy as np
        from scipy.special import hyp2f1

        r, alpha, a, b = self.r, self.alpha, self.a, self.b
        x, recency, age = summary.frequency, summary.recency, summary.age
        shrink = ((alpha + age) / (alpha + age + weeks)) ** (r + x)
        series = hyp2f1(r + x, b + x, a + b + x - 1, weeks / (alpha + age + weeks))
        dropped = a / (b + np.maximum(x, 1) - 1) * ((alpha + age) / (alpha + recency)) ** (r + x)
        expected = (a + b + x - 1) / (a - 1) * (1 - shrink * series) / (1 + np.where(x > 0, dropped, 0))
        return np.asarray(expected, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class GammaGamma:
    """Spend per purchase is gamma with shape p, its scale gamma(q, v); independent of how often one buys."""

    p: float
    q: float
    v: float

    def expected_spend(self, summary: Summary) -> Array:
        """Expected spend per purchase day; the population's mean for customers without repeat spend."""
        n = self.p * summary.paid_repeats
        return self.p * (self.v + summary.repeat_usd) / (n + self.q - 1)


def fit_bgnbd(summary: Summary) -> BgNbd:
    """Maximum likelihood over customers with equal history taken together. RuntimeError if it does not converge."""
    import numpy as np
    from scipy.special import gammaln

    kinds, counts = np.unique(
        np.column_stack([summary.frequency, summary.recency, summary.age]), axis=0, return_counts=True
    )
    x, recency, age = kinds.T
    # Gamma functions depend on the frequency alone, of which there are few.
    few, which = np.unique(x, return_inverse=True)

    def loss(logs: Array) -> float:
        r, alpha, a, b = np.exp(logs)
        by_frequency = gammaln(r + few) - gammaln(r) + r * np.log(alpha)
        by_frequency += gammaln(a + b) + gammaln(b + few) - gammaln(b) - gammaln(a + b + few)
        dropping = np.where(few > 0, np.log(a) - np.log(b + np.maximum(few, 1) - 1), -np.inf)
        alive = -(r + x) * np.log(alpha + age)
        gone = dropping[which] - (r + x) * np.log(alpha + recency)
        each = by_frequency[which] + np.logaddexp(alive, gone)
        return -float((each * counts).sum()) / float(counts.sum())

    return BgNbd(*_minimise(loss, [-1.0, 1.0, 0.0, 0.5]))


def fit_gamma_gamma(summary: Summary) -> GammaGamma:
    """Maximum likelihood over customers with repeat spend. RuntimeError if it does not converge."""
    import numpy as np
    from scipy.special import gammaln

    has = summary.paid_repeats > 0
    n, total = summary.paid_repeats[has], summary.repeat_usd[has]

    def loss(logs: Array) -> float:
        p, q, v = np.exp(logs)
        each = gammaln(p * n + q) - gammaln(p * n) - gammaln(q) + q * np.log(v) + (p * n - 1) * np.log(total / n)
        each += p * n * np.log(n) - (p * n + q) * np.log(total + v)
        return -float(each.mean())

    return GammaGamma(*_minimise(loss, [1.0, 1.0, 2.0]))


def _minimise(loss: Callable[[Array], float], start: list[float]) -> list[float]:
    """Minimum over the logarithms of positive parameters, as the parameters."""
    import numpy as np
    from scipy.optimize import minimize

    found = minimize(loss, np.array(start), method="L-BFGS-B", options={"ftol": 1e-12, "gtol": 1e-7})
    if not found.success and "ABNORMAL" not in str(found.message):
        raise RuntimeError(f"maximum likelihood did not converge: {found.message}")
    return [float(value) for value in np.exp(found.x)]
