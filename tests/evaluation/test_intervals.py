"""Intervals against numbers that are known, and against what they promise."""

import math
from random import Random

import pytest

from tallynet.evaluation.bootstrap import Sums, estimate_by_bootstrap
from tallynet.evaluation.intervals import estimate_share


def mean(sums: Sums) -> float:
    return sums[0] / sums[1]


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [
        (0, 10, 0.0, 0.277533),
        (10, 10, 0.722467, 1.0),
        (1, 4, 0.045587, 0.699358),
        (50, 100, 0.403832, 0.596168),
        (81, 263, 0.255289, 0.366210),  # Newcombe 1998, table I: 0.2553 to 0.3662
    ],
)
def test_wilson_s_interval_is_the_published_one(count: int, of: int, low: float, high: float) -> None:
    found = estimate_share(count, of)

    assert found.value == count / of
    assert [found.low, found.high] == pytest.approx([low, high], abs=2e-6)


def test_one_item_has_an_interval_without_width() -> None:
    found = estimate_by_bootstrap([(3.0, 2.0)], mean)

    assert (found.value, found.low, found.high) == (1.5, 1.5, 1.5)


def test_the_bootstrap_of_a_mean_is_as_wide_as_its_standard_error_says() -> None:
    random = Random(5)
    values = [random.gauss(10, 2) for _ in range(400)]
    average = sum(values) / 400
    error = math.sqrt(sum((value - average) ** 2 for value in values) / 400 / 400)

    found = estimate_by_bootstrap([(value, 1.0) for value in values], mean)

    assert found.value == pytest.approx(average)
    assert found.low == pytest.approx(average - 1.96 * error, abs=0.15 * error)
    assert found.high == pytest.approx(average + 1.96 * error, abs=0.15 * error)


def test_the_same_items_give_the_same_interval() -> None:
    items = [(float(number % 7), 1.0) for number in range(50)]

    found = estimate_by_bootstrap(items, mean)

    assert found == estimate_by_bootstrap(items, mean)
    assert (round(found.low, 6), round(found.high, 6)) == (2.38, 3.5)


def test_intervals_of_samples_hold_the_truth_about_as_often_as_they_say() -> None:
    """Of 100 samples of 40 items each; a bootstrap of so few items is a little too narrow."""
    random, held = Random(11), 0
    for _ in range(100):
        found = estimate_by_bootstrap([(random.expovariate(1.0), 1.0) for _ in range(40)], mean)
        held += found.low <= 1.0 <= found.high

    assert 85 <= held <= 99
