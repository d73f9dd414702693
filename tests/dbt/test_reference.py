"""The SQL models against the rules told in plain loops, over worlds made to break one of the two."""

from __future__ import annotations

import pprint
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded

from tests.dbt import hostile_worlds, reference
from tests.dbt.compiled import MARTS, Models
from tests.dbt.reference_credits import earns
from tests.dbt.reference_terms import Attribution, Candidate, Conversion, Credit, Decision
from tests.dbt.rulebook import World
from tests.dbt.runner import Dbt
from tests.dbt.world import Home

Row = dict[str, Any]
VARIABLES = {
    "max_touches_per_fingerprint": hostile_worlds.MAX_TOUCHES_ALIKE,
    "max_installs_per_device_id": hostile_worlds.MAX_INSTALLS_PER_DEVICE_ID,
}
# Each example holds about ten apps, and each app is a world of its own under rules that it shares with the others.
FAST_EXAMPLES = 16
SLOW_EXAMPLES = 100


@pytest.fixture(scope="module")
def models(dbt: Dbt, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Models]:
    home = Home(tmp_path_factory.mktemp("compiled"))
    built = Models(dbt.compiled(home.folder, *MARTS, variables=VARIABLES))
    yield built
    built.close()


def bounded(examples: int) -> settings:
    """No clock, no data base; shrinking is ours, as a try costs half a second."""
    return settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


@pytest.mark.timeout(600)  # the first to call dbt pays for parsing the project
@seeded(1)
@bounded(FAST_EXAMPLES)
@given(world=hostile_worlds.worlds)
def test_the_models_say_what_the_rules_say(models: Models, world: World) -> None:
    agree(models, world)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(4))
def test_the_models_say_what_the_rules_say_in_thousands_of_apps(models: Models, seed: int) -> None:
    @seeded(1_000 + seed)
    @bounded(SLOW_EXAMPLES)
    @given(world=hostile_worlds.worlds)
    def compare(world: World) -> None:
        agree(models, world)

    compare()


def agree(models: Models, world: World) -> None:
    """Fails with the smallest part of the world in which models and rules differ."""
    if difference(models, world):
        small = hostile_worlds.smallest(world, lambda less: bool(difference(models, less)))
        raise AssertionError(f"{difference(models, small)}\n{pprint.pformat(small, width=200)}")


def difference(models: Models, world: World) -> str:
    """The first table that is not as the rules say, and how; empty if all are."""
    models.run(world)
    said = reference.attribute(world)
    for table, rows in expected(said).items():
        columns = list(rows[0]) if rows else ["app_id"]
        found = models.rows(table, columns)
        wanted = [tuple(row.values()) for row in rows]
        if Counter(found) != Counter(wanted):
            wrong, missing = (list((Counter(x) - Counter(y)).elements()) for x, y in ((found, wanted), (wanted, found)))
            return f"{table} {columns}\n the models have {wrong}\n the rules say {missing}"
    named = models.rows("attribution_decisions", ["app_id", "conversion_id", "ruleset_id"])
    texts = {(c.app_id, c.conversion_id): world.rules.text_in_force(c.app_id, c.day) for c in said.conversions}
    pairs = {(name, texts[app_id, conversion_id]) for app_id, conversion_id, name in named}
    if len({name for name, _ in pairs}) != len(pairs) or len({text for _, text in pairs}) != len(pairs):
        return "the same rules have two names, or one name stands for two sets of rules"
    return ""


def expected(said: Attribution) -> dict[str, list[Row]]:
    """What the tables must hold, in the columns that are compared."""
    return {
        "int_conversions": [conversion_row(conversion) for conversion in said.conversions],
        "attribution_candidates": [candidate_row(c) for decision in said.decisions for c in decision.candidates],
        "attribution_decisions": [decision_row(decision) for decision in said.decisions],
        "attributed_installs": [install_row(d) for d in said.decisions if d.conversion.kind == "install"],
        "attributed_events": [credit_row(credit, winner_of(said, credit.conversion)) for credit in said.credits],
    }


def conversion_row(conversion: Conversion) -> Row:
    place, policy = conversion.place, conversion.policy
    return key_of(conversion) | {
        "conversion_type": conversion.kind,
        "is_counted": conversion.kind == "install",
        "install_id": conversion.install.record.install_id,
        "install_at": conversion.install.at,
        "conversion_at": conversion.at,
        "conversion_date": conversion.day,
        "platform": conversion.install.platform,
        "device_id": place.device_id,
        "install_number": place.number,
        "counted_install_id": place.counted.record.install_id,
        "counted_install_at": place.counted.at,
        "needs_retargeting": conversion.needs_retargeting,
        "reinstall_policy": policy.reinstall_policy,
        "inactivity_days": policy.inactivity_days,
        "reengagement_window_days": policy.reengagement_window_days,
        "event_attribution": policy.event_attribution,
        "rank_order": policy.rank_order,
    }


def candidate_row(candidate: Candidate) -> Row:
    conversion, touch = candidate.conversion, candidate.touch
    return key_of(conversion) | {
        "touch_id": touch.record_id,
        "touch_type": touch.record_type,
        "touch_at": touch.event_at,
        "partner": lower(touch.partner),
        "is_retargeting": bool(touch.is_retargeting),
        "match_method": candidate.method,
        "match_class": candidate.match_class,
        "match_confidence": candidate.confidence,
        "elapsed_s": int((conversion.at - touch.event_at) / timedelta(seconds=1)),
        "window_s": candidate.window_s,
        "is_eligible": candidate.drop_reason is None,
        "candidate_rank": candidate.rank,
        "is_winner": candidate.rank == 1,
        "reason_code": candidate.reason,
    }


def decision_row(decision: Decision) -> Row:
    conversion = decision.conversion
    return key_of(conversion) | {
        "conversion_type": conversion.kind,
        "is_counted": conversion.kind == "install",
        "counted_install_id": conversion.place.counted.record.install_id,
        "touch_id": decision.winner.touch.record_id if decision.winner else None,
        "candidate_count": len(decision.candidates),
        "eligible_count": len([c for c in decision.candidates if c.drop_reason is None]),
        "is_organic": decision.winner is None and decision.reason != "kept_original",
        "reason_code": decision.reason,
        "is_primary": True,
    }


def install_row(decision: Decision) -> Row:
    winner = decision.winner
    return key_of(decision.conversion) | {
        "install_id": decision.conversion.install.record.install_id,
        "partner": partner_of(winner),
        "is_organic": winner is None,
        "touch_id": winner.touch.record_id if winner else None,
        "match_method": winner.method if winner else None,
        "reason_code": decision.reason,
    }


def credit_row(credit: Credit, winner: Candidate | None) -> Row:
    event = credit.event
    is_earning = earns(event)
    kind = "ad" if event.record_type == "ad_revenue" else "purchase"
    return key_of(credit.conversion) | {
        "record_id": event.record_id,
        "is_primary": credit.is_primary,
        "record_type": event.record_type,
        "event_at": event.event_at,
        "install_id": credit.install_id,
        "partner": partner_of(winner),
        "campaign_id": winner.touch.campaign_id if winner else None,
        "is_organic": winner is None,
        "is_retargeting": credit.is_retargeting,
        "is_inherited": credit.is_inherited,
        "revenue_kind": kind if is_earning else None,
        "amount_micros": event.revenue_micros if is_earning else None,
        "revenue_usd": credit.revenue_usd,
    }


def key_of(conversion: Conversion) -> Row:
    return {"app_id": conversion.app_id, "conversion_id": conversion.conversion_id}


def partner_of(winner: Candidate | None) -> str:
    return "organic" if winner is None else lower(winner.touch.partner) or "unknown"


def lower(text: str | None) -> str | None:
    return None if text is None else text.lower()


def winner_of(said: Attribution, conversion: Conversion) -> Candidate | None:
    return next(d.winner for d in said.decisions if key_of(d.conversion) == key_of(conversion))
