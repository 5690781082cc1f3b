"""The percentile bootstrap: how far a number would have moved if other items of the same kind had been asked.

Items are drawn again with replacement, RESAMPLES times, always by the same draws for the same number of items, so that
whoever has the same outputs finds the same interval. It does NOT tell what the items leave out, and is too narrow for
a handful of them. Source: spec chapter 8, "Intervals"; Efron and Tibshirani (1993), chapter 13.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from random import Random

import numpy as np
from numpy.typing import NDArray

from tallynet.evaluation.intervals import Estimate

RESAMPLES = 1000
SEED = 1234
TAIL = 25
"""Resamples left out on either side: 2.5 % of them."""

Sums = Sequence[float]
"""Statistics of one item, or their sums over some."""


def estimate_by_bootstrap(items: Sequence[Sums], score: Callable[[Sums], float]) -> Estimate:
    """What `score` makes of the sums over all items, with its 95 % interval; there is at least one item.

    All items have as many statistics. `score` must be able to take any sum of some of them.
    """
    table = np.asarray(items, dtype=np.float64)  # (items, statistics)
    sums = _draw(len(items)) @ table  # (RESAMPLES, statistics)
    scores = sorted(score(row) for row in sums.tolist())
    return Estimate(score(table.sum(axis=0).tolist()), scores[TAIL], scores[-1 - TAIL])


@lru_cache(maxsize=2)
def _draw(count: int) -> NDArray[np.float64]:
    """How often each of `count` items is drawn: (RESAMPLES, count). `Random.random` is the same in every version."""
    draw = Random(SEED).random
    resamples = ([int(count * draw()) for _ in range(count)] for _ in range(RESAMPLES))
    return np.array([np.bincount(drawn, minlength=count) for drawn in resamples], dtype=np.float64)
