"""Binomial numbers against sums made by hand."""

import math

import pytest

from tallynet.audit.tails import binomial_tail, sample_size, upper_bound


@pytest.mark.parametrize(("successes", "trials", "rate"), [(1, 5, 0.3), (3, 10, 0.5), (10, 10, 0.9), (7, 200, 0.01)])
def test_tail_is_the_sum_of_the_terms(successes: int, trials: int, rate: float) -> None:
    terms = (math.comb(trials, k) * rate**k * (1 - rate) ** (trials - k) for k in range(successes, trials + 1))

    assert binomial_tail(successes, trials, rate) == pytest.approx(sum(terms))


def test_edges_of_the_tail() -> None:
    assert binomial_tail(0, 5, 0.0) == 1
    assert binomial_tail(1, 5, 0.0) == 0
    assert binomial_tail(5, 5, 1.0) == 1
    assert binomial_tail(6, 5, 0.5) == 0


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (0, 59), (1, 100), (5, 20)])
def test_at_the_bound_so_few_successes_are_just_as_rare_as_said(successes: int, trials: int) -> None:
    bound = upper_bound(successes, trials, 0.95)

    assert 1 - binomial_tail(successes + 1, trials, bound) == pytest.approx(0.05)


def test_no_success_in_59_leaves_five_percent() -> None:
    assert upper_bound(0, 59, 0.95) < 0.05 < upper_bound(0, 58, 0.95)
    assert sample_size(0.05, 0.95) == 59


def test_all_bad_leaves_everything() -> None:
    assert upper_bound(3, 3, 0.95) == 1
