"""An estimate and the interval around it, and Wilson's interval for a share."""

import math
from dataclasses import dataclass

Z_95 = 1.959963984540054
"""The quantile of the normal distribution that leaves 2.5 % on either side."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % interval, low ≤ high."""

    value: float
    low: float
    high: float


def estimate_share(count: int, of: int) -> Estimate:
    """The share `count` / `of` with its Wilson interval, within 0 to 1; `of` is at least 1."""
    share, square = count / of, Z_95 * Z_95
    centre = (share + square / (2 * of)) / (1 + square / of)
    half = Z_95 * math.sqrt(share * (1 - share) / of + square / (4 * of * of)) / (1 + square / of)
    return Estimate(share, max(0.0, centre - half), min(1.0, centre + half))
