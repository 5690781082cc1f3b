"""Exact binomial numbers: how rare an outcome is, and how large a rate may still be after a sample."""

import math

STEPS = 60
"""Halvings of an interval: more than a float can tell."""


def binomial_tail(successes: int, trials: int, rate: float) -> float:
    """The chance of `successes` or more in `trials`, each with chance `rate`."""
    if successes <= 0:
        return 1.0
    if rate <= 0:
        return 0.0
    if rate >= 1:
        return 1.0
    logs = [_log_term(count, trials, rate) for count in range(successes, trials + 1)]
    largest = max(logs, default=-math.inf)
    return min(1.0, math.exp(largest) * math.fsum(math.exp(log - largest) for log in logs)) if logs else 0.0


def upper_bound(successes: int, trials: int, confidence: float) -> float:
    """The largest rate under which `successes` or fewer have a chance of at least 1 - `confidence`.

    The exact one-sided bound of Clopper and Pearson (1934): a true rate above it would have given more successes with
    at least that confidence.
    """
    if successes >= trials:
        return 1.0
    low, high = successes / trials, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        if 1 - binomial_tail(successes + 1, trials, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def lower_bound(successes: int, trials: int, confidence: float) -> float:
    """The smallest rate under which `successes` or more have a chance of at least 1 - `confidence`: the other side of
    `upper_bound`."""
    return 1 - upper_bound(trials - successes, trials, confidence)


def sample_size(rate: float, confidence: float) -> int:
    """The fewest runs that, all found good, show that less than `rate` are bad."""
    return math.ceil(math.log(1 - confidence) / math.log(1 - rate))


def _log_term(count: int, trials: int, rate: float) -> float:
    ways = math.lgamma(trials + 1) - math.lgamma(count + 1) - math.lgamma(trials - count + 1)
    return ways + count * math.log(rate) + (trials - count) * math.log1p(-rate)
