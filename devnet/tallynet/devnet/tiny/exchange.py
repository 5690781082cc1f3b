"""One question with its answer, and the rule that keeps some questions out of training.

The split is a property of the question alone, so the trainer and the evaluation can never disagree on it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

HELD_OUT_BYTES = 32
"""A key is held out when the first byte of its SHA-256 is below this: 32 of 256, one key in eight."""


@dataclass(frozen=True)
class Exchange:
    """A prompt, its only right answer and the key that decides whether training may see it.

    An empty key marks an exchange that is never held out (stories and small talk).
    """

    task: str
    prompt: str
    answer: str
    key: str = ""

    @property
    def held_out(self) -> bool:
        """Whether training must skip this exchange."""
        return bool(self.key) and hashlib.sha256(self.key.encode()).digest()[0] < HELD_OUT_BYTES


Family = Callable[[Random], Exchange]
"""Draws one exchange of a task, held out or not."""


def draw_for_training(family: Family, rng: Random) -> Exchange:
    """Draw from ``family`` until an exchange is allowed in training."""
    while True:
        exchange = family(rng)
        if not exchange.held_out:
            return exchange


def draw_held_out(family: Family, rng: Random, count: int, attempts: int = 60_000) -> list[Exchange]:
    """Draw up to ``count`` different held-out exchanges; fewer where ``attempts`` draws find no more."""
    found: dict[str, Exchange] = {}
    for _ in range(attempts):
        exchange = family(rng)
        if exchange.held_out:
            found.setdefault(exchange.key, exchange)
        if len(found) == count:
            break
    return list(found.values())
