"""Markov and Shapley: vectors worked out by hand as fractions, and what must hold of any journeys."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models_ml.multi_touch import markov as markov_module
from models_ml.multi_touch.apportion import apportion
from models_ml.multi_touch.journeys import Journey, without_repeats
from models_ml.multi_touch.markov import TooManyStatesError, markov
from models_ml.multi_touch.shapley import shapley

A, B, C = range(3)
# Path, conversions, losses; 7 conversions of 18 journeys.
GOLDEN = [
    Journey((A, B), 3, 1),
    Journey((A,), 1, 3),
    Journey((B,), 2, 2),
    Journey((B, A, C), 1, 1),
    Journey((C,), 0, 4),
]
CONVERSIONS = 7


def close(found: object, expected: list[Fraction]) -> None:
    np.testing.assert_allclose(np.asarray(found), [float(x) for x in expected], rtol=0, atol=1e-12)


def test_markov_of_order_1_gives_the_golden_vector() -> None:
    result = markov(GOLDEN, 3)
    assert result.conversion_rate == pytest.approx(7 / 18, abs=1e-12)
    close(result.removal_effects, [Fraction(10, 21), Fraction(79, 105), Fraction(1, 7)])
    close(result.shares * CONVERSIONS, [Fraction(175, 72), Fraction(553, 144), Fraction(35, 48)])


def test_shapley_by_rate_gives_the_golden_vector() -> None:
    result = shapley(GOLDEN, 3)
    close(result.raw, [Fraction(65, 432), Fraction(73, 216), Fraction(-43, 432)])
    close(result.shares * CONVERSIONS, [Fraction(455, 211), Fraction(1022, 211), Fraction(0)])
    assert result.standard_errors is None


def test_higher_orders_remember_what_came_before() -> None:
    """B converts after A and never alone: at order 1 a removed A leaves B's own rate, at order 2 it leaves nothing."""
    journeys = [Journey((A, B), 2, 0), Journey((B,), 0, 2)]
    close(markov(journeys, 2, order=1).removal_effects, [Fraction(1, 2), Fraction(1)])
    close(markov(journeys, 2, order=2).removal_effects, [Fraction(1), Fraction(1)])


def test_an_order_that_covers_every_journey_loses_the_journeys_with_the_channel() -> None:
    """With whole paths as states, removal loses exactly the conversions of the paths that have the channel."""
    close(markov(GOLDEN, 3, order=3).removal_effects, [Fraction(5, 7), Fraction(6, 7), Fraction(1, 7)])


def test_money_follows_the_conversions_that_earn_it() -> None:
    """A and B convert alike, but a conversion through B earns three times as much."""
    journeys = [Journey((A,), 2, 2, (2.0, 0.0)), Journey((B,), 2, 2, (6.0, 0.0))]
    by_removal, by_coalition = markov(journeys, 2), shapley(journeys, 2)
    close(by_removal.shares, [Fraction(1, 2), Fraction(1, 2)])
    close(by_removal.value_shares[0], [Fraction(1, 4), Fraction(3, 4)])
    # By rate, A adds half a dollar a journey to nobody and takes half a dollar from B's one and a half.
    close(by_coalition.value_shares[0], [Fraction(0), Fraction(1)])
    # Nothing earned: money is shared as conversions are.
    close(by_removal.value_shares[1], [Fraction(1, 2), Fraction(1, 2)])
    close(by_coalition.value_shares[1], [Fraction(1, 2), Fraction(1, 2)])


def test_money_lost_to_refunds_is_shared_as_conversions_are() -> None:
    journeys = [Journey((A,), 1, 1, (-5.0,)), Journey((B,), 3, 1, (1.0,))]
    result = markov(journeys, 2)
    close(result.value_shares[0], [Fraction(x) for x in result.shares])


def test_too_many_states_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markov_module, "MAX_STATES", 3)
    assert markov([Journey((A, B), 1)], 2).conversion_rate == 1
    with pytest.raises(TooManyStatesError, match="order 1 have more than 3 states"):
        markov([Journey((A, B, C), 1)], 3)


def test_an_order_below_1_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1, not 0"):
        markov(GOLDEN, 3, order=0)


def test_sampled_shapley_states_an_error_that_holds() -> None:
    """Fourteen channels, so sampled by default; the exact values lie within five standard errors."""
    rng = np.random.default_rng(3)
    journeys = [
        Journey(tuple(rng.choice(14, size=rng.integers(1, 5), replace=False).tolist()), int(n % 3), int(n % 5) + 1)
        for n in range(300)
    ]
    sampled, exact = shapley(journeys, 14, seed=5), shapley(journeys, 14, exact_channels=14)
    assert sampled.standard_errors is not None
    assert (sampled.standard_errors > 0).all()
    assert (np.abs(sampled.raw - exact.raw) < 5 * sampled.standard_errors).all()
    assert sampled.standard_errors.max() < 0.02
    assert sampled.raw.sum() == pytest.approx(exact.raw.sum(), abs=1e-12), "every order of arrival adds up to the whole"
    np.testing.assert_array_equal(shapley(journeys, 14, seed=5).raw, sampled.raw)
    assert not np.array_equal(shapley(journeys, 14, seed=6).raw, sampled.raw)
    errors = sampled.share_errors
    assert errors is not None
    np.testing.assert_allclose(errors, sampled.standard_errors / np.maximum(sampled.raw, 0).sum())


def test_a_standard_error_needs_two_permutations() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        shapley(GOLDEN, 3, permutations=1)


CHANNELS = 4
UNSEEN = CHANNELS
PATHS = st.lists(st.integers(0, CHANNELS - 1), min_size=1, max_size=5).map(tuple)
JOURNEYS = st.lists(
    st.builds(
        lambda path, conversions, losses, value: Journey(path, conversions, losses, (float(value),)),
        PATHS,
        st.integers(0, 5),
        st.integers(0, 5),
        st.integers(-3, 20),
    ),
    min_size=1,
    max_size=8,
).filter(lambda journeys: any(j.conversions for j in journeys))


def swapped(journeys: list[Journey]) -> list[Journey]:
    """The same journeys with the channels 0 and 1 in each other's place."""
    other = {0: 1, 1: 0}
    return [Journey(tuple(other.get(c, c) for c in j.channels), j.conversions, j.losses, j.values) for j in journeys]


@given(JOURNEYS, st.integers(1, 3))
def test_shares_are_not_negative_sum_to_1_and_leave_out_the_unseen(journeys: list[Journey], order: int) -> None:
    for result in (
        markov(journeys, CHANNELS + 1, order=order),
        shapley(journeys, CHANNELS + 1),
        shapley(journeys, CHANNELS + 1, exact_channels=1, permutations=20),
    ):
        for shares in (result.shares, *result.value_shares):
            assert shares.min() >= 0
            assert shares.sum() == pytest.approx(1, abs=1e-9)
            assert shares[UNSEEN] == 0


@given(JOURNEYS)
def test_order_1_does_not_mind_repeats(journeys: list[Journey]) -> None:
    as_they_are, once = markov(journeys, CHANNELS), markov(without_repeats(journeys), CHANNELS)
    np.testing.assert_allclose(as_they_are.removal_effects, once.removal_effects, atol=1e-9)
    np.testing.assert_allclose(as_they_are.value_shares[0], once.value_shares[0], atol=1e-7)


@given(JOURNEYS, st.integers(1, 3))
def test_channels_in_the_same_position_get_the_same(journeys: list[Journey], order: int) -> None:
    both_ways = without_repeats([*journeys, *swapped(journeys)])
    for result in (markov(both_ways, CHANNELS, order=order), shapley(both_ways, CHANNELS)):
        assert result.shares[0] == pytest.approx(result.shares[1], abs=1e-9)


@given(JOURNEYS, st.integers(1, 3))
def test_removal_loses_what_a_chain_without_the_channel_does_not_convert(journeys: list[Journey], order: int) -> None:
    """The closed form against the definition: solve the chain again with every visit to the channel sent to (null)."""
    states, steps, ends = markov_module._count(journeys, order)
    transitions, outcomes = markov_module._probabilities(steps, ends)
    result = markov(journeys, CHANNELS, order=order)
    for channel in range(CHANNELS):
        kept = transitions.copy()
        kept[:, [n for n, state in enumerate(states) if state and state[-1] == channel]] = 0
        rate = np.linalg.solve(np.eye(len(states)) - kept, outcomes[:, 0])[0]
        assert result.removal_effects[channel] == pytest.approx(1 - rate / result.conversion_rate, abs=1e-9)


@given(JOURNEYS)
def test_the_conversion_rate_is_that_of_the_journeys(journeys: list[Journey]) -> None:
    conversions, count = sum(j.conversions for j in journeys), sum(j.count for j in journeys)
    assert markov(journeys, CHANNELS).conversion_rate == pytest.approx(conversions / count, abs=1e-9)


@given(JOURNEYS)
def test_shapley_values_sum_to_the_rate_and_null_players_get_nothing(journeys: list[Journey]) -> None:
    raw = shapley(journeys, CHANNELS + 1).raw
    conversions, count = sum(j.conversions for j in journeys), sum(j.count for j in journeys)
    assert raw.sum() == pytest.approx(conversions / count, abs=1e-9)
    assert raw[UNSEEN] == 0


@given(JOURNEYS)
def test_shapley_is_symmetric_before_flooring(journeys: list[Journey]) -> None:
    raw, other = shapley(journeys, CHANNELS).raw, shapley(swapped(journeys), CHANNELS).raw
    np.testing.assert_allclose(raw[[1, 0, 2, 3]], other, atol=1e-9)


@given(JOURNEYS)
def test_merging_keeps_what_there_was(journeys: list[Journey]) -> None:
    merged = without_repeats(journeys)
    assert sum(j.conversions for j in merged) == sum(j.conversions for j in journeys)
    assert sum(j.losses for j in merged) == sum(j.losses for j in journeys)
    assert sum(j.values[0] for j in merged) == sum(j.values[0] for j in journeys)
    assert merged == without_repeats(reversed(journeys))
    assert all(a != b for j in merged for a, b in zip(j.channels, j.channels[1:], strict=False))


@given(
    st.integers(-(10**12), 10**12),
    st.lists(st.floats(0, 1, allow_subnormal=False), min_size=1, max_size=20).filter(any),
)
def test_units_are_split_without_a_rest(units: int, weights: list[float]) -> None:
    parts = apportion(units, weights)
    total = sum(Fraction(w) for w in weights)
    assert sum(parts) == units
    assert all(abs(part - units * Fraction(w) / total) < 1 for part, w in zip(parts, weights, strict=True))
    assert all(part == 0 for part, w in zip(parts, weights, strict=True) if w == 0)


def test_the_rest_goes_to_the_largest_remainder_then_to_the_first() -> None:
    assert apportion(10, [1, 1, 1]) == [4, 3, 3]
    assert apportion(-10, [1, 1, 1]) == [-3, -3, -4]
    assert apportion(10, [5, 3, 3]) == [4, 3, 3]


@pytest.mark.parametrize("weights", [[0.0, 0.0], [1.0, -0.5]])
def test_units_without_a_positive_weight_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="not negative and not all zero"):
        apportion(1, weights)
